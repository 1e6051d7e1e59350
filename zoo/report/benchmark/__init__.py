"""Benchmarks as tables, text, plots and pages."""
