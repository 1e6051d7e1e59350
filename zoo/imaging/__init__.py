"""Pictures: reading image files, preparing them for a model, and drawing samples of data sets."""
