"""`python -m docs.site build`: the whole site into build/docs/html, warnings being errors.

`execute` does the same and keeps what tutorials said that had to be run, in docs/executed; `words` checks spelling,
`printed` runs the Python of pages of markdown and sets what it prints behind it, `playground` makes the playground's
pictures again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from . import shown, tutorials
from .links import dead_links
from .made import made_pages, missing
from .playground import make
from .staging import ROOT, stage
from .words import misspelt

BUILD = ROOT / "build" / "docs"


def build(folder: Path = BUILD, jobs: int = 1, quick: bool = False, again: bool = False) -> int:
    """Stage the pages, let Sphinx make HTML of them, and check every link; 0 where nothing is wrong.

    `quick` shows tutorials that would have to be run without what they say; `again` runs all of them.
    """
    source, html = folder / "source", folder / "html"
    stage(source, made_pages())
    if names := missing(source):
        return _complain("No page has", names)
    if names := tutorials.restore(source / "tutorials", again):
        print(f"Tutorials to be run: {', '.join(names)}", flush=True)
    sphinx = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-j", str(jobs)]
    sphinx += ["-D", "plot_gallery=0"] if quick else []
    places = ["-c", str(Path(__file__).parent), "-d", str(folder / "doctrees"), str(source), str(html)]
    if status := subprocess.run([*sphinx, *places], cwd=ROOT, check=False).returncode:
        return status
    if dead := dead_links(html):
        return _complain("Links lead nowhere", dead)
    if examples := shown.unasserted():
        return _complain("Of these examples something is amiss", examples)
    print(f"The site is in {html}: open {html / 'index.html'}")
    return 0


def _complain(what: str, found: list[str]) -> int:
    print(f"{what}:\n  " + "\n  ".join(found), file=sys.stderr)
    return 1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.site", description=__doc__)
    parser.add_argument("what", choices=("build", "execute", "words", "printed", "playground"))
    parser.add_argument("pages", nargs="*", help="names of pages of markdown whose Python is run (printed; all)")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder of the build (build/docs)")
    parser.add_argument("--jobs", "-j", type=int, default=1, help="processes that Sphinx may use")
    parser.add_argument("--quick", action="store_true", help="run no tutorial")
    parser.add_argument("--again", action="store_true", help="run every tutorial, also those whose words are kept")
    given = parser.parse_args()
    if given.what == "words":
        return _complain("Misspelt", found) if (found := misspelt()) else 0
    if given.what == "printed":
        for page in shown.pages():
            if not given.pages or page.stem in given.pages:
                print(page.relative_to(ROOT), flush=True)
                shown.write_printed(page)
        return 0
    if given.what == "playground":
        make()
        return 0
    status = build(given.out.resolve(), given.jobs, given.quick, given.again)
    if given.what == "execute" and status == 0:
        kept = tutorials.keep(given.out.resolve() / "source" / "tutorials", given.again)
        print(f"Kept: {', '.join(kept) or 'nothing new'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
