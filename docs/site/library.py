"""Pages of the library's public names, from their docstrings."""

import inspect
import re
from typing import Any

MORE: dict[str, str] = {
    "gpu_thermo.estimators.load": "load",
    "gpu_thermo.estimators.from_run": "from_run",
    "gpu_thermo.testing.check_operation": "check_operation",
    "gpu_thermo.testing.ContractError": "ContractError",
    "gpu_thermo.testing.Finding": "Finding",
    "gpu_thermo.method.record.Operation": "Operation",
    "gpu_thermo.targets.activations.Activation": "Activation",
    "gpu_thermo.targets.priors.Prior": "Prior",
    "gpu_thermo.targets.likelihoods.Likelihood": "Likelihood",
}
"""Public names beside those of `gpu_thermo` itself: what a record of one's own needs."""
ELSEWHERE = {
    "study": "gpu_thermo.study.conduct.study",
    "GpuThermoError": "gpu_thermo.errors.GpuThermoError",
    "Status": "gpu_thermo.errors.Status",
}
"""Names that are shown by their home: a package that can be called has its docstring there, and of a module whose names
are shown in two ways only one is linked to.
"""
MEMBERS = ("BayesianMLPRegressor", "BayesianMLPClassifier", "RunSpec", "Status", "Dataset")
"""Classes whose own methods stand on their page."""


def pages() -> dict[str, str]:
    """Name and text of a page for every public name."""
    return {name: _page(name, full) for name, full in _names().items()}


def abouts() -> dict[str, str]:
    """What each public name is, by its page: its docstring's first sentence, as markdown."""
    told = {
        name: " ".join((inspect.getdoc(_find(full)) or "").partition("\n\n")[0].split())
        for name, full in _names().items()
    }
    return {name: re.sub(r"([*\[<])", r"\\\1", re.split(r"(?<=\.) ", text)[0]) for name, text in told.items()}


def _names() -> dict[str, str]:
    """Where every public name stands, by its page."""
    import gpu_thermo

    own = {name: ELSEWHERE.get(name, f"gpu_thermo.{name}") for name in gpu_thermo.__all__ if name != "__version__"}
    everything = own | {page: full for full, page in MORE.items()}
    return dict(sorted(everything.items(), key=lambda item: item[0].lower()))


def _page(name: str, full: str) -> str:
    found = _find(full)
    lines = [f"# {name}", _summary(found), "```{eval-rst}"]
    lines.append(f".. auto{'class' if inspect.isclass(found) else 'function'}:: {full}")
    if name in MEMBERS:
        lines += ["   :members:", "   :inherited-members: BaseEstimator, BaseModel, int"]
        lines += ["   :exclude-members: get_metadata_routing, set_fit_request, set_score_request, set_predict_request"]
    return "\n".join([lines[0], "", lines[1], "", *lines[2:], "```", ""])


def classes(title: str, names: list[str]) -> str:
    """A part of a page with the docstrings of several classes."""
    shown = "\n\n".join(f".. autoclass:: {name}\n   :show-inheritance:" for name in names)
    return f"\n## {title}\n\n```{{eval-rst}}\n{shown}\n```\n"


def _find(full: str) -> Any:
    from importlib import import_module

    module, _, name = full.rpartition(".")
    return getattr(import_module(module), name)


def _summary(found: Any) -> str:
    kind = "class" if inspect.isclass(found) else "function"
    return f"A {kind} of `{found.__module__}`."
