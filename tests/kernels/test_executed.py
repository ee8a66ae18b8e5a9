"""Instructions that a step executes: loops by what their counters add, what is left out, whose warps work."""

import dataclasses

import pytest

from gpu_thermo.errors import CompileError
from gpu_thermo.kernels.executed import Launch, count
from gpu_thermo.kernels.promised import PROMISES, RECORD, TOLERANCE, most

SOURCE = """
void evaluate() {
  for (int t = 0; t < count; ++t) add(t);
  while (any(x >= n)) walk();
}
for (i64 i = 0; i < a.steps; ++i) {
  if (i && a.scheduled) load_coefficients(i);
  evaluate();
  if (team.any_bits(any(suspect))) freeze();
  sum = root(x);
}
run.segment<Step>(r);
"""
STEP, LOAD, EVALUATE, FREEZE, ROOT, RUN, ADD, WALK = 6, 7, 8, 9, 10, 12, 3, 4


def printed(*parts):
    """What nvdisasm would print of labels, and of (lines of source, instructions)."""
    out = ['\t.section\t.text.advance,"ax",@progbits']
    for part in parts:
        if isinstance(part, str):
            out.append(f"{part}:")
            continue
        lines, *instructions = part
        for one in instructions:
            out += [f'\t//## File "kernel.cu", line {line}' for line in lines]
            out.append(f"        /*0000*/                   {one} ;")
    return "\n".join(out)


def step(adds="0x2", header=ADD):
    """A kernel with a step of its own: a prologue, then 22 + 4 turns of 4 + a walk of 3, beside what is left out."""
    inner = (header, EVALUATE, RUN)
    return printed(
        ((RUN,), "MOV R9, RZ", "MOV R8, RZ"),
        ".L_step",
        ((LOAD, RUN), "ISETP.NE.AND P0, PT, R8, RZ, PT", "@!P0 BRA `(.L_loaded)"),
        ((99, LOAD, RUN), *["LD.E R4, desc[UR6][R2.64]"] * 50),
        ".L_loaded",
        ((99, LOAD, RUN), "BSYNC B0"),
        ((EVALUATE, RUN), "MOV R1, RZ"),
        ".L_add",
        (inner, "FADD.FTZ R2, R2, R3", f"IADD3 R1, R1, {adds}, RZ", "ISETP.NE.AND P1, PT, R1.reuse, 0x8, PT",
         "@P1 BRA `(.L_add)"),
        ".L_walk",
        ((WALK, EVALUATE, RUN), "IMAD R5, R5, R6, RZ", "ISETP.GE.U32.AND P2, PT, R5, R7, PT", "@P2 BRA `(.L_walk)"),
        ((FREEZE, RUN), "SHFL.BFLY PT, R1, R2, 0x10, 0x1f", "@!P3 BRA `(.L_go)"),
        ((99, FREEZE, RUN), *["STG R1, R2"] * 30),
        ".L_go",
        ((ROOT, RUN), "MUFU.RSQ R1, R2", "@!P4 BRA `(.L_fast)"),
        ((ROOT, RUN), "MOV R1, 0x1", "CALL.REL.NOINC `(root_slowpath)"),
        ((ROOT, RUN), "BRA `(.L_next)"),
        ".L_fast",
        ((ROOT, RUN), "FMUL R1, R2, R3"),
        ".L_next",
        ((STEP, RUN), *["FFMA R1, R2, R3, R4"] * 8, "UIADD3 UR4, UR4, 0x1, URZ", "ISETP.GE.AND P5, PT, R8, UR4, PT",
         "@!P5 BRA `(.L_step)"),
        ((RUN,), "EXIT"),
        "root_slowpath",
        ((99,), *["DADD R2, R2, R4"] * 9, "RET.REL.NODEC R20 `(advance)"),
    )  # fmt: skip


LAUNCH = Launch(batch=8, points=60, team=32, tile=8, inputs=2, hidden=(20,), outputs=1)


