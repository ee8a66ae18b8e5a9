"""Superchains: neighbours that start at one point, each with its own noise; nested R-hat of them; modes that do not
mix, and the ladder that is offered for them.
"""

import re
import tomllib

import numpy as np
import pytest
from tuned_cases import told, well

from gpu_thermo import sample
from gpu_thermo.errors import SpecError
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

NETWORK = {
    "data": {"name": "spirals", "turns": 1, "train": 20, "test": 4},
    "model": {"hidden": 3, "init": "prior", "prior_sd": 1.0},
    "method": {"name": "langevin", "stepsize": 0.01, "temperature": 1e-3, "friction": 1.0},
    "run": {"replicas": 8, "steps": 40, "burn_in": 0, "thin": 10, "trace": 40, "superchain": 4},
}  # fmt: skip


def wells(**run):
    """Two modes that do not mix, .3 of all in the left one; starts reach both."""
    target = {"name": "mixture", "means": [-6.0, 6.0], "weights": [0.3, 0.7], "start_sd": 8.0}
    return {
        "target": target, "method": {"name": "langevin", "temperature": 1.0},
        "run": {"replicas": 64, "tolerance": 0.1, "max_steps": 20_000, **run},
    }  # fmt: skip


class TestStarts:
    @pytest.mark.parametrize("spec", [NETWORK, well(superchain=8)], ids=["network", "potential"])
    def test_neighbours_share_theirs(self, spec):
        """And the first of each superchain begins where it would without."""
        size, replicas = spec["run"]["superchain"], spec["run"]["replicas"]
        position = prepare(RunSpec.from_dict(spec)).initial_state().position
        alone = dict(spec, run={key: value for key, value in spec["run"].items() if key != "superchain"})
        first = prepare(RunSpec.from_dict(alone)).initial_state().position[::size]
        np.testing.assert_array_equal(position, np.repeat(first, size, axis=0))
        assert len(np.unique(position, axis=0)) == replicas // size

    def test_each_goes_its_own_way(self):
        tree = sample(NETWORK, engine="batched")
        w = tree["posterior"]["w1"].to_numpy().reshape(8, 4, -1)
        assert len(np.unique(w[:, 0], axis=0)) == 8
        assert tree["sample_stats"]["superchain"].to_numpy().tolist() == [0] * 4 + [1] * 4
        assert len(np.unique(tree["sample_stats"]["ensemble"])) == 1

    def test_the_group_at_half_the_stepsize_has_superchains_of_its_own(self):
        spec = well(superchain=8) | {"method": {"name": "langevin", "word": "OBAB", "temperature": 1.0}}
        course, verdict = told(sample(spec))
        assert verdict["trusted"], verdict["text"]
        assert course["log"][-1]["nested"] < 1.1


def test_starts_that_are_forgotten():
    course, verdict = told(sample(well(superchain=8)))
    assert verdict["trusted"], verdict["text"]
    line = course["log"][-1]
    assert 1 <= line["nested"] < 1.1
    assert not line["apart"]


def test_modes_that_do_not_mix_are_named_and_what_is_offered_mends_it():
    """The moves that the verdict names are pasted into the spec, and the run is trusted and right."""
    course, verdict = told(sample(wells(superchain=8)))
    assert not verdict["trusted"]
    assert "superchains disagree (nested R-hat" in verdict["text"]
    assert course["log"][-1]["nested"] > 1.5
    offer = re.search(r"add (moves = \[.*?\]) at the top of the spec", verdict["text"])
    assert offer, verdict["text"]
    tree = sample(wells(superchain=8) | tomllib.loads(offer[1]))
    assert told(tree)[1]["trusted"], told(tree)[1]["text"]
    left = (tree["posterior"]["position"].to_numpy()[..., 0] < 0).mean(axis=1)
    error = left.std(ddof=1) / np.sqrt(len(left))
    assert abs(left.mean() - 0.3) < 5 * error
    assert abs(left.mean() - 0.5) > 5 * error  # power: as they started


def test_it_is_offered_without_superchains_too():
    _, verdict = told(sample(wells()))
    assert "several modes" in verdict["text"]
    assert 'add moves = [{kind = "exchange", hottest = ' in verdict["text"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run": {"superchain": 3}}, "do not fill two superchains or more of replicas = 8: use 2"),
        ({"run": {"superchain": 8}}, "use 4"), ({"run": {"replicas": 7, "superchain": 2}}, "such as 128"),
        ({"run": {"superchain": 1}}, "superchain = 1"), ({"run": {"streams": list(range(8))}}, "leave out one"),
        ({"model": {"init": "zero"}}, 'init = "zero" draws none'),
        ({"moves": [{"kind": "exchange", "rungs": 2, "hottest": 1.0, "interval": 10}]}, "depend on each other"),
        ({"run": {"replicas": 16, "superchain": 8}, "data": {"seeds": [1, 2, 3, 4]}}, "different ensembles"),
    ],
)  # fmt: skip
def test_refusals(changes, message):
    spec = {key: NETWORK[key] | changes.get(key, {}) for key in NETWORK} | {"moves": changes.get("moves", [])}
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict(spec))


def test_a_potential_with_one_start_for_all():
    with pytest.raises(SpecError, match=r"target\.start is one for all"):
        RunSpec.from_dict(well(superchain=8) | {"target": {"name": "harmonic", "stiffness": [1.0], "start": [2.0]}})
