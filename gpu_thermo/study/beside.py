"""What a study's spec cannot hold, given beside it in Python: data, a network, a potential, tensors to start from.

All cells are about the same of it; what their specs say of it (how rows are split, say) may differ. A study's store
holds none of it: whoever goes on with the study gives the same again, and it is held against digests in its spec.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..data import Dataset
from ..data.given import takes_splits
from ..data.sources import Arrays
from ..errors import SpecError
from ..running.given import with_data
from ..running.setup import prepare
from ..running.starts import digest_of, find_starts
from ..running.subject import Setup
from ..spec.model import GIVEN
from ..spec.own import with_network
from ..spec.run import RunSpec
from ..targets.base import Potential
from ..targets.own import OwnNetwork, as_network
from ..targets.own.check import check_same
from ..targets.priors import AUTO
from .seeds import SeedsSpec

DATA, NETWORK, POTENTIAL, STARTS = "data", "network", "potential", "starts"
"""Of what there are digests; that of a network are its outputs at the probe, as JSON."""


@dataclass(frozen=True)
class Beside:
    """What the user gave beside the spec, None where nothing, each as `sample` takes it.

    data : arrays, several sets of them, a DataFrame or a Dataset. network : in place of ours. potential : of cells with
    target = {name = "custom"}. init : tensors by name that every run starts from.
    """

    data: Any = None
    network: Any = None
    potential: Potential | None = None
    init: Any = None

    @property
    def anything(self) -> bool:
        """Whether anything was given."""
        return any(given is not None for given in (self.data, self.network, self.potential, self.init))

    @cached_property
    def own(self) -> OwnNetwork | None:
        """The network, made once in each process."""
        return None if self.network is None else as_network(self.network)

    def __getstate__(self) -> dict[str, Any]:
        """As it was given: what is compiled of a network stays here."""
        return {name: value for name, value in self.__dict__.items() if name != "own"}

    def complete(self, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """A study whose [data], and those that its grid puts in its place, are about arrays, where such are given and
        they have no other name.
        """
        held, grid = tree.get("data", {}), tree.get("grid")
        if self.data is None or not isinstance(held, Mapping) or "target" in tree:
            return tree
        named = {"data": {"name": "arrays", **held}}
        if isinstance(grid, Mapping) and isinstance(values := grid.get("data"), list):
            every = [{"name": "arrays", **value} if isinstance(value, Mapping) else value for value in values]
            named["grid"] = {**grid, "data": every}
        return {**tree, **named}

    # -- a cell --------------------------------------------------------------------------------------------------------

    def settled(self, spec: RunSpec, base: Path | None, seeds: SeedsSpec) -> RunSpec:
        """The run of a cell that says what it was given, by hashes.

        Raises
        ------
        SpecError, DataError
            What was given cannot be used, the spec says something else, or wants what was not given.
        """
        if spec.target is None:
            spec = self._with_data(spec, seeds)
        elif self.data is not None:
            with_data(spec, self.data)  # says that the two do not go together
        spec, _, init = with_network(spec, self.own, self.init)
        spec, held = find_starts(spec, base, init)
        if held is not None and seeds.init is not None:
            raise SpecError(
                "seeds.init draws the starts of runs, and these start where they are told to (model.init ="
                f" '{spec.model.init}'): leave it out, or name a way to draw them, as in model.init = \"normal\"."
            )
        return spec

    def _with_data(self, spec: RunSpec, seeds: SeedsSpec) -> RunSpec:
        if self.potential is not None:
            raise SpecError(
                'A potential is given, and a cell has no [target]: write target = {name = "custom", size = P} in place'
                " of data."
            )
        if self.data is None:
            if isinstance(spec.data, Arrays):
                raise SpecError(
                    "This study's data are arrays given from Python, and neither its spec nor its store holds them:"
                    " gpu_thermo.study(spec, out, data=(X, y))."
                )
            return spec
        made, data = with_data(spec, self.data)
        if not self._splits(spec):
            _check_sets(data, seeds)
        return made

    def _splits(self, spec: RunSpec) -> bool:
        """Whether data seeds split the rows that were given."""
        return isinstance(spec.data, Arrays) and takes_splits(self.data, spec.data)

    def prepared(
        self, spec: RunSpec, base: Path | None, seeds: np.ndarray, replicas: int | None = None
    ) -> tuple[Setup, np.ndarray]:
        """A cell's run made ready about the data sets of `seeds` [S], and [S] int64 which of its sets each has.

        Of rows that are split by seed a data seed is that of the split; of sets given whole, seed s has set s mod D.
        """
        distinct, which = np.unique(seeds, return_inverse=True)
        data: Dataset | None = None
        if self.data is None or spec.target is not None:
            spec = with_seeds(spec, distinct, replicas)
        elif self._splits(spec):
            spec, data = with_data(with_seeds(spec, distinct, replicas), self.data)
        else:
            spec, data = with_data(with_seeds(spec, None, replicas), self.data)
            which = (seeds % np.uint64(data.count)).astype(np.int64)
            if len(distinct) == 1 and spec.model.prior_sd == AUTO:  # which asks one set
                data, which = data.one(int(which[0])), np.zeros_like(which)
        return prepare(spec, base, data, self.potential, self._starts(spec), self.own), which.astype(np.int64)

    def prepared_alone(self, spec: RunSpec, base: Path | None, seed: np.ndarray) -> Setup:
        """One run about the data set of one `seed` [1], made ready as `sample` does."""
        if self.data is None or spec.target is not None or self._splits(spec):
            return self.prepared(spec, base, seed)[0]
        spec, data = with_data(with_seeds(spec, None), self.data)
        mine = data.one(int(seed[0] % np.uint64(data.count)))
        return prepare(spec, base, mine, self.potential, self._starts(spec), self.own)

    def _starts(self, spec: RunSpec) -> Any:
        """Tensors to start from, where a settled cell says that they were given."""
        if spec.target is not None or spec.model.init != GIVEN:
            return None
        return self.init if self.init is not None or self.own is None else self.own.start

    # -- digests -------------------------------------------------------------------------------------------------------

    def digests(self, cells: list[RunSpec]) -> dict[str, str]:
        """Of all that was given but the network, whose probe is known where a cell is ready."""
        out = {}
        if self.data is not None:
            out[DATA] = _sha(*dict.fromkeys(str(getattr(cell.data, "sha256", "")) for cell in cells))
        if self.potential is not None:
            out[POTENTIAL] = str(getattr(self.potential, "fingerprint", ""))
        if (told := next((cell for cell in cells if self._starts(cell) is not None), None)) is not None:
            _, held = find_starts(told, None, self._starts(told))
            given = sorted((held or {}).items())
            out[STARTS] = digest_of((name, (), np.asarray(value, np.float64)) for name, value in given)
        return out


NOTHING = Beside()


def with_seeds(spec: RunSpec, seeds: np.ndarray | None, replicas: int | None = None) -> RunSpec:
    """The spec about the data sets of these seeds, or of sets given whole (None), with so many replicas."""
    tree = spec.to_dict()
    if spec.target is None:
        tree["data"].pop(spec.data.seed_field, None)
        tree["data"].pop("sha256" if isinstance(spec.data, Arrays) else "", None)
        if seeds is not None:
            tree["data"]["seeds"] = [int(s) for s in seeds]
    tree["run"]["replicas"] = replicas or spec.run.replicas
    return RunSpec.from_dict(tree)


def differs(held: Mapping[str, str], given: Mapping[str, str]) -> str:
    """What of that given beside a study its store was not begun with, in words; "" where all is the same."""
    for name in (NETWORK, DATA, POTENTIAL, STARTS):
        one, other = held.get(name), given.get(name)
        if one != other and not (name == NETWORK and one and other and _same_network(one, other)):
            return f"the {name} given in Python"
    return ""


def _same_network(held: str, given: str) -> bool:
    """Whether two probes agree to the precision of single numbers: builds and threads round otherwise."""
    try:
        check_same(np.asarray(json.loads(given)), np.asarray(json.loads(held)), np.float32)
    except (SpecError, ValueError, TypeError):
        return False
    return True


def probe_text(probe: np.ndarray) -> str:
    """The digest of a network from its outputs at the probe."""
    return json.dumps(np.asarray(probe, np.float64).tolist())


def _check_sets(data: Dataset, seeds: SeedsSpec) -> None:
    """SpecError where seeds.data names sets that were not given."""
    if seeds.data is None:
        return
    asked = list(range(seeds.data)) if isinstance(seeds.data, int) else seeds.data
    if max(asked) >= data.count:
        sets = "one data set is" if data.count == 1 else f"{data.count} data sets are"
        raise SpecError(
            f"seeds.data names data set {max(asked)}, and {sets} given, which no seed splits: name sets below"
            f" {data.count}, or give count in [seeds], whose seed s has set s mod {data.count}."
        )


def _sha(*texts: str) -> str:
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
