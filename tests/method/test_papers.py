"""Every source that a method, a letter or an update names is known in full."""

import re

import pytest

from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.named import METHODS
from gpu_thermo.method.papers import PAPERS, cited
from gpu_thermo.method.updates import UPDATES

REFERENCES = sorted({r.reference for table in (METHODS, LETTERS, UPDATES) for r in table.values()})


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_source_has_its_title_or_is_a_section(reference):
    for source in cited(reference):
        assert re.search(r"\d{4}, \*.+\*", source) or re.fullmatch(r"equations\.md section \d+", source)


def test_no_paper_stands_there_for_nothing():
    told = " ".join(source for reference in REFERENCES for source in cited(reference))
    assert all(f"{name}, " in told for name in PAPERS)


def test_short_names_and_several():
    assert cited("LMV")[0].startswith("Leimkuhler, Matthews & Vlaar 2019, *Partitioned integrators")
    assert [source.partition(", *")[0] for source in cited("Jones & Leimkuhler 2011; Ding et al. 2014")] == [
        "Jones & Leimkuhler 2011", "Ding et al. 2014"
    ]  # fmt: skip
