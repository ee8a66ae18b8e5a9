"""How a GPU's threads share a replica: threads of a team, teams of a block, points at hand, from what fits on chip.

With one hidden layer a member of a team holds units, all in registers; a small network's team is a part of a warp, and
what every lane does alike serves several replicas. At depth (team.h) a member holds Philox blocks, their momenta and
gradients in registers, their positions and a tile of points in the team's shared memory.
"""

from dataclasses import dataclass

from ..errors import DeviceError
from ..targets.networks import MlpModel

SHARED = 48 * 2**10
"""Bytes of shared memory that a block has on every GPU."""
_MULTIPROCESSOR = 227 * 2**10
"""Bytes of it that the blocks on one multiprocessor share (sm_90), each with 1 KiB more of its own."""
_WARPS = 16
"""Warps on a multiprocessor that teams are made larger for: a quarter of what it can hold."""
_FILE, _QUARTERS = 2**16, 4
"""Registers of a multiprocessor, whose quarters have a share each, and run whole warps."""
_BESIDE = {(1, 32): 78, (1, 64): 110, (2, 32): 140, (2, 64): 170}
"""Registers beside 25/16 of what is held: of one layer or more, in float32 and float64; for a contour; and
for an activation that is a polynomial. Read off compiled kernels, the fewest that spill nothing
(`python -m gpu_thermo.kernels.check` says so of each)."""
_CONTOUR, _POLYNOMIAL = 32, 8
_REGISTERS, _DEEP_REGISTERS, _PART_REGISTERS = 96, 48, 48
"""Registers a thread may spend on what it holds of a replica: at depth what it does takes more beside them, and teams
that are a part of a warp leave more warps room; an activation that is a polynomial takes a third of them in float64."""
TOO_LARGE = "a replica is too large"
"""How the reason begins why a network has no kernel on a GPU."""
_WARP = 32
_TEAMS = (4, 8, 16, _WARP, 64, 128, 256, 512)
_TILES = (32, 16, 8)
_THREADS = 128
"""Of a block of several teams."""


@dataclass(frozen=True)
class Sharing:
    """Threads of a `team`, and `teams` of a block; `tile` points at hand (at depth); bytes of `shared` memory a team;
    `registers` that a thread is expected to need.
    """

    team: int
    teams: int
    tile: int
    shared: int
    registers: int

    @property
    def _blocks(self) -> int:
        """Blocks that shared memory leaves room for on a multiprocessor."""
        return min(32, _MULTIPROCESSOR // (self.shared * self.teams + 1024))

    @property
    def warps(self) -> int:
        """Warps that shared memory leaves room for on a multiprocessor."""
        return self._blocks * self.teams * self.team // 32

    @property
    def blocks(self) -> int:
        """Blocks that are to run on a multiprocessor at once: as many as registers and shared memory have room for."""
        warps = _FILE // _QUARTERS // (32 * (-(-self.registers // 8) * 8))  # of a quarter
        return max(1, min(self._blocks, _QUARTERS * warps // (self.teams * self.team // 32)))


@dataclass(frozen=True)
class Network:
    """What decides: the model, bits of a number, how many arrays operations keep, points of a minibatch
    (0: all there are), a contour.
    """

    model: MlpModel
    bits: int
    kept: int
    batch: int
    contour: bool = False

    def sharing(self, team: int | None = None) -> Sharing:
        """The smallest team whose members have room for their parameters, or the one asked for.

        Raises
        ------
        DeviceError
            No team and no number of points fit; the message has the numbers.
        """
        teams = (team,) if team else tuple(t for t in _TEAMS if t >= self._least)
        fitting = [s for t in teams if (s := self._with(t)) and (team or self._registers(t) <= self._most(t))]
        if not fitting and self.model.layers == 1:  # registers are spilled
            fitting = [s for t in teams[-1:] if (s := self._with(t))]
        if not fitting:
            needs = min(self._bytes(t, _TILES[-1]) for t in teams)
            raise DeviceError(
                f"{TOO_LARGE} for a GPU's chip: {needs / 2**10:.0f} KiB of shared memory, where there are"
                f" {SHARED // 2**10}, and {self._registers(teams[-1])} registers in each of {teams[-1]} threads, where"
                f" there are {self._most(teams[-1])}"
            )
        return next((s for s in fitting if s.team < _WARP or s.warps >= _WARPS), fitting[0])

    @property
    def _least(self) -> int:
        """Threads of the smallest team: at depth a warp; else as many as sums of one point are dealt out to."""
        return _WARP if self.model.layers > 1 else min(_WARP, self.model.outputs)

    def _most(self, team: int) -> int:
        """Registers for what a member holds."""
        most = _DEEP_REGISTERS if self.model.layers > 1 else _PART_REGISTERS if team < _WARP else _REGISTERS
        polynomial = self.bits == 64 and self.model.activation_record.kept
        return most - most // 3 if polynomial else most

    def _with(self, team: int) -> Sharing | None:
        """With the most points that fit."""
        for tile in _TILES if self.model.layers > 1 else (0,):
            if (shared := self._bytes(team, tile)) <= SHARED:
                teams = min(_THREADS // team, SHARED // shared) if team <= _WARP else 1  # barriers of a block: one's
                if team < _WARP:  # whole warps
                    teams -= teams % (_WARP // team)
                if not teams:
                    continue
                beside = _BESIDE[min(2, self.model.layers), self.bits] + _CONTOUR * self.contour
                beside += _POLYNOMIAL * self.model.activation_record.kept
                return Sharing(team, teams, tile, shared, beside + 25 * self._registers(team) // 16)
        return None

    def _held(self, team: int) -> int:
        """Parameters of a member."""
        model = self.model
        if model.layers == 1:
            return -(-model.hidden[0] // team) * (model.inputs + 1 + model.outputs)
        fans, last = (model.inputs, *model.hidden[:-1]), model.layers - 1
        units = zip(model.hidden, fans, strict=True)
        blocks = sum(d * -(-(f + 1 + (l == last) * model.outputs) // 4) for l, (d, f) in enumerate(units))
        return 4 * -(-blocks // team)

    def _registers(self, team: int) -> int:
        arrays = (3 if self.model.layers == 1 else 2) + self.kept
        return arrays * self._held(team) * self.bits // 32

    def _bytes(self, team: int, tile: int) -> int:
        """Of Shared in step.h, rounded up."""
        model, item, groups = self.model, self.bits // 8, team // 32
        row = model.inputs + model.targets + model.weighted + model.outputs
        exchange = max(1, groups) * (8 + 4 + min(team, _WARP) * item) + 16
        if model.layers == 1:
            return min(self.batch or 64, 64) * row * item + exchange + 64
        tile = min(self.batch or tile, tile)
        pitch = 4 * (-(-tile // 4) | 1)
        lines = 1 + model.inputs + 2 * sum(model.hidden) + model.outputs
        return (tile * row + lines * pitch + self._held(team) * team) * item + exchange + 64
