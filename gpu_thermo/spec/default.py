"""The main job: what `sample` runs without a spec. A posterior that its own verdict trusts."""

from collections.abc import Sequence
from typing import Any

from .run import TUNED, RunSpec
from .text import apply_overrides

MAIN: dict[str, Any] = {
    "data": {"name": "spirals", "turns": 2.0, "train": 500, "test": 500},
    "model": {"hidden": 50, "activation": "tanh", "prior_sd": 3.0},
    "method": {"name": "langevin", "posterior_temperature": 1.0},
    "run": {"replicas": 128, "tolerance": 0.05, "minibatch": "full"},
}
"""Two-turn spirals, 50 tanh units under a normal prior of sd 3, at temperature 1 on all points, tuned."""
GIVEN_LENGTH: dict[str, Any] = {"stepsize": 0.3, "friction": 0.03}
"""Its [method] where a length is given in place of the tolerance, so that nothing is tuned."""


def default_spec(overrides: Sequence[str] = ()) -> RunSpec:
    """The main job with `--set` style overrides; a length (run.steps, burn_in, thin or trace) takes the place of the
    tolerance.
    """
    sections = {name: dict(section) for name, section in MAIN.items()}
    keys = [text.partition("=")[0].strip() for text in overrides]
    if any(key in [f"run.{name}" for name in TUNED] for key in keys) and "run.tolerance" not in keys:
        del sections["run"]["tolerance"]
        sections["method"] |= GIVEN_LENGTH
    return RunSpec.from_dict(apply_overrides(sections, overrides))
