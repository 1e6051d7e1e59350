"""Runs as text and curves."""
