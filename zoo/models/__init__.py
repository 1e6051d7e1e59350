"""The architectures, one file per family. Every file here is found by scanning: add one, and it is listed."""
