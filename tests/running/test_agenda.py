"""Segments record every draw and trace point once, whatever their lengths."""

import itertools

import pytest

from gpu_thermo.running.agenda import Agenda
from gpu_thermo.spec.run import RunSection

# -- segments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("burn_in", "thin", "trace"), [(0, 1, 1), (7, 3, 5), (10, 10, 100), (99, 1, 7), (0, 100, 33)])
def test_segments_record_every_draw_and_trace_point_once(burn_in: int, thin: int, trace: int) -> None:
    run = RunSection(steps=100, burn_in=burn_in, thin=thin if (100 - burn_in) % thin == 0 else 1, trace=trace)
    agenda = Agenda(run)
    wanted = [s for s in range(1, 101) if agenda.is_draw(s) or s % trace == 0]
    for length, ring in itertools.product((1, 3, 17, 1000), (1, 2, 1000)):
        start, seen = 0, []
        while start < 100:
            segment = agenda.segment(start, start + length, ring)
            assert segment.start == start
            assert 1 <= segment.steps <= length
            assert len(segment.record) <= ring
            seen += segment.record
            start += segment.steps
        assert seen == wanted
    assert list(agenda.record_steps(0, 100)) == wanted
    assert sum(agenda.is_draw(s) for s in wanted) == run.draws
