"""Studies: grids of methods and hyperparameters times seeds, run as few large launches, on one machine or a cluster.

Reading order: grids (what a user writes: cells and seeds), shards (what one launch does), launch (one shard), together
(several), tuned (a run that stops itself), turns and asks (several of those), parts (what is on disk), work and conduct
(a study), workers (elsewhere), tables and statistics (numbers out of it).
Comparisons of methods at equal gradients: entries (what a user writes), measures, watch, compare.

The package is callable: `gpu_thermo.study(spec, "study.zarr")` runs a study, as `gpu_thermo.sample` runs a run.
"""

import sys
from inspect import signature
from types import ModuleType

from .conduct import run_study, study
from .grids import StudySpec
from .plan import StudyPlan, plan_study
from .progress import StudyProgress
from .reading import labels, open_study
from .tables import comparisons, summaries

__all__ = [
    "StudyPlan", "StudyProgress", "StudySpec", "comparisons", "labels", "open_study", "plan_study", "run_study",
    "study", "summaries",
]  # fmt: skip


class _Callable(ModuleType):
    """A package that is called as its function of the same name, whichever of the two was imported first."""

    __call__ = staticmethod(study)
    __signature__ = signature(study)


sys.modules[__name__].__class__ = _Callable
