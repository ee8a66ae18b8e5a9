"""Entries and specs of small comparisons."""

from pathlib import Path
from typing import Any

import gpu_thermo_analysis
from gpu_thermo.study.entries import ComparisonSpec
from gpu_thermo.targets.analytic.mixture import GaussianMixture

DEMOS = sorted((Path(gpu_thermo_analysis.__file__).parent / "demos").glob("*.toml"))
SGLD = {"name": "sgld", "stepsize": 0.1, "temperature": 1.0}
LADDER = {"kind": "exchange", "rungs": 4, "hottest": 12.0, "interval": 5}
TWO = GaussianMixture([-6.0, 4.0], 1.0, [0.4, 0.6])


def spec(entries: list[dict[str, Any]], **rest: Any) -> ComparisonSpec:
    tree = {
        "group": 4, "target": {"name": "mixture", "preset": "two_modes", "start": [4.0]},
        "grid": {"low": -12.0, "high": 12.0, "cells": 40},
        "run": {"replicas": 16, "steps": 400, "burn_in": 100, "thin": 10, "trace": 100}, "entry": entries,
    }  # fmt: skip
    return ComparisonSpec.from_dict(tree | rest)


ALONE = {"label": "alone", "method": SGLD}
EXCHANGE = {"label": "with exchange", "method": SGLD, "moves": [LADDER]}
COMPARISON = """
title = "Two modes"
group = 4
[target]
name = "mixture"
preset = "two_modes"
start = [4.0]
[grid]
low = -12.0
high = 12.0
cells = 40
[run]
replicas = 8
steps = 600
burn_in = 200
thin = 10
trace = 100
[[entry]]
label = "SGLD"
method = {name = "sgld", stepsize = 0.1, temperature = 1.0}
published = {modes = 1}
[[entry]]
label = "exchange"
note = "ours"
method = {name = "langevin", stepsize = 0.5, temperature = 1.0, friction = 1.0}
moves = [{kind = "exchange", rungs = 4, hottest = 12.0, interval = 5}]
watch = true
[[entry]]
label = "contour"
method = {name = "sgld", stepsize = 0.1, temperature = 1.0}
moves = [{kind = "contour", zeta = 0.9, bins = 40, lowest = 0.0, width = 0.5, omega_max = 0.01}]
watch = true
"""
"""A comparison as people write it."""
