"""Sources of published data sets. `Entry` values are found by scanning: to add a data set, add a file."""
