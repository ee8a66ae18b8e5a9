"""What a shard of a study takes in memory: state, data sets, averages, curves, and what is held of draws."""

from collections.abc import Sequence

from ..engines.base import state_bytes
from ..moves import fold
from ..running.loop import RING_BYTES
from ..running.network import NetworkSubject
from ..running.resources import resident_memory
from ..running.subject import Setup
from .held import DRAWS as HELD_DRAWS
from .held import POINTS
from .mixing import DRAWS, LEAST, QUANTITIES
from .shards import Group, Shard

COLUMNS, CURVES = 33, 3
"""Numbers kept of a run, and its learning curves, beside those of each tensor and partition: loss, scores,
hyperparameters."""


def run_bytes(ready: Setup, runs: int, keep: bool) -> int:
    """Bytes of one of the `runs` of a launch made ready, while its shard runs."""
    job, run, draws = ready.job, ready.spec.run, ready.agenda.draws
    layout, number = job.target.layout, job.dtype(0).itemsize
    curves = CURVES + len(layout.tensors) + len(ready.program.partition.names)
    total = 2 * (state_bytes(job) + fold.nbytes(ready.moves, job.replicas))  # as it is, and as it began or is copied
    total += sum(value.nbytes for value in ready.moments().sums.values())
    total = -(-total // runs)
    total += 8 * (COLUMNS + 3 * len(layout.tensors)) + 4 * curves * (run.steps // run.trace)
    total += 2 * (draws + 1) * layout.size * number if keep else 0
    total += 2 * 4 * min(draws, DRAWS) * QUANTITIES if draws >= LEAST else 0
    return total + (_of_data(ready, min(draws, HELD_DRAWS)) if isinstance(ready.subject, NetworkSubject) else 0)


def _of_data(ready: Setup, draws: int) -> int:
    """A data set of its own, as it was read and as it is used, and laws at its test points."""
    subject = ready.subject
    assert isinstance(subject, NetworkSubject)
    data = subject.data
    sets = sum(a.nbytes for a in (data.x_train, data.y_train, data.x_test, data.y_test)) // data.count
    laws = 0
    if subject.model.likelihood.values is not None:
        laws = 3 * 2 * 8 * draws * min(POINTS, data.test_points) * subject.model.outputs
    return 2 * sets + laws


def launch_bytes(groups: list[Group], launches: Sequence[Sequence[Shard]]) -> int:
    """Bytes of the process while the largest launch runs."""
    return resident_memory() + max((_of_launch(groups, launch) for launch in launches), default=0)


def _of_launch(groups: list[Group], launch: Sequence[Shard]) -> int:
    """Its runs, and what a segment records, three times."""
    ring = RING_BYTES[groups[launch[0].group].device.partition(":")[0]]
    return sum(s.runs * groups[s.group].memory for s in launch) + 3 * ring
