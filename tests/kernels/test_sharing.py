"""Teams by what fits on chip: bytes against what the compiler lays out, room for registers, what does not fit."""

import numpy as np
import pytest
from fused_cases import make_job

from gpu_thermo.engines.fused import make_emitter
from gpu_thermo.errors import DeviceError
from gpu_thermo.kernels.sharing import SHARED, Network
from gpu_thermo.kernels.toolchain import has_nvrtc, nvrtc_compile, resources
from gpu_thermo.targets.networks import MlpModel

NETWORKS = {
    "one layer": ({"d": 40, "m": 7, "n": 3, "task": "multiclass", "batch": 50}, 4),
    "two narrow layers": ({"d": (6, 5), "batch": 10}, 4),
    "four layers": ({"d": (16, 16, 16, 16), "m": 5, "task": "regression", "batch": 50, "activation": "silu"}, 1),
    "float64": ({"d": (20, 9), "m": 3, "dtype": np.float64, "batch": 40, "points": 64}, 1),
}


@pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")
@pytest.mark.parametrize("case", NETWORKS)
def test_bytes_are_those_of_the_kernel(case):
    """Counted from above, within what alignment takes."""
    arguments, teams = NETWORKS[case]
    emitter = make_emitter(make_job(**arguments))
    sharing = emitter.sharing()
    assert sharing.teams == teams
    _, log = nvrtc_compile(emitter.source("device", sharing.team), "sm_90", ("--ptxas-options=-v",))
    used = resources(log)["advance"].shared
    assert sharing.teams * sharing.shared - 128 * sharing.teams <= used <= sharing.teams * sharing.shared <= SHARED


def network(hidden, inputs=5, batch=128, kept=0, bits=32):
    return Network(MlpModel(inputs, hidden, 1, "regression", "silu", 1.0), bits, kept, batch)


def test_a_team_grows_with_what_it_holds():
    """By registers, then until a multiprocessor has warps enough; points at hand shrink where they must."""
    assert [network(d).sharing().team for d in ((20,), (500,), (6, 6), (16, 16, 16, 16))] == [32, 128, 32, 64]
    assert network((16, 16, 16, 16)).sharing().warps == 16
    assert network((16, 16, 16, 16), kept=2).sharing().team == 128
    assert network((64, 64)).sharing().tile < network((32, 32)).sharing().tile == 32
    assert network((16, 16, 16, 16)).sharing(256).team == 256


def test_what_does_not_fit_is_refused_with_numbers():
    with pytest.raises(DeviceError, match=r"too large for a GPU's chip: \d\d KiB of shared memory, where there are 48"):
        network((64, 64, 64)).sharing()
    with pytest.raises(DeviceError, match=r"and \d+ registers in each of 512 threads"):
        network((64, 64), kept=9, bits=64).sharing()
