"""Machine instructions of compiled GPU kernels, counted by kind: nvdisasm (wheel nvidia-cuda-nvdisasm) reads them.

A count is of the text, each instruction once, whatever loops do: it shows what grew. What a step executes is counted in
executed.py.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

_SECTION = re.compile(r"^\s*\.section\s+\.text\.(\w+)", re.MULTILINE)
_INSTRUCTION = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P[T\d]+\s+)?([A-Z][A-Z0-9_]*)")


def find_nvdisasm() -> str | None:
    """The program from its wheel, else from the path."""
    wheels = (p for folder in sys.path if folder for p in sorted(Path(folder).glob("nvidia/*/bin/nvdisasm")))
    return next(map(str, wheels), None) or shutil.which("nvdisasm")


def count_instructions(text: str) -> dict[str, dict[str, int]]:
    """Instructions of each kernel by name without modifiers, most frequent first, from what nvdisasm prints."""
    names = _SECTION.split(text)[1:]
    return {
        name: dict(Counter(_INSTRUCTION.findall(body)).most_common())
        for name, body in zip(names[::2], names[1::2], strict=True)
    }


def disassembled(cubin: bytes) -> str:
    """What nvdisasm prints of a compiled module, with lines of the source where it knows them; nothing where there is
    no nvdisasm, or it cannot read the module.
    """
    program = find_nvdisasm()
    if program is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="gpu_thermo-") as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        line = [program, "-c", "-gi", str(path)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
    return done.stdout if done.returncode == 0 else ""
