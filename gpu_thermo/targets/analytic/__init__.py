"""Potentials given by a formula, with exact answers to compare with.

Reading order: base (noise, shared once), wells, mixture, plane, grid (the exact answers).
"""
