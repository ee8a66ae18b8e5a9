"""Published beside obtained: verdicts, claims and sentences."""

import json

import numpy as np
import xarray as xr

from gpu_thermo_analysis.paper.rows import Row, best, claim, first_step, rises, sentence


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
    top = cells[int(study["loss"].to_numpy().reshape(4, 6).mean(axis=1).argmax())]
    assert best(study, top, "loss").holds
    text = sentence([Row("x", 0.5, 0.5, 0.1, 0.1, 3)], [up], True)
    assert "1 of 1 published numbers" in text
    assert "reduced size" in sentence([], [], False)


def test_runs_that_never_get_there(study: xr.Dataset):
    """Are counted, and make a ratio a lower bound, which agrees with nothing."""
    cells = json.loads(study.attrs["cells"])
    times = study["steps_to_90"].copy(data=np.where(study["cell"] == 0, np.nan, 100.0))
    rows = first_step(study.assign(steps_to_90=times), 0.9, {f"{cells[0]} / {cells[1]}": 3.0}, cells[0], cells[1])
    assert rows[0].verdict == "0 of 6 runs get there"
    assert rows[1].verdict == ""
    assert (rows[-1].obtained, rows[-1].verdict) == (3.0, "a lower bound: half the runs never get there")


def test_a_curve_that_rises_again(study: xr.Dataset):
    """By more than a tenth of its lowest point, or not."""
    cells = json.loads(study.attrs["cells"])
    up = np.where(study["cell"].to_numpy()[:, None] == 0, [5, 4, 3, 2, 2, 2.3], [6, 5, 4, 3, 2, 2.1])
    found = study.assign(curve_nll=(("chain", "step"), up))
    assert rises(found, cells[0], "nll").holds
    assert not rises(found, cells[1], "nll").holds
    assert rises(found, cells[1], "nll", expected=False).holds
