"""Evaluations as files, plots and one page."""
