"""Operation counts: arithmetic as the mathematics asks for it, whatever an implementation does.

Records of operations and networks count with this, so it imports nothing of the package.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Arithmetic: `fused` multiply-adds and `single` other operations."""

    fused: float = 0.0
    single: float = 0.0

    @property
    def operations(self) -> float:
        """A multiply-add is two."""
        return 2 * self.fused + self.single

    @property
    def instructions(self) -> float:
        """A multiply-add is one."""
        return self.fused + self.single

    def __add__(self, other: "Count") -> "Count":
        return Count(self.fused + other.fused, self.single + other.single)

    def __mul__(self, times: float) -> "Count":
        return Count(times * self.fused, times * self.single)
