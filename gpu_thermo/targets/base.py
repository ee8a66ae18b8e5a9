"""The Target protocol and a target's layout; they live beside the analytic targets, which a spec may import."""

from ..potentials.base import Batch, Layout, Target

__all__ = ["Batch", "Layout", "Target"]
