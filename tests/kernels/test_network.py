"""Functions of records as C++: headers name none of them, kept slopes give the same gradients, constants arrive."""

import re
from dataclasses import replace

import numpy as np
import pytest
from fused_cases import check_against_batched, make_job

from gpu_thermo.engines.predict.fused import FusedPredictor
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels import network
from gpu_thermo.kernels.emit import header, predict_device_source, predict_source
from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.likelihoods import DEFAULTS, LIKELIHOODS
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.priors import PRIORS
from gpu_thermo.targets.records import CONSTANTS, packed

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")


@pytest.fixture
def kept(monkeypatch):
    """tanh as if its slope did not follow from its value."""
    record = ACTIVATIONS["tanh"]
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(record, code=replace(record.code, by_value="")))


def test_headers_name_no_record():
    names = [*ACTIVATIONS, *LIKELIHOODS, *DEFAULTS, *PRIORS]
    word = re.compile(rf"\b({'|'.join(names)})\b", re.IGNORECASE)
    for name in ("layers.h", "shlp.h", "wide.h", "deep.h", "step.h", "predict.h", "predict.cu"):
        code = re.sub(r"//.*", "", header(name))
        assert not word.findall(code), name


@pytest.mark.parametrize("wrong", [{"activation": "relou"}, {"task": "regresion"}, {"prior": "norml"}])
def test_unknown_names_have_no_source(wrong):
    (what,) = wrong.values()
    with pytest.raises(SpecError, match=f"'{what}'.*Did you mean '[a-z]+'"):
        predict_source(replace(MlpModel(2, 3, 1), **wrong), 32)


def test_each_record_has_a_source_of_its_own():
    models = [MlpModel(2, 3, 1 if task == "binary" else 2, task, a, 1.0) for task in DEFAULTS for a in ACTIVATIONS]
    assert len({network.functions(m) for m in models}) == len(models)


def test_a_kept_slope_is_kept_only_where_it_must():
    for name, record in ACTIVATIONS.items():
        text = network.functions(MlpModel(2, 3, 1, activation=name))
        assert f"SLOPE_KEPT = {str(not record.code.by_value).lower()};" in text


def test_signs_stand_for_slopes_only_where_they_say_all():
    """Of a homogeneous activation with a kink; not of one whose slope at 0 is neither that below nor of a sign."""
    assert {name for name, record in ACTIVATIONS.items() if record.by_sign} == {"relu", "leaky_relu"}
    relu = ACTIVATIONS["relu"]
    assert not replace(relu, slope=lambda z, value, xp: xp.where(z == 0, 0.5, z > 0)).by_sign
    assert "BY_SIGN = true;" in network.functions(MlpModel(2, 3, 1, activation="relu"))
    assert "BY_SIGN = false;" in network.functions(MlpModel(2, 3, 1, activation="tanh"))


@needs_compiler
@pytest.mark.parametrize("wide", [{}, {"m": 11, "n": 3, "task": "multiclass", "dtype": np.float64, "mode": "full"}])
@pytest.mark.usefixtures("kept")
def test_kept_slopes_are_those_of_the_reference(wide):
    check_against_batched(make_job("langevin", activation="tanh", d=7, **wide))


@needs_compiler
@pytest.mark.usefixtures("kept")
def test_predictions_do_without_slopes():
    g, model = np.random.default_rng(0), MlpModel(11, 7, 2, "regression", "tanh", None, 0.7)
    position, x = g.normal(size=(5, model.layout.size)), g.normal(size=(150, 11))
    predictor = FusedPredictor(model, np.float64, threads=1)
    np.testing.assert_allclose(predictor.phi(position, x), model.predict(position, x), rtol=1e-12, atol=1e-12)


@needs_nvrtc
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_records_compile_for_a_gpu(activation):
    for task in DEFAULTS:
        cubin, _ = nvrtc_compile(
            predict_device_source(MlpModel(2, 9, 1 if task == "binary" else 3, task, activation), 32)
        )
        assert cubin


def test_constants_stand_where_kernels_look():
    """In the order of their names, zeros after them."""
    for record in LIKELIHOODS.values():
        model = MlpModel(2, 3, record.outputs(1), record.name, noise_sd=0.3)
        values = packed(model.constants)
        assert len(values) == CONSTANTS
        text = network.functions(model)
        for i, name in enumerate(record.constant_names):
            assert f"static constexpr int {name.upper()} = {i};" in text
            assert values[i] == model.constants[name]
    assert packed({}) == (0.0,) * CONSTANTS
