"""Spelling, by codespell: pages, docstrings and messages. Tests misspell on purpose and are left out."""

import subprocess
import sys

from .staging import ROOT

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs")
CODE = ("gpu_thermo", "cli", "analysis", "bench")
OURS = "teh,carin,inforce,fro,ot,nd,fo"
"""Words that codespell takes for mistakes and that are none here: names, a class, a split of MNIST, types."""
NOT_TEXT = "*.json,*.ipynb,*.png,*.csv,*.svg,*.npz,*.inv,*.js"


def misspelt() -> list[str]:
    """Lines with words that are misspelt."""
    places = [place for place in (*PAGES, *CODE) if (ROOT / place).exists()]
    command = [sys.executable, "-m", "codespell_lib", "-L", OURS, "--skip", NOT_TEXT, *places]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.splitlines()
