"""Reads runs, makes numbers to trust them by and pictures to publish: `diagnose`, `uncertainty_map`, `draw_map`,
`save_map`.
"""

from gpu_thermo_analysis.diagnostics import Diagnosis, EnsembleDiagnosis, Verdict, diagnose
from gpu_thermo_analysis.maps import draw_map, save_map, uncertainty_map

__all__ = ["Diagnosis", "EnsembleDiagnosis", "Verdict", "diagnose", "draw_map", "save_map", "uncertainty_map"]
