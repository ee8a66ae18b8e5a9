"""Teams by what fits on chip: bytes against what the compiler lays out, room for registers, what does not fit."""

import numpy as np
import pytest
from fused_cases import make_job

from gpu_thermo.engines.fused import make_emitter
from gpu_thermo.errors import DeviceError
from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile, resources
from gpu_thermo.kernels.sharing import SHARED, Network
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
    sizes = ((20,), (100,), (500,), (6, 6), (16, 16, 16, 16))
    assert [network(d).sharing().team for d in sizes] == [16, 32, 128, 32, 64]
    assert network((16, 16, 16, 16)).sharing().warps == 16
    assert network((16, 16, 16, 16), kept=2).sharing().team == 128
    assert network((64, 64)).sharing().tile < network((32, 32)).sharing().tile == 32
    assert network((16, 16, 16, 16)).sharing(256).team == 256


@pytest.mark.parametrize("inputs", [1, 2, 9])
@pytest.mark.parametrize("outputs", [1, 3, 7, 10, 30])
@pytest.mark.parametrize("units", [1, 3, 16, 20, 64])
def test_teams_that_are_parts_of_a_warp_fill_it(inputs, outputs, units):
    """Blocks of whole warps; and no fewer threads than the sums of a point are dealt out to."""
    sharing = Network(MlpModel(inputs, units, outputs, "regression", "relu", 1.0), 32, 0, 25).sharing()
    assert sharing.teams * sharing.team % 32 == 0
    assert sharing.team >= min(32, outputs)
    assert sharing.teams * sharing.shared <= SHARED


def test_small_networks_share_a_warp():
    wanted = {4: 4, 16: 4, 20: 8, 32: 8, 50: 16, 100: 32, 200: 32}
    found = {d: Network(MlpModel(2, d, 1, "binary", "relu"), 32, 0, 25).sharing().team for d in wanted}
    assert found == wanted


def test_what_does_not_fit_is_refused_with_numbers():
    with pytest.raises(DeviceError, match=r"too large for a GPU's chip: \d\d KiB of shared memory, where there are 48"):
        network((64, 64, 64)).sharing()
    with pytest.raises(DeviceError, match=r"and \d+ registers in each of 512 threads"):
        network((64, 64), kept=9, bits=64).sharing()
