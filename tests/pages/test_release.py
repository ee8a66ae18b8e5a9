"""`tools/release` refuses what is not ready, and uploads nothing."""

import re
import shutil
import subprocess

import pytest
from site_pages import ROOT

FILES = {
    "pyproject.toml": 'version = "1.2.3"\n', "gpu_thermo/__init__.py": '__version__ = "1.2.3"\n',
    "CITATION.cff": "version: 1.2.3\n", "CHANGELOG.md": "## 1.2.3\n",
}  # fmt: skip


def git(folder, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path):
    """A repository that says 1.2.3 everywhere, ready but for its build."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "release", tmp_path / "tools" / "release")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "ready")
    return tmp_path


def refused(tree, version="1.2.3"):
    done = subprocess.run(["bash", "tools/release", version], cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
class TestRefusals:
    def test_a_tree_with_changes(self, tree):
        (tree / "more").touch()
        assert "not committed" in refused(tree)

    def test_a_tag_that_is_there(self, tree):
        git(tree, "tag", "v1.2.3")
        assert "already" in refused(tree)

    @pytest.mark.parametrize("name", FILES)
    def test_another_version_anywhere(self, tree, name):
        (tree / name).write_text(FILES[name].replace("1.2.3", "1.2.4"))
        git(tree, "commit", "-qam", "other")
        assert name in refused(tree)

    def test_no_version_at_all(self, tree):
        done = subprocess.run(["bash", "tools/release"], cwd=tree, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "usage" in done.stderr


def test_nothing_is_uploaded():
    """What would upload or push is only said."""
    for line in (ROOT / "tools" / "release").read_text().splitlines():
        assert not re.search(r"twine upload|git push", line) or line.lstrip().startswith("echo ")


def test_the_versions_here_agree():
    said = {
        "pyproject.toml": r'^version = "(.+)"$', "gpu_thermo/__init__.py": r'^__version__ = "(.+)"$',
        "CITATION.cff": r"^version: (.+)$",
    }  # fmt: skip
    found = {re.search(pattern, (ROOT / name).read_text(), re.M)[1] for name, pattern in said.items()}
    assert len(found) == 1
