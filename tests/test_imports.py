"""Imports point one way (architecture.md), and importing the library stays light."""

import ast
import inspect
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [  # a folder imports from its own and earlier layers only
    {"errors", "state", "clock", "streams", "cost"},
    {"method", "data", "tuning"},
    {"moves", "targets"},
    {"registration"},
    {"spec", "kernels"},
    {"engines"},
    {"store"},
    {"averages"},
    {"running"},
    {"run"},
    {"watching"},
    {"study", "verify", "estimators", "settle"},
    {"testing"},
]
LEVEL = {name: i for i, layer in enumerate(LAYERS) for name in layer}
HEAVY = ("cupy", "dask", "distributed", "matplotlib", "zarr", "jax", "torch")
FOLDERS = [ROOT / name for name in ("gpu_thermo", "cli", "analysis", "tests", "bench")]
FILES = [f for folder in FOLDERS for f in sorted(folder.rglob("*.py"))]


def imported(path, package):
    """Absolute dotted names that a file imports, each with whether it is at module level."""
    tree = ast.parse(path.read_text())
    top = {id(n) for n in tree.body}
    for n in ast.walk(tree):
        if isinstance(n, ast.Import):
            yield from ((a.name, id(n) in top) for a in n.names)
        elif isinstance(n, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - n.level + 1] if n.level else []
            module = ".".join([*base, *(n.module or "").split(".")]).strip(".")
            yield from ((f"{module}.{a.name}", id(n) in top) for a in n.names)


def package_of(path):
    """Dotted package that relative imports of a library file start from."""
    return ".".join(path.relative_to(ROOT).parent.parts)


def modules():
    """(file, its top-level module, the top-level modules it imports)."""
    for path in sorted((ROOT / "gpu_thermo").rglob("*.py")):
        own = path.relative_to(ROOT / "gpu_thermo").parts[0].removesuffix(".py")
        names = [name.split(".") for name, _ in imported(path, package_of(path))]
        used = {
            parts[1] for parts in names if parts[0] == "gpu_thermo" and len(parts) > 1 and not parts[1].startswith("__")
        }
        yield path, own, used - {own}


def test_every_module_has_its_place():
    assert {own for _, own, _ in modules()} - {"__init__"} <= set(LEVEL)


def test_imports_point_one_way():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, own, used in modules() if own != "__init__" for name in used if LEVEL[name] > LEVEL[own]
    ]  # fmt: skip
    assert not wrong


def module_graph(folder, package):
    """Each module below `folder` with the modules below it that it imports, at any depth; a package's own face
    (__init__) is a module too.
    """
    paths = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        paths[".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))] = path
    graph = {}
    for name, path in paths.items():
        inside = ".".join((package, *path.relative_to(folder).parent.parts))
        found = set()
        for imported_name, _ in imported(path, inside):
            module = imported_name if imported_name in paths else imported_name.rpartition(".")[0]
            if module in paths:
                found.add(module)
        graph[name] = found - {name}
    return graph


@pytest.mark.parametrize(
    ("folder", "package"),
    [("gpu_thermo", "gpu_thermo"), ("cli", "gpu_thermo_cli"), ("analysis", "gpu_thermo_analysis")],
)
def test_there_are_no_cycles(folder, package):
    """Between modules, at any depth, within folders too."""
    graph = module_graph(ROOT / folder, package)
    graph.pop(package)  # the face of the whole package loads names on demand
    TopologicalSorter(graph).prepare()


def test_a_cycle_within_a_folder_is_found(tmp_path):
    for name, text in {
        "a": "from .b import x",
        "b": "from . import c",
        "c": "from .a import y",
        "__init__": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    with pytest.raises(CycleError):
        TopologicalSorter(module_graph(tmp_path, "p")).prepare()


def test_analysis_reads_stores():
    """Never engines, kernels, moves or runs: figures need no sampler."""
    for path in sorted((ROOT / "analysis").rglob("*.py")):
        for name, _ in imported(path, "gpu_thermo_analysis"):
            parts = name.split(".")
            assert parts[0] != "gpu_thermo" or parts[1] not in ("engines", "kernels", "moves", "run", "running"), (
                f"{path.name}: {name}"
            )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_banned_names(path):
    """`cli` and `analysis` are folders, gpu_thermo_cli and gpu_thermo_analysis the packages; heavy ones are imported
    where needed.
    """
    package = package_of(path) if path.is_relative_to(ROOT / "gpu_thermo") else "elsewhere"
    for name, at_top in imported(path, package):
        first = name.split(".")[0]
        assert first not in ("cli", "analysis"), name
        if path.is_relative_to(ROOT / "gpu_thermo"):
            assert first not in ("gpu_thermo_cli", "gpu_thermo_analysis"), name
            assert not (at_top and first in ("cupy", "dask", "distributed", "matplotlib", "jax", "torch")), name


def modules_after(code):
    """Top-level modules loaded by a fresh interpreter after `code`."""
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_importing_the_library_is_light():
    assert not modules_after("import gpu_thermo") & set(HEAVY)
    assert not modules_after("import gpu_thermo; gpu_thermo.RunSpec()") & set(HEAVY)


def test_sampling_on_the_cpu_needs_no_gpu_package():
    code = """
from gpu_thermo.running.setup import prepare
from gpu_thermo.engines import BatchedEngine
from gpu_thermo.spec import RunSpec
from gpu_thermo.state import Segment
ready = prepare(RunSpec.from_dict({"run": {"replicas": 2}, "data": {"train": 20, "test": 2}}))
BatchedEngine(ready.job).advance(ready.initial_state(), Segment(0, 2))
"""
    assert not modules_after(code) & {"cupy", "dask", "distributed", "matplotlib"}


def test_public_names_resolve():
    """Also after every submodule was imported, whose names the package then has."""
    import gpu_thermo
    import gpu_thermo.run

    assert gpu_thermo.__all__
    for name in gpu_thermo.__all__:
        assert getattr(gpu_thermo, name) is not None
        assert not inspect.ismodule(getattr(gpu_thermo, name)) or callable(getattr(gpu_thermo, name)), name
    with pytest.raises(AttributeError, match="no_such_name"):
        gpu_thermo.no_such_name  # noqa: B018
