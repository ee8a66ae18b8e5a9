"""What decides bits is named, and only that."""

import numpy as np
import pytest

from gpu_thermo.engines import builds, describe_build
from gpu_thermo.engines.builds import Build, continued, differences, differing, kernels_digest, read_history
from gpu_thermo.errors import OtherBitsError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

ONE = Build("fused", "float32", "cpu", flags="-O2 -march=native", compiler="gcc 12")
OTHER = Build("fused", "float32", "cpu", flags="-O2 -march=native -mno-avx", compiler="gcc 12")


def job(**model):
    spec = {"data": {"name": "moons", "train": 20, "test": 4}, "model": {"hidden": 3, **model}, "run": {"replicas": 2}}
    return prepare(RunSpec.from_dict(spec)).job


def test_comments_and_spaces_are_no_other_kernel():
    text = "int a;  // a comment\n/* more\nof it */ int b;\n"
    assert kernels_digest([text]) == kernels_digest(["int a;\n\n\tint b; // another"])
    assert kernels_digest([text]) != kernels_digest(["int a; int c;"])
    assert kernels_digest([text, "x"]) != kernels_digest([text])
    assert kernels_digest([]) == ""


def test_facts_that_decide():
    """BLAS and NumPy's version only where NumPy multiplies matrices; the network and the precision by the kernels."""
    batched = describe_build(job(), "batched", "cpu").to_dict()
    assert batched["numpy"] == np.__version__
    assert batched["blas"]
    assert batched["precision"] == "float32"
    if find_compiler() is None:
        assert batched["compiler"] == "none"
        return
    fused = describe_build(job(), "fused", "cpu").to_dict()
    assert not {"blas", "numpy", "cuda"} & set(fused)
    assert fused["functions"] == batched["functions"]
    assert fused["kernels"] != batched["kernels"]
    assert fused == describe_build(job(), "fused", "cpu").to_dict()
    assert fused["kernels"] != describe_build(job(activation="tanh"), "fused", "cpu").to_dict()["kernels"]
    assert describe_build(job(dtype="float64"), "fused", "cpu").precision == "float64"


def test_functions_are_digested_by_what_they_answer(monkeypatch):
    before = builds.functions_digest()
    builds.functions_digest.cache_clear()
    assert builds.functions_digest() == before
    exp = np.exp
    builds.functions_digest.cache_clear()
    monkeypatch.setattr(np, "exp", lambda x: np.nextafter(exp(x), np.inf, dtype=x.dtype))
    assert builds.functions_digest() != before
    builds.functions_digest.cache_clear()


def test_what_differs_is_named():
    assert differing(ONE.to_dict(), OTHER.to_dict()) == {"flags": (ONE.flags, OTHER.flags)}
    assert differences(ONE.to_dict(), OTHER.to_dict()) == "  flags: without then, -mno-avx now"
    assert differences({}, {"blas": "x"}) == "  blas: nothing then, x now"


def test_a_history_grows_by_other_builds_only():
    begun = continued([], ONE, 0, True, "x")
    assert begun == [{"step": 0, "build": ONE.to_dict()}]
    assert continued(begun, ONE, 70, False, "x") == begun
    with pytest.raises(OtherBitsError, match=r"(?s)x was sampled by another build.*-mno-avx now.*--allow-other-bits"):
        continued(begun, OTHER, 70, False, "x")
    longer = continued(begun, OTHER, 70, True, "x")
    assert longer == [*begun, {"step": 70, "build": OTHER.to_dict()}]
    assert continued(longer, ONE, 70, True, "x") == [*begun, {"step": 70, "build": ONE.to_dict()}]
    with pytest.raises(OtherBitsError):
        continued([], ONE, 70, False, "x")


def test_a_history_is_read_from_anything():
    assert read_history({}) == []
    assert read_history({"history": "x"}) == []
    odd = [{"step": 0}, {"step": "0", "build": {}}, 7, None, {"step": 3, "build": {"engine": 5}}]
    assert read_history({"history": odd}) == [{"step": 3, "build": {"engine": "5"}}]


@pytest.mark.parametrize("hidden", [3, [4, 4], [3000], [200, 200, 200]])
def test_matrices_are_numpys_where_predictions_are(hidden):
    """The build names BLAS exactly where the run has array code, also beside the fused engine."""
    from gpu_thermo.engines import choose_engine, make_predictor
    from gpu_thermo.engines.predict.arrays import ArrayPredictor

    of = job(hidden=hidden)
    chosen = choose_engine(of, "auto", "cpu")
    arrays = chosen == "batched" or isinstance(make_predictor(of.target.fused, of.dtype), ArrayPredictor)
    assert bool(describe_build(of, chosen, "cpu").blas) == arrays
