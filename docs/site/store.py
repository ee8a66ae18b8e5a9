"""The table of every variable of a store, read off a small run."""

from typing import Any

from gpu_thermo_cli import reference

SPEC: dict[str, Any] = {
    "data": {"name": "spirals", "train": 20, "test": 10},
    "model": {"hidden": 3, "prior_sd": 1.0},
    "method": {"name": "langevin", "stepsize": 0.1, "posterior_temperature": 1.0},
    "run": {
        "replicas": 2, "steps": 4, "burn_in": 0, "thin": 2, "trace": 2,
        "keep": ["parameters", "predictions", "momenta", "log_likelihood"],
    },
}  # fmt: skip


def store_page() -> str:
    """Every variable by group, with its axes, type, unit and meaning."""
    import gpu_thermo

    tree = gpu_thermo.sample(SPEC, engine="batched")
    parts = [
        "# Every variable of a store",
        "Read off a small run of one hidden layer when the site is built. Moves and runs that tune themselves add"
        " more, which say in their attributes what they are.",
    ]
    for name, group in sorted(tree.children.items()):
        if group.variables:
            parts += [f"## {name}", reference.rows(("variable", "dims", "type", "unit", "meaning"), _lines(group))]
    return "\n\n".join(parts) + "\n"


def _lines(group: Any) -> Any:
    for name, values in group.variables.items():
        kind = "text" if values.dtype.kind in "TUO" else str(values.dtype)
        about = values.attrs
        yield f"`{name}`", ", ".join(values.dims), kind, about.get("units", ""), about.get("long_name", "")
