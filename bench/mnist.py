"""MNIST: LMV's network 784-100-10 and 784-32-32-10, averages over ensembles; accuracy, calibration, Fashion-MNIST told
apart, and steps a second beside JAX and PyTorch.

`python -m bench.mnist [--mnist DATA/mnist] [--fashion /usr/share/datasets/fashion-mnist] [--cells ...]
[--seeds 3] [--steps 10000]` goes on where its result ends; `--speed` times the contenders of bench.compare instead.

Both folders hold the four IDX files; Debian's package dataset-fashion-mnist installs the second, without which nothing
is said of what is out of distribution. Nothing is downloaded. Inputs are bytes / 255, relu, B 100, 16 networks; draws
are from the second half of the steps, one every 500. AdLaLa is that of LMV's fig. 10, BAOAB that of fig. 1 with four
tau's at h .4 and friction 10, without a prior as there; "Bayes" is BAOAB at T = 1 with normal priors of fan_in. Adam at
.001, of the same number of networks at their last step, is a deep ensemble. Settings, seeds and lengths were committed
before the first scored run; nothing is chosen on the test images; every row stays listed.

Share of wrong labels, NLL (nats an image), ECE (15 bins of the largest probability), and AUROC: how well the entropy of
the averaged prediction, and the mutual information, tell 10,000 test images from as many of Fashion-MNIST. Seconds are
of the processor over 2, and of the clock, predictions and the store aside; bytes are the store's images on disk.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import gpu_thermo as gt
from gpu_thermo.data.arrays import read_images
from gpu_thermo.run import Interrupted

from . import compare, contenders
from .cases import Case
from .common import DATA, RESULTS, save
from .eight import scores_of_classes
from .race.clock import begun
from .rows import grow

PLACE = RESULTS / "mnist.json"
REPLICAS, BATCH, THIN, STEPS, SEEDS = 16, 100, 500, 10_000, 3
SHAPES = {"784-100-10": [100], "784-32-32-10": [32, 32]}
TAUS = (1e-8, 1e-7, 1e-6, 1e-5)
Method = dict[str, Any]


def _methods() -> dict[str, tuple[Method, dict[str, Any]]]:
    """[method], and what [model] says beside the shape."""
    plain = {"init": "pytorch"}
    adlala = {"name": "adlala", "stepsize": 0.25, "temperature": 1e-4, "sigma": 0.01, "epsilon": 0.05, "friction": 0.1}
    langevin = {"name": "langevin", "friction": 10.0}
    out: dict[str, tuple[Method, dict[str, Any]]] = {"Adam": ({"name": "adam", "stepsize": 0.001}, plain)}
    out["AdLaLa, fig. 10"] = adlala, plain
    out |= {f"BAOAB, tau {tau:g}": (langevin | {"stepsize": 0.4, "temperature": tau}, plain) for tau in TAUS}
    bayes = {"name": "langevin", "stepsize": 0.1, "friction": 1.0, "posterior_temperature": 1.0}
    return out | {"BAOAB, Bayes": (bayes, plain | {"prior_sd": "fan_in"})}


METHODS = _methods()


def spec_of(shape: str, method: str, folder: Path, steps: int, seed: int) -> dict[str, Any]:
    """The run of a cell; of Adam the last step alone is kept."""
    how, more = METHODS[method]
    thin = 1 if method == "Adam" else min(THIN, steps // 2)
    burn_in = steps - 1 if method == "Adam" else steps - steps // 2 // thin * thin
    run = {"replicas": REPLICAS, "steps": steps, "burn_in": burn_in, "thin": thin, "trace": steps, "batch": BATCH,
           "seed": seed, "keep": ["parameters"]}  # fmt: skip
    model = {"hidden": SHAPES[shape], "activation": "relu", **more}
    return {"data": {"name": "mnist", "path": str(folder)}, "model": model, "method": how, "run": run}


def row(key: Mapping[str, Any], folder: Path, other: Path | None, steps: int) -> dict[str, Any]:
    """A run into a store, and what its average says of both test parts."""
    spec = spec_of(key["shape"], key["method"], folder, steps, key["seed"])
    with tempfile.TemporaryDirectory() as place:
        store = Path(place) / "run.zarr"
        taken = begun()
        try:
            gt.sample(spec, store=store).close()
        except Interrupted:
            raise
        except gt.GpuThermoError as error:
            return {"failed": str(error)[:200]}
        spent = taken()
        held = sum(f.stat().st_size for f in (store / "constant_data").rglob("*") if f.is_file())
        with gt.open_run(store) as tree:
            frozen = int((tree["sample_stats"]["status"].to_numpy() != 0).sum())
            return judged(tree, folder, other) | spent | {"bytes": held, "frozen": frozen, "steps": steps}


def judged(tree: Any, folder: Path, other: Path | None) -> dict[str, Any]:
    """Scores on the test part, and how well it is told from another's."""
    own = read_images(folder)
    seen = gt.predict(tree, own.x_test / 255)
    scores: dict[str, Any] = scores_of_classes(seen["mean"].to_numpy()[0], own.y_test)
    if other is None:
        return scores
    from sklearn.metrics import roc_auc_score

    strange = gt.predict(tree, read_images(other).x_test / 255)
    for name, by in (("entropy", "auroc_entropy"), ("mutual_information", "auroc_information")):
        both = np.concatenate([seen[name].to_numpy().ravel(), strange[name].to_numpy().ravel()])
        truth = np.arange(len(both)) >= len(own.x_test)
        scores[by] = float(roc_auc_score(truth, both))
    return scores


