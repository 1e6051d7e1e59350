"""Models from other distributions: found by metadata, imported behind a guard, never able to break zoo."""
