"""Numbers, sizes and times as people read them."""

from pathlib import Path

import numpy as np

from gpu_thermo_cli import output


def test_numbers_as_people_read_them() -> None:
    numbers = (0, 0.25, 328, 99_999, 1.3e6, 2.14e10, float("nan"))
    assert [output.count(n) for n in numbers] == ["0", "0.25", "328", "99,999", "1.30 M", "21.4 G", "?"]
    assert [output.size(n) for n in (12, 1500, 23e6, 4.1e9)] == ["12 B", "1.5 kB", "23 MB", "4.1 GB"]
    assert [output.clock(s) for s in (0, 6.2, 754, 3723, 97_200, float("inf"))] == [
        "0:00",
        "0:07",
        "12:34",
        "1:02:03",
        "1 d 3 h",
        "?",
    ]
    mixed = {"a": np.float64("nan"), "b": (np.int64(2), float("inf")), "c": Path("x")}
    assert output.plain(mixed) == {"a": None, "b": [2, "Infinity"], "c": "x"}


HOSTILE = "a\x1b[31mb\x07c\x9b2J\u202ed\re\x00"


def test_control_characters_are_not_printed(capsys) -> None:
    """Not by any way of printing, and lines and tabs stay; JSON escapes them."""
    assert output.clean(HOSTILE) == "a[31mbc2Jde"
    assert output.clean("one\n\ttwo") == "one\n\ttwo"
    output.say(HOSTILE)
    output.echo(HOSTILE)
    output.show(output.facts({HOSTILE: HOSTILE}))
    output.show(output.table((HOSTILE,), [(HOSTILE,)]))
    output.show(HOSTILE, stderr=True)
    output.print_json({HOSTILE: HOSTILE})
    printed = "".join(capsys.readouterr())
    assert printed.count("[31m") == 9
    assert not {c for c in printed if ord(c) < 32 or 127 <= ord(c) < 160 or c == "\u202e"} - {"\n"}
