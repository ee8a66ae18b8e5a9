"""Ensemble moves: cyclical, replica exchange, simulated tempering, contour (equations.md section 5)."""
