"""Sphinx's settings; `python -m docs.site build` gives it the staged pages."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("MPLBACKEND", "Agg")

import gpu_thermo  # noqa: E402
from docs.site.inventories import pack  # noqa: E402
from docs.site.staging import REPOSITORY  # noqa: E402
from gpu_thermo_cli.reference import errors  # noqa: E402

project = "gpu_thermo"
author = "the gpu_thermo authors"
project_copyright = author
version = release = gpu_thermo.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "docs.site.extension",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["doors/*"]
toc_object_entries_show_parents = "hide"
suppress_warnings = ["config.cache", "toc.empty_glob"]
nitpicky = True
nitpick_ignore = [("py:obj", "of_step")]  # a field whose default is a function

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = {"of"}
numpydoc_xref_aliases = {name: f"gpu_thermo.errors.{name}" for name in errors()} | {
    "Interrupted": "gpu_thermo.Interrupted",
    "ContractError": "gpu_thermo.testing.ContractError", "Finding": "gpu_thermo.testing.Finding",
}  # fmt: skip

sphinx_gallery_conf = {
    "examples_dirs": [str(ROOT / "docs" / "tutorials")],
    "gallery_dirs": ["tutorials"],
    "filename_pattern": r"\.py$",
    "download_all_examples": False,
    "within_subsection_order": "docs.site.tutorials.Order",
    "notebook_extensions": set(),
    "show_memory": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib", "docs.site.tutorials.clock"),
    "reset_modules_order": "both",
    "capture_repr": ("_repr_html_",),
}

intersphinx_mapping = pack(ROOT / "build" / "docs" / "inventories")
intersphinx_timeout = 1

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "gpu_thermo"
html_static_path = [
    str(ROOT / "docs" / place) for place in ("site/static", "playground/grid.png", "playground/grid.js")
]
html_css_files = ["site.css"]
html_theme_options = {
    "github_url": REPOSITORY,
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"index": []}
html_show_sourcelink = False
