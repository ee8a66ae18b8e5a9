"""Engines: two ways to compute the same segments."""
