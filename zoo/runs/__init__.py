"""Run folders: written, read, listed and compared; and the model files in them."""
