"""The combinations that the contracts are tried in."""

from itertools import combinations, product

from cover import covering

FACTORS = {"a": list("abcdefgh"), "b": [1, 2, 3], "c": [True, False], "d": "xyz", "e": [0, 1, 2, 3]}


def test_all_pairs_meet_in_few_combinations():
    cases = covering(FACTORS)
    for one, other in combinations(FACTORS, 2):
        assert {(c[one], c[other]) for c in cases} == set(product(FACTORS[one], FACTORS[other]))
    assert len(cases) < 8 * 4 * 1.4


def test_chosen_factors_meet_in_full():
    cases = covering(FACTORS, most=("a", "b", "c"))
    assert {(c["a"], c["b"], c["c"]) for c in cases} == set(product(*(FACTORS[k] for k in "abc")))
    assert len(cases) < 60


def test_factors_that_are_apart_need_not_meet():
    factors = FACTORS | {"e": range(8)}
    cases = covering(factors, apart=[{"a", "e"}])
    for one, other in combinations(factors, 2):
        met = {(c[one], c[other]) for c in cases} == set(product(factors[one], factors[other]))
        assert met or {one, other} == {"a", "e"}
    assert len(cases) < 8 * 3 * 1.6
    assert len(covering(factors)) >= 64
    assert len({(c["a"], c["e"]) for c in cases}) > 24, "those that need not meet take turns"
