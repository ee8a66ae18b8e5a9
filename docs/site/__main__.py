"""`python -m docs.site build`: the whole site into build/docs/html, warnings being errors."""

import argparse
import subprocess
import sys
from pathlib import Path

from .made import made_pages, missing
from .staging import ROOT, stage

BUILD = ROOT / "build" / "docs"


def build(folder: Path = BUILD, jobs: int = 1) -> int:
    """Stage the pages and let Sphinx make HTML of them; Sphinx's exit status."""
    source, html = folder / "source", folder / "html"
    stage(source, made_pages())
    if names := missing(source):
        print(f"No page has: {', '.join(names)}", file=sys.stderr)
        return 1
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-j", str(jobs)]
    places = ["-c", str(Path(__file__).parent), "-d", str(folder / "doctrees"), str(source), str(html)]
    status = subprocess.run([*sphinx, *places], cwd=ROOT, check=False).returncode
    if status == 0:
        print(f"The site is in {html}: open {html / 'index.html'}")
    return status


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("what", choices=("build",))
    parser.add_argument("--out", type=Path, default=BUILD, help="folder of the build (build/docs)")
    parser.add_argument("--jobs", "-j", type=int, default=1, help="processes that Sphinx may use")
    given = parser.parse_args()
    return build(given.out.resolve(), given.jobs)


if __name__ == "__main__":
    sys.exit(main())
