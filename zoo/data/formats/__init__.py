"""Formats of users' own files. `Format` values are found by scanning: to add a format, add a file."""
