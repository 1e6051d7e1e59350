"""Pictures: read from files, prepared as a model needs them, and drawn into."""