def line(found: Mapping[str, Any]) -> str:
    """For reading."""
    head = f"{found['shape']:13} {found['method']:18} seed {found['seed']} "
    if "failed" in found:
        return head + found["failed"]
    told = f"  AUROC {found['auroc_entropy']:.3f}" if "auroc_entropy" in found else ""
    return (
        f"{head} wrong {100 * found['error']:.2f} %  NLL {found['nll']:.4f}  ECE {found['ece']:.4f}{told}"
        f"  {found['seconds']:.0f} s"
    )


# -- speed -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images(Case):
    """AdLaLa on 784-100-10, of files at `path`."""

    path: str = ""

    def tree(self, replicas: int) -> dict[str, Any]:
        """Its spec."""
        return super().tree(replicas) | {"data": {"name": "mnist", "path": self.path}}


def speed(folder: Path, replicas: list[int], pairs: int, only: list[str] | None, seconds: float) -> dict[str, Any]:
    """Contenders of bench.compare, interleaved."""
    points = len(read_images(folder).x_train)
    case = Images("mnist", "mnist", 784, 100, 10, points, BATCH, str(folder))
    chosen = only or contenders.names()
    found = {}
    for many in replicas:
        found[str(many)] = compare.measure(case, many, pairs, chosen, seconds)
        compare.show(f"784-100-10, R {many}", found[str(many)])
    return found


def main(given: list[str] | None = None) -> None:
    """Seed after seed, all cells of each; or the speed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, default=DATA / "mnist")
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES], choices=[*SHAPES])
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=[*METHODS])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--speed", action="store_true", help="time contenders instead")
    parser.add_argument("--replicas", nargs="+", type=int, default=[16, 128], help="of the speed")
    parser.add_argument("--pairs", type=int, default=5, help="rounds of the speed")
    parser.add_argument("--only", nargs="+", help="contenders of the speed")
    parser.add_argument("--seconds", type=float, default=0.7, help="of one timing")
    parser.add_argument("--out", type=Path, default=PLACE)
    asked = parser.parse_args(given)
    if asked.speed:
        found = speed(asked.mnist.absolute(), asked.replicas, asked.pairs, asked.only, asked.seconds)
        save(f"{asked.out.stem}_speed", {"replicas": found}, asked.out.parent)
        return
    other = asked.fashion if asked.fashion.exists() else None
    if other is None:
        print(f"{asked.fashion} is not there: nothing is said of images out of distribution (--fashion FOLDER)")
    keys = (
        {"shape": shape, "method": method, "seed": seed}
        for seed in range(asked.seeds) for shape in asked.shapes for method in asked.methods
    )  # fmt: skip
    told = {"settings": json.loads(json.dumps({name: how for name, (how, _) in METHODS.items()})), "steps": asked.steps}
    grow(asked.out, keys, lambda key: row(key, asked.mnist.absolute(), other, asked.steps), told, line)


if __name__ == "__main__":
    main()
