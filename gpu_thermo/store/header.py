"""What the run loop hands to the store, and what it gets back."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..state import State

FORMAT = 2
"""Version of the layout on disk; a reader refuses a later one. 2: builds, run id."""
READABLE = {1: "0.1"}
"""Earlier formats, which are read and not continued, and the version of this package that continues each."""


def spec_digest(spec: str) -> str:
    """Digest of a spec's text as it is stored."""
    return hashlib.sha256(spec.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Header:
    """All that is fixed when a store is created.

    Attributes
    ----------
    spec : canonical JSON of the RunSpec. fingerprint, engine, device, versions : stored as they are.
    data_fingerprint : the part of the fingerprint that is not the spec's.
    chain : static coordinates by name, each [R]: ensemble, dataset, seed, stream, stepsize, temperature_hidden, ...
    tensors : name -> (dims, shape) of a replica's tensors in storage order (Layout.variables).
    partitions, outputs, features : names along these axes.
    probes : [probe, feature] or [dataset, probe, feature], the inputs of group `probes`; stored as
    `constant_data/x_probe`.
    constant : variables of group `constant_data`: name -> (dims, values).
    predictive : variables of group `predictive`: name -> (dims, shape), float64.
    statistics, trace : variables of these groups: name -> (dims after chain and draw or step, dtype).
    keep : of ("parameters", "momenta", "predictions", "log_likelihood"). dtype : of them.
    tuned : names in `chain` that the run finds itself: what they are is in the State, extra `tuned_NAME` [R].
    draws, trace_steps : how many are expected; they set the chunks and the disk bill, and bound nothing.
    attributes : further attributes of the root.
    together : neighbouring replicas whose draws on the target rung make one chain. apart : whether replicas leave the
    target rung, so that every one's own draws are kept apart (statistics then have a `rung`). weighted : whether draws
    have weights (statistics then have a `log_weight`). points : training points, where log_likelihood is kept.
    about : variable -> (units, long name), of whatever meaning.py does not know. ensembles : coordinates of the
    ensembles in `predictive`, each [E]: what they differ in.
    """

    spec: str
    fingerprint: str
    engine: str
    device: str
    versions: Mapping[str, str]
    chain: Mapping[str, np.ndarray]
    tensors: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]
    partitions: tuple[str, ...]
    outputs: tuple[str, ...]
    features: tuple[str, ...]
    probes: np.ndarray
    constant: Mapping[str, tuple[tuple[str, ...], np.ndarray]]
    predictive: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]
    statistics: Mapping[str, tuple[tuple[str, ...], Any]]
    trace: Mapping[str, tuple[tuple[str, ...], Any]]
    keep: tuple[str, ...]
    dtype: Any
    draws: int
    trace_steps: int
    attributes: Mapping[str, str | float] = field(default_factory=dict)
    data_fingerprint: str = ""
    together: int = 1
    apart: bool = False
    weighted: bool = False
    points: int = 0
    about: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    ensembles: Mapping[str, np.ndarray] = field(default_factory=dict)
    tuned: tuple[str, ...] = ()


@dataclass
class Draws:
    """D draws in order.

    Attributes
    ----------
    draw : [D] index of each draw. step : [D] the step it was recorded after.
    position, momentum : [D, R, P], or None where they are not kept. predictions : [D, R, probe, output], log_likelihood
    : [D, R, N], or None likewise. statistics : name -> [D, R, ...].
    """

    draw: np.ndarray
    step: np.ndarray
    position: np.ndarray | None = None
    predictions: np.ndarray | None = None
    statistics: Mapping[str, np.ndarray] = field(default_factory=dict)
    momentum: np.ndarray | None = None
    log_likelihood: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        every = (self.position, self.predictions, self.momentum, self.log_likelihood)
        kept = (a for a in every if a is not None)
        return sum(np.asarray(a).nbytes for a in (self.draw, self.step, *kept, *self.statistics.values()))


@dataclass
class Trace:
    """Learning curves at S steps: `step` [S], `values` name -> [S, R, ...]."""

    step: np.ndarray
    values: Mapping[str, np.ndarray]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(np.asarray(a).nbytes for a in (self.step, *self.values.values()))


@dataclass
class Checkpoint:
    """What the last commit holds.

    Attributes
    ----------
    state : None where the store was created but nothing was ever committed: the run starts over from its spec.
    sums : the running sums. step, draws, trace_steps : committed counts. attributes : as given to the commit.
    """

    state: State | None
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    step: int = 0
    draws: int = 0
    trace_steps: int = 0
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunInfo:
    """A store at a glance, read from its root document only.

    Attributes
    ----------
    replicas, parameters : R and P. step, draws, trace_steps : committed. expected_draws : as planned at creation.
    keep : what is kept per draw. attributes : of the last commit.
    run_id : made at birth, in everything that belongs to the run. spec_digest, data_fingerprint : of spec and data as
    sampled, so that it can be said which of them was changed. All three are empty before format 2.
    foreign : whether another program wrote this copy of the run. remarks : texts that were given beside the spec.
    """

    spec: str
    fingerprint: str
    format: int
    engine: str
    device: str
    versions: dict[str, str]
    created_at: str
    replicas: int
    parameters: int
    keep: tuple[str, ...]
    step: int
    draws: int
    expected_draws: int
    trace_steps: int
    attributes: dict[str, Any]
    run_id: str = ""
    spec_digest: str = ""
    data_fingerprint: str = ""
    foreign: bool = False
    remarks: dict[str, str] = field(default_factory=dict)
