"""Benchmarks: each script runs us and a peer interleaved, prints ratios, and writes bench/results/NAME.json with the
machine's name.
"""
