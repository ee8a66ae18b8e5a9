"""Pages are put together with links that lead somewhere."""

import re

import pytest
from site_pages import ROOT, staging

PAGES = staging.pages()


def test_every_page_has_a_place_of_its_own():
    assert len(set(PAGES.values())) == len(PAGES)
    assert {"index.md", "equations.md", "reference/files.md", "project/changelog.md"} <= set(PAGES.values())


def test_links_lead_to_the_site_or_the_repository():
    page = ROOT / "docs" / "architecture.md"
    text = (
        "[a](equations.md#7-random-numbers) [b](../pyproject.toml) [c](#x) [d](https://e.org)\n```\n[e](none.md)\n```\n"
    )
    shown, pictures = staging.relinked(text, page, "architecture.md", PAGES)
    assert "[a](equations.md#7-random-numbers)" in shown
    assert f"[b]({staging.REPOSITORY}/blob/main/pyproject.toml)" in shown
    assert "[c](#x) [d](https://e.org)" in shown
    assert "[e](none.md)" in shown
    assert not pictures


def test_pictures_come_along():
    page = ROOT / "analysis" / "GALLERY.md"
    shown, pictures = staging.relinked(page.read_text(), page, PAGES[page], PAGES)
    assert "](../pictures/fig8.png)" in shown
    assert ROOT / "analysis" / "gallery" / "fig8.png" in pictures


def test_a_link_to_nothing_is_refused():
    with pytest.raises(ValueError, match=r"nowhere\.md"):
        staging.relinked("[a](nowhere.md)", ROOT / "docs" / "tuning.md", "tuning.md", PAGES)


def test_what_is_staged_stays_and_goes(tmp_path):
    staging.stage(tmp_path, {"reference/made.md": "# Made\n"})
    assert (tmp_path / "reference" / "made.md").exists()
    page = tmp_path / "equations.md"
    before = page.stat().st_mtime_ns
    (tmp_path / "gone.md").write_text("# Gone\n")
    staging.stage(tmp_path, {})
    assert page.stat().st_mtime_ns == before
    assert not (tmp_path / "gone.md").exists()
    assert not (tmp_path / "reference" / "made.md").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_page_can_be_staged(page):
    """With a title, and every page of its lists there."""
    text, _ = staging.relinked(page.read_text(), page, PAGES[page], PAGES)
    assert re.search(r"^# \S", text, re.MULTILINE)


def test_every_page_is_in_a_list():
    """Of the first page, or of one that it lists."""
    listed = set()
    for page, place in PAGES.items():
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in (re.sub(r"^.*<(.*)>$", r"\1", entry) for entry in block.splitlines()):
                if line and not line.startswith((":", "/")):
                    folder = (ROOT / place).parent
                    found = folder.glob("*") if line == "*" else [(folder / line).resolve()]
                    listed |= {f.relative_to(ROOT).as_posix() for f in found}
                    if line == "*":
                        listed |= {p.removesuffix(".md") for p in PAGES.values() if p.startswith(f"{folder.name}/")}
    assert {place.removesuffix(".md") for place in PAGES.values()} - {"index"} <= listed
