"""Pages in headless Chromium, where there is one."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def shown(page: Path, folder: Path, width: int = 500, more: Sequence[str] = ()) -> tuple[str, str]:
    """The document as it stands in the browser, and what its console said; requests are refused there, and told."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/chromium",
             f"--window-size={width},900", "--enable-logging=stderr", "--dump-dom")  # fmt: skip
    command = [str(BROWSER), *flags, *more, page.as_uri()]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    return found.stdout, "\n".join(line for line in found.stderr.splitlines() if "CONSOLE" in line)


def check_shown(page: Path, folder: Path) -> None:
    """No message, and every figure drawn; a planted request is seen."""
    document, console = shown(page, folder)
    assert not console
    assert document.count("<svg") == page.read_text().count("<svg") > 0
    bad = folder / "bad.html"
    bad.write_text(page.read_text().replace("<main", '<img src="http://localhost:9/x.png" alt=""><main', 1))
    assert shown(bad, folder)[1]
