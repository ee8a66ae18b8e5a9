"""A record is all that an operation needs: array code and the kernels for a GPU do the same for every one of the table,
and with the fused kernel for made-up ones that ask for everything a record can say.
"""

from dataclasses import replace

import numpy as np
import pytest
from host_kernels import HostOperations, small_job

from gpu_thermo.cost import Count
from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.engines.base import initial_state
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import letters
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.operations import OPERATIONS, operation
from gpu_thermo.method.record import Operation
from gpu_thermo.method.updates import UPDATES
from gpu_thermo.method.words import compile_program, compile_update, parse_word
from gpu_thermo.state import Segment

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")

STEPS = 6


# -- made-up operations ------------------------------------------------------------------------------------------------


def _stir(p, g, xi, trail, n0, n1, scale, rate, tick):
    """Two normals, an array that it keeps, a coefficient of the step, two sums, and both kinds of consequence."""
    trail *= p.dtype.type(0.5)
    trail += tick * p
    p += scale.astype(p.dtype) * (n0 + trail * n1)
    square, work = (p * p).sum(1, dtype=np.float64)[:, None], (g * p).sum(1, dtype=np.float64)[:, None]
    xi += rate * square
    p *= np.exp((-rate * abs(work)).astype(p.dtype))


STIR = Operation(
    symbol="Z", formula="much at once", reference="none", act=_stir, operands=("p", "g", "xi", "trail"),
    reads=("sigma", "epsilon"), kinds="rw", normals=2, keeps=("trail",), thermostat=True,
    coefficients=lambda h, values: (values["sigma"] * h, 0.1 * h * values["epsilon"] / values["count"]),
    of_step=lambda step: (1 / (step + 1.0),),
    code=(
        "HD void stir(real& p, real& trail, real n0, real n1, real scale, real tick) {\n"
        "  trail = trail * scalar(0.5) + tick * p;\n  p += scale * (n0 + trail * n1);\n}",
        "HD real calmed(wide rate, wide work) { return exp_of(-magnitude(narrow(rate * work))); }",
        "HD void calm(real& p, real factor) { p *= factor; }",
        "HD void warm(wide& xi, wide rate, wide square) { xi += rate * square; }",
    ),
    call="stir(x.p, {trail}, {n0}, {n1}, {0}, {t0});", factors=("calmed({1}, {s1})",), sums=("p.p", "g.p"),
    settle="warm({xi}, {1}, {s0});", finish="calm(x.p, {f0});", count=Count(5, 4),
)  # fmt: skip


def _flight(q, p, noise, h, scale):
    q += h * p
    q += scale * noise


FLIGHT = Operation(
    symbol="Y", formula="a noisy flight", reference="none", act=_flight, operands=("q", "p"), reads=("sigma",),
    kinds="rr", coefficients=lambda h, values: (h, values["sigma"] * h), normals=1, drifts=True, apart="A",
    because="one kind of flight is enough.", code=(
        "HD void flight(real& q, real p, real n, real h, real scale) {\n  q += h * p;\n  q += scale * n;\n}",
    ),
    call="flight(x.q, x.p, {n}, {0}, {1});", count=Count(2),
)  # fmt: skip


@pytest.fixture
def made_up(monkeypatch):
    """The table with two more letters, for one test."""
    for record in (STIR, FLIGHT):
        monkeypatch.setitem(LETTERS, record.symbol, record)


# -- different ways of doing the same ----------------------------------------------------------------------------------


def assert_all_ways_agree(program, dtype, fused=True, masses=False):
    """States after some steps of array code, of the kernels for a GPU run as C++, and of the fused kernel."""
    job = replace(small_job("splitting", "BAOAB", dtype=dtype, partition=program.partition.kind), program=program)
    job = replace(job, hyper=replace(job.hyper, stepsize=0.1 * job.hyper.stepsize))
    if masses:
        job = replace(job, scale=np.random.default_rng(2).uniform(0.4, 1.6, job.target.layout.size))
    noise = np.random.default_rng(1).normal(size=(2, job.replicas, job.target.layout.size))
    start = initial_state(job, *noise)
    states = []
    for ways in (NumpyOperations, HostOperations, None)[: 2 + fused]:
        engine = FusedEngine(job, threads=1) if ways is None else BatchedEngine(job, threads=1)
        if ways is not None:
            engine._operations = ways
        states.append(start.copy())
        for steps in (1, STEPS - 1):
            engine.advance(states[-1], Segment(states[-1].step, steps))
    atol = 2e-5 if dtype is np.float32 else 1e-12
    for other in states[1:]:
        for name, value in states[0].arrays().items():
            np.testing.assert_allclose(other.arrays()[name], value, rtol=1e-4, atol=atol, err_msg=name)
    return start, states[0]


EVERYWHERE = [
    (symbol, kind)
    for symbol, record in OPERATIONS.items()
    for kind in ("all", "tensor")
    if kind == "all" or not record.fixed_length
]


