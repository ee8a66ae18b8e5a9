"""Lines and bars of a run under way."""

import pytest

from gpu_thermo_cli import output
from gpu_thermo_cli.progress import Meter, bar, line


def test_progress_lines_fit_and_appear_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpu_thermo.run import Progress

    progress = Progress(12_000, 20_000, 256, 1310.0, 6.1, 0.4321, {"hidden": 1.2e-4, "output": 9.8e-5}, 3, 4, 2)
    text = line(progress)
    assert text.startswith(
        "step 12,000 of 20,000 (60 %), 0:07 left, 1,310 steps/s, 335 k replica-steps/s, 4 draws (2 committed), "
    )
    assert text.endswith("energy 0.4321, kinetic T hidden 1.20e-04, output 9.80e-05, 3 frozen")
    output.show(bar(progress))
    drawn = capsys.readouterr().out
    assert "12,000 of 20,000 steps 0:07 left" in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    monkeypatch.setattr("gpu_thermo_cli.progress.INTERVAL", 0.0)
    with Meter() as meter:
        meter(progress)
    with Meter(quiet=True) as meter:
        meter(progress)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("step 12,000")) == ("", 1)
