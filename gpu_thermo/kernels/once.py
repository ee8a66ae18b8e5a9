"""Answers that are worked out once, however many threads ask at the same time."""

import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import update_wrapper
from typing import Any, Generic, TypeVar

Answer = TypeVar("Answer")


class Once(Generic[Answer]):
    """As functools.cache, but that who asks while another works it out waits for that one's answer. Errors are raised
    to all who wait, and not kept.
    """

    def __init__(self, function: Callable[..., Answer]) -> None:
        update_wrapper(self, function)
        self._function = function
        self.cache_clear()
        os.register_at_fork(after_in_child=self._forget_others)

    def __call__(self, *given: Hashable) -> Answer:
        with self._lock:
            found = self._answers.get(given)
            if mine := found is None:
                found = self._answers[given] = Future()
        assert found is not None
        if mine:
            try:
                found.set_result(self._function(*given))
            except BaseException as error:
                with self._lock:
                    self._answers.pop(given, None)
                found.set_exception(error)
                raise
        return found.result()

    def cache_clear(self) -> None:
        """Forget all answers."""
        self._lock = threading.Lock()
        self._answers: dict[tuple[Any, ...], Future[Answer]] = {}

    def _forget_others(self) -> None:
        """In a child, whose parent's threads are not there to end what they began."""
        answers = {given: found for given, found in self._answers.items() if found.done()}
        self.cache_clear()
        self._answers = answers
