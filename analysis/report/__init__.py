"""One page about a run or a study: a file without scripts that needs no network.

Reading order: svg (charts), page (the page around them), answers (what is asked of a run's networks), sections (parts
of a report on a run), runs and studies (whole reports), writing.
"""

from .writing import write_report

__all__ = ["write_report"]
