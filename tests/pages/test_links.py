"""Dead links of built pages are found, in files and inside them."""

from site_pages import links


def test_what_leads_nowhere_is_told(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.html").write_text('<h1 id="here">x</h1><img src="c.png"><a href="../top.html#gone">y</a>')
    (tmp_path / "top.html").write_text(
        '<a href="a/b.html#here">1</a><a href="a/b.html#there">2</a><a href="none.html">3</a><a href="#">4</a>'
        '<a href="https://example.org/x">5</a><a href="a/">6</a><a href="#lost">7</a>'
    )
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "macro.html").write_text('<a href="{{ x }}">8</a>')
    assert links.dead_links(tmp_path) == [
        "a/b.html: c.png", "a/b.html: ../top.html#gone",
        "top.html: a/b.html#there", "top.html: none.html", "top.html: a/", "top.html: #lost",
    ]  # fmt: skip


def test_what_is_there_is_not(tmp_path):
    (tmp_path / "index.html").write_text('<a href="two%20words.html#m%C3%BC">1</a>')
    (tmp_path / "two words.html").write_text('<p id="mü"></p>')
    assert links.dead_links(tmp_path) == []
