"""Pictures of a grid of settings, which the playground's sliders choose from; the live notebook needs Python.

`python -m docs.site playground` makes them again (a minute or two of processor time) and keeps them in docs/playground.
"""

import importlib.util
import itertools
import json
from types import ModuleType

import numpy as np

from .staging import DOCS

FOLDER = DOCS / "playground"
AXES: dict[str, tuple[float, ...]] = {
    "stepsize": (0.02, 0.1, 0.3, 0.6),
    "temperature": (0.0005, 0.005, 0.05),
    "friction": (0.03, 0.3, 3.0),
}
NAMES = {"stepsize": "h, stepsize", "temperature": "tau, temperature", "friction": "gamma, friction"}
STEPS, SIDE = 6000, 72
VARIABLE = "const playground = "
"""What grid.js begins with: pages from a disk may read scripts, and no data."""


def maps() -> ModuleType:
    """docs/playground/maps.py, which the notebook uses, too."""
    spec = importlib.util.spec_from_file_location("playground_maps", FOLDER / "maps.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(FOLDER / "maps.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings() -> list[dict[str, float]]:
    """Every setting of the grid, in the order of the tiles."""
    return [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]


def make() -> None:
    """Run every setting; its two maps as a row of one picture, and its numbers."""
    from matplotlib import colormaps, image

    tiles, numbers = [], []
    for setting in settings():
        mean, information, told = _run(setting)
        pair = [colormaps["RdBu"](mean), colormaps["viridis"](information / np.log(2))]
        tiles.append(np.concatenate([tile[::-1] for tile in pair], axis=1))
        numbers.append(told)
    image.imsave(FOLDER / "grid.png", (np.concatenate(tiles)[..., :3] * 255).round().astype(np.uint8))
    told = {"axes": AXES, "names": NAMES, "steps": STEPS, "numbers": numbers}
    (FOLDER / "grid.js").write_text(f"{VARIABLE}{json.dumps(told, indent=1)};\n")


def _run(setting: dict[str, float]) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    theirs = maps()
    mean, information, last = theirs.maps(theirs.live(**setting), STEPS, SIDE)
    ok = last.status == 0
    return mean, information, {
        "accuracy": round(float(np.mean(last.statistics["test_accuracy"][ok])), 3),
        "energy": round(float(last.energy[ok].mean()), 3),
        "kinetic": round(float(last.kinetic_temperature[ok].mean() / setting["temperature"]), 2),
        "frozen": int((~ok).sum()),
    }  # fmt: skip
