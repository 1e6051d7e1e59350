"""A built model looked at: its layers, parameters and arithmetic, and how far a unit sees."""
