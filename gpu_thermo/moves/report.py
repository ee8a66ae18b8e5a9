"""What a move says of a run: facts, and the lines and verdicts that follow from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """One sentence of a diagnosis.

    Attributes
    ----------
    passed : None where it informs and judges nothing. ensemble : whom it is about, None for the whole run.
    """

    topic: str
    passed: bool | None
    text: str
    ensemble: int | None = None


@dataclass(frozen=True)
class Report:
    """What a move came to so far, as plain data.

    Attributes
    ----------
    facts : numbers and lists by name, the move's own. lines : label -> a line for `info` and the summary of a run.
    verdicts : for `diagnose`. warnings : what the user should know, one line each.
    """

    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, the facts beside the rest."""
        return {
            "kind": self.kind, **self.facts, "warnings": list(self.warnings), "lines": dict(self.lines),
            "verdicts": [asdict(v) for v in self.verdicts],
        }  # fmt: skip

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> "Report":
        """Inverse of `to_dict`; of a report without lines and verdicts, as they were once stored, both are empty."""
        own = ("kind", "warnings", "lines", "verdicts")
        facts = {name: value for name, value in tree.items() if name not in own}
        verdicts = tuple(Verdict(**v) for v in tree.get("verdicts", ()))
        return cls(str(tree["kind"]), facts, dict(tree.get("lines", {})), verdicts, tuple(tree.get("warnings", ())))
