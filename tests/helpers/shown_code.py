"""Code that pages show: what it takes of the package is there."""

import ast
import importlib

import gpu_thermo as gt


def check_names(tree: ast.AST) -> None:
    """Assert that all imports from gpu_thermo exist, and that each `gt.name` is public."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("gpu_thermo"):
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gt":
            assert node.attr in gt.__all__
