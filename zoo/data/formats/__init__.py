"""Users' own files. Each module's `Format` values are found by scanning: to add a form of files, add a file."""