@pytest.mark.parametrize(("symbol", "kind"), EVERYWHERE)
def test_every_operation(symbol, kind, dtype):
    partition = small_job("splitting", "BAOAB", partition=kind).program.partition
    if symbol in UPDATES:
        program = compile_update(symbol, partition)
    else:
        force = "K" if LETTERS[symbol].fixed_length else "B"
        flight = "" if "A" in LETTERS[symbol].apart else "A"
        word = parse_word(f"{force}{symbol}{flight}{symbol}{force}")
        program = compile_program(dict.fromkeys(partition.names, word), partition)
    assert_all_ways_agree(program, dtype, fused=False)


MADE_UP = [("BAZB", "all"), ("ZBAZZB", "tensor"), ("BACZDEFZAB", "all"), ("YBY", "tensor"), ("BYZYB", "tensor")]


def by_turns(cases):
    """Each case in one precision, the next in the other; slow: all in both."""
    for i, case in enumerate(cases):
        for j, dtype in enumerate((np.float32, np.float64)):
            marks = [] if (i + j) % 2 == 0 else [pytest.mark.slow]
            yield pytest.param(*case, dtype, marks=marks, id=f"{dtype.__name__}-{'-'.join(case)}")


@pytest.mark.parametrize(("word", "kind", "dtype"), [*by_turns(MADE_UP)])
def test_made_up_letters(made_up, word, kind, dtype):
    """... in words beside others, in every place, and beside partitions with other words."""
    partition = small_job("splitting", "BAOAB", partition=kind).program.partition
    words = dict.fromkeys(partition.names, parse_word(word))
    if kind == "tensor":
        words["b1"] = parse_word({"YBY": "ABOBA", "BYZYB": "BAOAB", "ZBAZZB": "BAB"}[word])
    start, end = assert_all_ways_agree(compile_program(words, partition), dtype)
    moved = {name for name, value in end.arrays().items() if (value != start.arrays()[name]).any()}
    assert {"position", "momentum"} <= moved
    assert ("Z" in word) == ("extra/trail" in moved)


MASSES = [("BAZB", "all"), ("YBY", "tensor"), ("AOBOA", "tensor"), ("KASAK", "all")]


@pytest.mark.parametrize(("word", "kind", "dtype"), [*by_turns(MASSES)])
def test_masses(made_up, word, kind, dtype):
    """All that a letter adds to theta is multiplied, a noisy flight's noise too, and a flight next to noise."""
    partition = small_job("splitting", "BAOAB", partition=kind).program.partition
    program = compile_program(dict.fromkeys(partition.names, parse_word(word)), partition)
    _, with_masses = assert_all_ways_agree(program, dtype, masses=True)
    _, without = assert_all_ways_agree(program, dtype)
    assert (with_masses.position != without.position).any()


def test_made_up_letters_in_words(made_up):
    """Noise indices leave room for both normals; flights count as A does; letters that stand apart are refused."""
    chunk = [(letter, sub) for c in parse_word("BAZDZB").chunks() for letter, _, sub in c]
    assert chunk == [("B", 0), ("A", 0), ("Z", 0), ("D", 2), ("Z", 3), ("B", 0)]
    assert parse_word("BYBYB").force_fractions == parse_word("BABAB").force_fractions
    with pytest.raises(SpecError, match=r"'BAYB' has Y together with A: one kind of flight is enough\."):
        parse_word("BAYB")
    with pytest.raises(SpecError, match="'BZB' has no A or U or Y: nothing moves the position"):
        parse_word("BZB")


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_unknown_operation_is_an_error():
    with pytest.raises(SpecError, match=r"There is no operation 'Q'\. Letters: A B "):
        operation("Q")
    partition = small_job("splitting", "BAOAB").program.partition
    with pytest.raises(SpecError, match="There is no operation 'rmsdrop'"):
        compile_update("rmsdrop", partition)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"call": "kick(x.p, x.g, {1});"}, "unknown name in call: 1"),
        ({"call": "kick(x.p, x.g, {f0});"}, "unknown name in call: f0"),
        ({"call": "kick(x.p, x.g, {s0});"}, "unknown name in call: s0"),
        ({"operands": ("p", "m")}, "unknown operand: m"),
        ({"kinds": "d"}, "unknown type of coefficient: d"),
        ({"normals": 1, "several": False}, "a normal that call does not use: n"),
        ({"reads": ("sigma",)}, "for several partitions at once: sigma"),
        ({"sums": ("q.q",)}, "unknown sum: q.q"),
        ({"sums": ("p.p",), "several": False}, "sums and what comes of them"),
        ({"call": ""}, "give it a call"),
        ({"factors": ("f({s0})",), "call": "kick(x.p, x.g, {f0});"}, "unknown name in factors: s0"),
        ({"sums": ("p.p",), "finish": "a({f0});", "factors": ("f({s0})",), "call": "b({f0});", "several": False},
         "a sum before there is one, in call: s0"),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_together_is_refused(change, message):
    with pytest.raises(ValueError, match=f"operation B: .*{message}"):
        replace(letters.B, **change)
