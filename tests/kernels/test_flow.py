"""Blocks and loops of machine code as nvdisasm prints it."""

from gpu_thermo.kernels.flow import flow, read

PRINTED = """
\t.section\t.text.other,"ax",@progbits
.L_x_0:
        /*0000*/                   BRA `(.L_x_0) ;
\t.section\t.text.advance,"ax",@progbits
.text.advance:
\t//## File "kernel.cu", line 9
        /*0000*/                   MOV R1, RZ ;
.L_x_1:
\t//## File "kernel.cu", line 3 inlined at "kernel.cu", line 5
\t//## File "kernel.cu", line 5
        /*0010*/                   FADD.FTZ R2, R2, R3 ;
        /*0020*/              @!P0 BRA `(.L_x_3) ;
.L_x_2:
        /*0030*/                   FMUL R2, R2, R3 ;
        /*0040*/               @P1 BRA `(.L_x_2) ;
        /*0050*/                   BRA.DIV UR4, `(.L_x_9) ;
.L_x_3:
        /*0060*/                   IADD3 R1, R1, 0x1, RZ ;
        /*0070*/                   ISETP.GE.AND P2, PT, R1, 0xa, PT ;
        /*0080*/              @!P2 BRA `(.L_x_1) ;
        /*0090*/                   EXIT ;
.L_x_9:
        /*00a0*/                   WARPSYNC.COLLECTIVE R4, `(.L_x_2) ;
        /*00b0*/                   BRA `(.L_x_3) ;
\t.section\t.nv.info
"""


def test_what_is_printed_is_read_with_its_source():
    instructions, labels = read(PRINTED, "advance")
    assert [one.kind for one in instructions][:4] == ["MOV", "FADD", "BRA", "FMUL"]
    assert instructions[0].lines == (9,)
    assert instructions[1].lines == instructions[3].lines == (3, 5)
    assert instructions[2].guard == "@!P0"
    assert labels == {".text.advance": 0, ".L_x_1": 1, ".L_x_2": 3, ".L_x_3": 6, ".L_x_9": 10}
    assert read(PRINTED, "nobody") == ([], {})


def test_loops_and_their_blocks():
    """Nobody diverges: what only a divergent branch leads to is no part of any loop."""
    found = flow(*read(PRINTED, "advance"))
    assert [len(block) for block in found.blocks] == [1, 2, 2, 1, 3, 1, 2]
    assert found.after == ((1,), (4, 2), (2, 3), (4,), (1, 5), (), (4,))
    assert [(loop.header, loop.latch, sorted(loop.blocks)) for loop in found.loops] == [
        (1, 4, [1, 2, 3, 4]), (2, 2, [2])
    ]  # fmt: skip
    assert [found.size(loop.blocks) for loop in found.loops] == [8, 2]
    assert sorted(found.order) == [0, 1, 2, 3, 4, 5]
    assert found.order.index(2) < found.order.index(4) < found.order.index(5)
    assert found.before()[4] == [1, 3]
