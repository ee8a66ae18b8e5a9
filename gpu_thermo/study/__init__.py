"""Studies: grids of methods and hyperparameters times seeds, run as few large launches, on one machine or a cluster.

Reading order: spec (what a user writes), expand (cells, launches, shards), execute (one shard),
parts (what is on disk), drive (a study), tables (numbers out of it).
"""

from .conduct import StudyPlan, StudyProgress, plan_study, run_study
from .grids import StudySpec
from .parts import labels, open_study
from .tables import comparisons, summaries

__all__ = [
    "StudyPlan", "StudyProgress", "StudySpec", "comparisons", "labels", "open_study", "plan_study", "run_study",
    "summaries",
]  # fmt: skip
