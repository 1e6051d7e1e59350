"""Where data sets come from. Each module's `Entry` values are found by scanning: to add a data set, add a file."""
