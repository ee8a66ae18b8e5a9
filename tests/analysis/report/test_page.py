"""The page: one file, no script, nothing fetched."""

from gpu_thermo_analysis.report.page import Part, code, details, page, paragraph, table, verdict


def test_texts_are_escaped_and_controls_left_out():
    made = page("<t>", paragraph("a & b"), [Part("One <x>", code("<script>\x1b[31m")), Part("Empty", "")])
    assert "<script>" not in made
    assert "\x1b" not in made
    assert "&lt;t&gt;" in made
    assert 'href="#one-x"' in made
    assert "Empty" not in made


def test_tables_have_heads_and_a_name():
    made = table("Scores", ("model", "<n>"), [("ours", "1")])
    assert '<th scope="col">&lt;n&gt;</th>' in made
    assert 'aria-label="Scores"' in made


def test_cells_are_not_parted_from_their_errors_and_units():
    made = table("Scores", ("a", "b", "c"), [("36,940 +- 3,000", "81.4 s", "1 to 2")])
    assert "<td>36,940 +-\u00a03,000</td><td>81.4\u00a0s</td><td>1 to 2</td>" in made


def test_verdicts_and_details():
    assert 'class="verdict"' in verdict("Good.", "text", True)
    assert 'class="verdict bad"' in verdict("Bad.", "<text>", False)
    assert "<details open><summary>a</summary>b</details>" == details("a", "b", shown=True)
