"""The published figures: every study is valid."""

from gpu_thermo.study import StudySpec
from gpu_thermo_analysis.paper.entry import scaled
from gpu_thermo_analysis.paper.figures import ENTRIES
from gpu_thermo_analysis.paper.more import MORE


def test_every_published_study_is_valid():
    """All cells of all entries, full size and small; recorded points end with the run."""
    for entry in (ENTRIES | MORE).values():
        for scale in (1.0, 0.05):
            spec = StudySpec.from_dict(scaled(entry.study, scale))
            for cell in spec.cells():
                assert cell.spec.run.steps % cell.spec.run.trace == 0
