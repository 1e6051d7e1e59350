"""Data sets as text."""
