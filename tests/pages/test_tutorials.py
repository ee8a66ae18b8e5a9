"""What tutorials said is kept by their content: laid out for a build, kept after it, forgotten with changes."""

import json
import os
import time

import pytest
from site_pages import tutorials

FIRST = '"""\nA title\n=======\n"""\nprint(1)\n'


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """One script and an empty place of what is kept; a build's folder."""
    for name in ("SCRIPTS", "KEPT"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(tutorials, name, tmp_path / name)
    (tmp_path / "SCRIPTS" / "one.py").write_text(FIRST)
    return tmp_path


def run(folders, target):
    """What sphinx-gallery leaves of a script that it ran."""
    script = folders / "SCRIPTS" / "one.py"
    (target / "images" / "thumb").mkdir(parents=True, exist_ok=True)
    (target / "one.py").write_text(script.read_text())
    (target / "one.py.md5").write_text(tutorials.digest(script))
    (target / "one.py.seconds").write_text("1.5")
    (target / "one.rst").write_text("said")
    (target / "images" / "sphx_glr_one_001.png").write_bytes(b"drawn")
    (target / "images" / "thumb" / "sphx_glr_one_thumb.png").write_bytes(b"small")


def test_all_that_have_an_order_are_there():
    names = {script.stem.removeprefix("plot_") for script in tutorials.scripts()}
    assert set(tutorials.ORDER) <= names
    assert sorted(["plot_a.py", "plot_evidence.py", "plot_table.py"], key=tutorials.Order("")) == [
        "plot_table.py", "plot_evidence.py", "plot_a.py"
    ]  # fmt: skip


@pytest.mark.parametrize("script", tutorials.scripts(), ids=lambda path: path.stem)
def test_what_is_shown_was_said_by_this_text_in_time(script):
    """By the script as it is, within the processor time that tutorials may take, and with the versions it says."""
    assert tutorials.current(script), "python -m docs.site execute keeps what it says"
    told = json.loads((tutorials.KEPT / script.stem / "run.json").read_text())
    assert 0 < told["processor_seconds"] < tutorials.MOST_SECONDS
    assert {"python", "numpy", "jax", "torch", "distributed"} <= set(told["versions"])
    assert "is not installed where" not in _printed(script)


def _printed(script):
    """What a script's page says that it printed, beside its text."""
    page = (tutorials.KEPT / script.stem / f"{script.stem}.rst").read_text()
    return "".join(part.partition(".. GENERATED")[0] for part in page.split(".. rst-class:: sphx-glr-script-out")[1:])


def test_the_clock_counts_this_process(tmp_path):
    """A script that counts for a fifth of a second took about that, whoever else is at work."""
    (tmp_path / "tutorials").mkdir()
    settings, before = {"src_dir": str(tmp_path)}, sum(os.times()[:4])
    for script in (None, "folder/one.py"):
        tutorials.clock(settings, script, "before")
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    tutorials.clock(settings, "folder/one.py", "after")
    said = float((tmp_path / "tutorials" / "one.py.seconds").read_text())
    assert 0.1 < said <= sum(os.times()[:4]) - before + 0.1


def test_kept_and_laid_out_again(folders):
    assert tutorials.restore(folders / "first") == ["one"]
    run(folders, folders / "first")
    assert tutorials.keep(folders / "first") == ["one"]
    assert tutorials.keep(folders / "first") == []
    assert json.loads((folders / "KEPT" / "one" / "run.json").read_text())["processor_seconds"] == 1.5
    assert tutorials.restore(folders / "second") == []
    for name in ("one.rst", "images/sphx_glr_one_001.png", "images/thumb/sphx_glr_one_thumb.png"):
        assert (folders / "second" / name).read_bytes() == (folders / "first" / name).read_bytes()
    assert (folders / "second" / "one.zip").exists()


def test_all_of_them_again(folders):
    """Nothing is laid out, and what was kept is kept anew."""
    run(folders, folders / "first")
    tutorials.keep(folders / "first")
    assert tutorials.restore(folders / "first", again=True) == ["one"]
    run(folders, folders / "first")
    assert tutorials.keep(folders / "first", again=True) == ["one"]


def test_a_script_that_changes_is_run_again(folders):
    run(folders, folders / "first")
    tutorials.keep(folders / "first")
    (folders / "SCRIPTS" / "one.py").write_text(FIRST + "print(2)\n")
    assert tutorials.restore(folders / "first") == ["one"]
    assert tutorials.restore(folders / "second") == ["one"]
    assert tutorials.keep(folders / "first") == []


def test_what_is_kept_of_a_script_that_went_goes(folders):
    run(folders, folders / "first")
    tutorials.keep(folders / "first")
    (folders / "SCRIPTS" / "one.py").unlink()
    tutorials.keep(folders / "first")
    assert not [*(folders / "KEPT").iterdir()]
