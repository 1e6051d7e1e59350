"""Plugins: models of other distributions, found by their entry points and imported so that they cannot break zoo."""
