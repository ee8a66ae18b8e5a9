"""Studies: grids of methods and hyperparameters times seeds, run as few large launches, on one machine or a cluster.

Reading order: grids (what a user writes: cells and seeds), shards (what one launch does), launch (one shard), parts
(what is on disk), work and conduct (a study), workers (elsewhere), tables and statistics (numbers out of it).
Comparisons of methods at equal gradients: entries (what a user writes), measures, watch, compare.
"""

from .conduct import run_study
from .grids import StudySpec
from .plan import StudyPlan, plan_study
from .progress import StudyProgress
from .reading import labels, open_study
from .tables import comparisons, summaries

__all__ = [
    "StudyPlan", "StudyProgress", "StudySpec", "comparisons", "labels", "open_study", "plan_study", "run_study",
    "summaries",
]  # fmt: skip
