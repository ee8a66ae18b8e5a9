"""Replicas of a larger run, alone: [run] streams."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler

SPEC = {
    "data": {"turns": 1, "train": 30, "test": 6, "seeds": [0, 1, 2]},
    "model": {"hidden": 3, "prior_sd": 1.0, "init": "prior"},
    "method": {"name": "langevin", "stepsize": [0.1, 0.2], "temperature": {"values": [1e-3, 1e-4], "repeat": 3}},
    "run": {"replicas": 12, "steps": 20, "burn_in": 0, "thin": 10, "trace": 10, "batch": 5, "momenta": "thermal"},
}
ENGINES = ("batched", pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no compiler")))


def alone(streams, **run):
    """The same spec for these streams."""
    own = {key: value for key, value in SPEC["run"].items() if key != "replicas"}
    return {**SPEC, "run": {**own, "streams": streams, **run}}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("streams", [[7], [10, 3]])
def test_bit_for_bit_as_in_the_whole_run(streams, engine):
    """Noise, minibatches, start, data set and hyperparameters go by the stream."""
    whole, few = gt.sample(SPEC, engine=engine), gt.sample(alone(streams), engine=engine)
    for group in ("posterior", "sample_stats"):
        for name in few[group].data_vars:
            np.testing.assert_array_equal(few[group][name].values, whole[group][name].values[streams], err_msg=name)
    stats, all_stats = few["sample_stats"], whole["sample_stats"]
    for name in ("stream", "dataset", "stepsize", "temperature_all"):
        np.testing.assert_array_equal(stats[name].values, all_stats[name].values[streams])
    assert not np.array_equal(few["posterior"]["w1"].values[:1], whole["posterior"]["w1"].values[:1])


def test_a_far_replica_and_its_resume(tmp_path):
    """Of a run too large to make; gone on with as any other."""
    gt.sample(alone([3000, 2**32 - 1]), tmp_path / "run.zarr").close()
    longer = gt.resume(tmp_path / "run.zarr", draws=2)
    at_once = gt.sample(alone([3000, 2**32 - 1], steps=40))
    np.testing.assert_array_equal(longer["posterior"]["w1"].values, at_once["posterior"]["w1"].values)


@pytest.mark.parametrize(
    ("streams", "more", "message"),
    [
        ([3, 3], {}, "streams has 3 twice"),
        ([], {}, "streams"),
        ([-1], {}, "greater than or equal to 0"),
        ([2**32], {}, "less than"),
        ([1, 2], {"run": {"replicas": 5}}, "replicas = 5 and 2 streams"),
        ([1, 2], {"moves": [{"kind": "exchange", "rungs": 2, "hottest": 1.0}]}, "a move of kind exchange makes them"),
    ],
)  # fmt: skip
def test_refused(streams, more, message):
    with pytest.raises(SpecError, match=message):
        gt.RunSpec.from_dict({**alone(streams, **more.get("run", {})), **{k: v for k, v in more.items() if k != "run"}})


def test_a_run_that_tunes_itself_goes_by_all():
    spec = {"method": {"name": "langevin", "stepsize": "auto"}, "run": {"streams": [1, 2], "tolerance": 0.1}}
    with pytest.raises(SpecError, match="streams"):
        gt.RunSpec.from_dict(spec)
