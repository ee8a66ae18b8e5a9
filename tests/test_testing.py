"""`check_operation` holds for every record of the package, and sees each mistake that it says it sees."""

from dataclasses import replace

import numpy as np
import pytest

from gpu_thermo.cost import Count
from gpu_thermo.errors import CompileError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.letters import A, B, C, D, O, U
from gpu_thermo.method.operations import OPERATIONS
from gpu_thermo.method.record import Operation
from gpu_thermo.method.updates import SGHMC
from gpu_thermo.registration import registered
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.priors import PRIORS
from gpu_thermo.testing import ContractError, check_operation

compiled = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow
OURS = {
    **{f"operation {name}": record for name, record in OPERATIONS.items()},
    **{f"activation {name}": record for name, record in ACTIVATIONS.items()},
    **{f"prior {name}": record for name, record in PRIORS.items()},
    **{f"likelihood {name}": record for name, record in LIKELIHOODS.items() if record.own is None},
}
QUICK = ("operation U", "operation psgld", "activation silu", "prior laplace", "likelihood multiclass",
         "likelihood poisson")  # fmt: skip


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=slow) for n in OURS])
def test_ours_hold(name):
    found = check_operation(OURS[name])
    assert all(each.holds is not False for each in found)
    assert sum(each.holds is True for each in found) >= 4
    assert not registered()


def test_a_record_of_ones_own_need_not_be_registered():
    assert any("bit for bit" in each.what for each in check_operation(replace(A, symbol="J", code=(), call="")))
    assert not registered()


def shared(p, gradient, h):
    """A kick by the mean over replicas."""
    p -= h * gradient.mean(axis=0)


def widened(p, gradient, h):
    """Float64 between, which it may be; its result has another value."""
    p -= np.float32(1.001) * h * gradient if p.dtype == np.float32 else h * gradient


def by_position(theta, p, h):
    """A flight that depends on where it starts."""
    theta += h * p * theta


QUIET = {"code": (), "call": ""}
TANH, NORMAL, GAUSSIAN = ACTIVATIONS["tanh"], PRIORS["normal"], LIKELIHOODS["gaussian"]
MISTAKES = {
    "replicas do not see each other": replace(B, symbol="H", act=shared, **QUIET),
    "float32 as float64": replace(B, symbol="H", act=widened, **QUIET),
    "does not depend on q": replace(A, symbol="J", act=by_position, **QUIET),
    "changes something": replace(B, symbol="H", act=lambda p, g, h: p - h * g, **QUIET),
    "normal 1 is used": replace(
        U, symbol="W", act=lambda q, p, n, m, *c: U.act(q, p, n, n, *c), apart="ACDEF", **QUIET
    ),
    "h = 0 does nothing": replace(C, symbol="L", act=lambda p, xi, h: np.multiply(p, 0.9, out=p), **QUIET),
    "the slope is that of the value": replace(TANH, name="bad", slope=lambda z, value, xp: 1 - value, code=None),
    "homogeneous": replace(TANH, name="bad", homogeneous=True, code=None),
    "slope is factor times": replace(NORMAL, name="bad", slope=lambda t, c: 2 * c["precision"] * t, code=None),
    "draws of scale 1 have that law": replace(NORMAL, name="bad", draw=lambda n: 1.1 * n[0], code=None),
    "have both signs": replace(NORMAL, name="bad", draw=lambda n: abs(n[0]), code=None),
    "residual is the slope": replace(GAUSSIAN, name="bad", residual=lambda f, y, c, xp: f - y, code=None),
    "density of an answer integrates to 1": replace(
        GAUSSIAN, name="bad", losses=lambda f, y, c, xp: GAUSSIAN.losses(f, y, c, xp) + 0.1, code=None
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_mistakes_are_seen(what):
    with pytest.raises(ContractError, match=f"FAILS    [^\n]*{what}"):
        check_operation(MISTAKES[what])
    assert not registered()


@compiled
@pytest.mark.parametrize("record", [
    replace(O, symbol="L", code=("HD void mine(real& p, real n, real a, real b) { p = a * p + a * n; }",),
            call="mine(x.p, {n}, {0}, {1});", apart=""),
    replace(SGHMC, symbol="mine", code=("HD void mine(real& q, real& p, real g, real n) { p -= g + n; q += p; }",),
            call="mine(x.q, x.p, x.g, {n});"),
    replace(TANH, name="bad", code=ACTIVATIONS["sine"].code),
])  # fmt: skip
def test_c_that_does_something_else_is_seen(record):
    with pytest.raises(ContractError, match="FAILS    the fused engine does as array code"):
        check_operation(record)


@compiled
def test_c_that_does_not_compile_shows_its_lines():
    with pytest.raises(CompileError, match=r"(?s)\d+.*p -= oops"):
        check_operation(replace(B, symbol="H", code=("HD void push(real& p) { p -= oops; }",), call="push(x.p);"))


def test_reversibility_is_told():
    """A flow comes back; friction with noise is left out, and what is no flow has no inverse."""

    def told(record):
        return next(each for each in check_operation(replace(record, **QUIET)) if each.what.startswith("reversible"))

    assert told(replace(B, symbol="H")).holds is True
    assert told(replace(D, symbol="L", apart="")).holds is None
    no_flow = Operation(
        symbol="L", formula="p = p + h p^2", reference="here", act=lambda p, h: np.add(p, h * p * p, out=p),
        operands=("p",), coefficients=lambda h, values: (h,), kinds="r", count=Count(1, 1),
    )  # fmt: skip
    assert "no inverse" in told(no_flow).found
