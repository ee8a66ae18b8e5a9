"""Engines: two ways to compute the same segments."""

from .base import Batching, Engine, Job, initial_state
from .batched import BatchedEngine

__all__ = ["BatchedEngine", "Batching", "Engine", "Job", "initial_state"]