def test_a_step_is_weighed():
    """The loop over 8 points is unrolled by two; the walk goes round when a position of 64 is none of 60."""
    found = count(step(), SOURCE, LAUNCH)
    walks = 1 - (60 / 64) ** 8
    assert LAUNCH.walks == pytest.approx(walks, rel=0.1)
    assert LAUNCH.walks > walks  # some go on
    assert found.kinds["FADD"] == 4
    assert found.kinds["IMAD"] == round(LAUNCH.walks, 2)
    assert found.kinds["FFMA"] == 8
    assert "CALL" not in found.kinds
    assert not {"LD", "STG", "DADD"} & found.kinds.keys()
    assert found.instructions == pytest.approx(20 + 4 * 4 + 3 * LAUNCH.walks, abs=0.1)
    assert [(turns, size) for _, turns, size in found.loops] == [(4, 4), (LAUNCH.walks, 3)]


def test_counts_follow_the_launch():
    """Twice the points, and two warps."""
    plain = count(step(), SOURCE, LAUNCH)
    more = count(step(), SOURCE, dataclasses.replace(LAUNCH, batch=16, tile=16))
    assert more.kinds["FADD"] == 8
    pair = count(step(), SOURCE, dataclasses.replace(LAUNCH, team=64))
    assert pair.instructions == pytest.approx(2 * plain.instructions, rel=1e-3)


def test_teams_that_are_parts_of_a_warp_share_its_instructions():
    """Four replicas a warp: each pays for a quarter of what the warp does."""
    plain = count(step(), SOURCE, LAUNCH)
    part = dataclasses.replace(LAUNCH, team=8)
    assert (part.warps, part.replicas, part.at_once, LAUNCH.at_once) == (1, 4, 8, 32)
    assert part.walks > LAUNCH.walks  # the longest of 32 positions, not of 8
    found = count(step(), SOURCE, part)
    assert found.kinds["FADD"] == plain.kinds["FADD"] / 4
    assert found.instructions == pytest.approx((plain.instructions + 3 * (part.walks - LAUNCH.walks)) / 4, abs=0.1)


def test_a_comparison_that_was_kept_leaves_the_counter_to_be_found():
    """Of what the loop adds, the smallest multiple: addresses go by bytes."""
    kept = step().replace("ISETP.NE.AND P1, PT, R1.reuse, 0x8, PT", "ISETP.NE.AND P1, PT, R40, RZ, PT")
    kept = kept.replace("FADD.FTZ R2, R2, R3", "IADD3 R41, R41, 0x8, RZ")
    assert count(kept, SOURCE, LAUNCH).kinds["IADD3"] == count(step(), SOURCE, LAUNCH).kinds["IADD3"] + 4


def test_loops_that_nobody_knows_are_refused():
    with pytest.raises(CompileError, match=r"goes round an unknown number of times: .*sum = root"):
        count(step(header=ROOT), SOURCE, LAUNCH)
    with pytest.raises(CompileError, match="The counter of a loop is not understood: for"):
        count(step(adds="R7"), SOURCE, LAUNCH)
    with pytest.raises(CompileError, match="no loop over steps that can be counted: compile it with --generate-line"):
        count(step(), SOURCE.replace("a.steps", "b.steps"), LAUNCH)


def test_which_warps_have_blocks_of_a_layer():
    """Of 5-16-16-16-16-1: 32, 80, 80 and 80 blocks among 64 threads."""
    deep = Launch(128, 1202, 64, 32, 5, (16, 16, 16, 16), 1)
    assert (deep.warps, deep.tiles, deep.count, deep.parts, deep.members) == (2, 4, 32, 2, 0.5)
    begin = [deep.begin(layer) for layer in range(4)]
    assert begin == [0, 0, 1, 3]
    owned = {(0, 0): 0.5, (1, 0): 0.5, (1, 1): 1, (2, 1): 0.5, (2, 2): 1, (3, 3): 1, (3, 4): 0.5}
    assert {key: deep.owners(*key) for key in owned} == owned


def test_records():
    """Every promised kernel has one for each NVRTC; a thirtieth more is refused, less never."""
    assert all(found.keys() == PROMISES.keys() for found in RECORD.values())
    version = next(iter(RECORD))
    for name, figure in RECORD[version].items():
        assert most(name, version) == figure * (1 + TOLERANCE)
    assert most("d20_B25", "1.0") is None
