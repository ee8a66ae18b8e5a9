"""Averages over draws: running moments, the posterior predictive, and scores of it."""
