"""Arguments as people write them."""

import pytest
import typer

from gpu_thermo_cli.arguments import parse_duration

# -- pieces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5x", "1h30", "nan", "inf", "0", "5 m s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s"):
        parse_duration(text)
