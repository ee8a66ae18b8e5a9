"""Published beside obtained: verdicts, claims and sentences."""

import json

import numpy as np
import xarray as xr

from gpu_thermo_analysis.paper.rows import Row, best, claim, final, first_step, rises, sentence


def test_verdicts():
    """Close, within the spread, or not."""
    assert Row("a", 0.9, 0.91, 0.01, 0.02, 10).verdict == "agrees"
    assert Row("a", 0.9, 0.8, 0.01, 0.06, 10).verdict == "lower, within the spread"
    assert Row("a", 0.9, 0.8, 0.01, 0.02, 10).verdict == "lower by 0.1"
    assert Row("a", None, 0.8, 0.01, 0.02, 10).verdict == ""


def test_claims_follow_the_runs(study: xr.Dataset):
    """A claim and its opposite never both hold; the sentence says which is which."""
    cells = json.loads(study.attrs["cells"])
    up, down = (
        claim(study, "up", cells[0], ">", cells[1], "loss"),
        claim(study, "down", cells[0], "<", cells[1], "loss"),
    )
    assert {up.holds, down.holds} in ({True, False}, {None})
    apart = study.assign(loss=study["loss"] + 0.5 * (study["cell"] == 1))
    assert [best(apart, c, "loss").holds for c in cells[:2]] == [False, True]
    assert best(study.assign(loss=study["loss"] * 0 + study["seed_index"]), cells[0], "loss").holds is None
    text = sentence([Row("x", 0.5, 0.5, 0.1, 0.1, 3)], [up], True)
    assert "1 of 1 published numbers" in text
    assert "reduced size" in sentence([], [], False)


def test_runs_that_never_get_there(study: xr.Dataset):
    """Are counted, later than the end, and make a ratio a lower bound, which agrees with nothing."""
    cells = json.loads(study.attrs["cells"])
    published = {f"{cells[0]} / {cells[1]}": 3.0}
    times = study["steps_to_90"].copy(data=np.where(study["cell"] == 0, np.nan, 100.0))
    never = study.assign(steps_to_90=times)
    rows = first_step(never, 0.9, published, cells[0], cells[1])
    assert (rows[0].verdict, rows[0].bound, rows[0].obtained, rows[0].counted) == (
        "0 of 6 runs get there", ">", 300.0, "0 of 6",
    )  # fmt: skip
    assert (rows[1].verdict, rows[1].obtained, rows[1].counted) == ("", 100.0, "6")
    assert (rows[-1].obtained, rows[-1].bound) == (3.0, ">")
    assert rows[-1].verdict == "a lower bound: half the runs never get there"
    assert claim(never, "slower", cells[0], ">", cells[1], "steps_to_90").holds
    assert "> 300 (never) (0 of 6 runs)" in claim(never, "slower", cells[0], ">", cells[1], "steps_to_90").evidence
    other = first_step(never, 0.9, published, cells[1], cells[0])[-1]
    assert (other.obtained, other.bound) == (100 / 300, "<")
    neither = first_step(study.assign(steps_to_90=times * np.nan), 0.9, published, cells[0], cells[1])[-1]
    assert np.isnan(neither.obtained)
    exact = first_step(study.assign(steps_to_90=times.fillna(200.0)), 0.9, published, cells[0], cells[1])[-1]
    assert (exact.obtained, exact.error, exact.bound) == (2.0, 0.0, "")


def test_survivors_win_no_claim(study: xr.Dataset):
    """The best mean of those that finished is not the best; a curve is judged where all runs are there."""
    cells = json.loads(study.attrs["cells"])
    high = np.where(study["cell"] == 1, 0.9, 0.5)
    lucky = study.assign(accuracy=("chain", np.where((study["cell"] == 1) & (study["seed_index"] > 0), np.nan, high)))
    assert best(lucky, cells[1]).holds is not True
    assert claim(lucky, "", cells[1], ">", cells[0]).holds is not True
    assert "1 of 6 runs" in claim(lucky, "", cells[1], ">", cells[0]).evidence
    assert claim(lucky, "", cells[1], ">", cells[0], kind="sd").holds is None
    (row,) = (r for r in final(lucky, {}) if r.what == cells[1])
    assert row.counted == "1 of 6"
    curve = np.tile([2.0, 1.0, 1.0, 2.0, 2.0, 3.0], (24, 1))
    curve[8, 3:] = np.nan
    found = study.assign(curve_nll=(("chain", "step"), curve))
    assert rises(found, cells[0], "nll").holds
    assert rises(found, cells[1], "nll").holds is None
    assert "5 of 6 runs finished" in rises(found, cells[1], "nll").evidence


def test_a_curve_that_rises_again(study: xr.Dataset):
    """By more than a tenth of its lowest point, or not."""
    cells = json.loads(study.attrs["cells"])
    up = np.where(study["cell"].to_numpy()[:, None] == 0, [5, 4, 3, 2, 2, 2.3], [6, 5, 4, 3, 2, 2.1])
    found = study.assign(curve_nll=(("chain", "step"), up))
    assert rises(found, cells[0], "nll").holds
    assert not rises(found, cells[1], "nll").holds
    assert rises(found, cells[1], "nll", expected=False).holds
