"""The architectures, one file per family. Files are found by scanning: to add a family, add a file."""
