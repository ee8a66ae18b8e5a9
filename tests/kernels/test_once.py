"""Answers that are worked out once."""

import os
import subprocess
import sys
import threading
import time

import pytest

from gpu_thermo.kernels.once import Once


def wait_for_waiting(once, given, count):
    """Until so many threads wait for an answer that is being worked out."""
    end = time.monotonic() + 120
    while len(once._answers[given]._condition._waiters) < count and time.monotonic() < end:
        time.sleep(0.01)


def together(count, ask):
    """What so many threads get that ask at the same time: answers, or errors."""
    gate, found = threading.Barrier(count), []

    def one():
        gate.wait()
        try:
            found.append(ask())
        except ValueError as error:
            found.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_many_ask_and_one_works():
    calls = []

    @Once
    def answer(x):
        """What it says."""
        calls.append(x)
        if len(calls) == 1:
            wait_for_waiting(answer, (x,), 7)
        return object()

    assert answer.__doc__ == "What it says."
    assert len(set(together(8, lambda: answer(1)))) == 1
    assert answer(2) is not answer(1)
    assert calls == [1, 2]
    answer.cache_clear()
    answer(1)
    assert calls == [1, 2, 1]


def test_an_error_is_everybodys_and_is_not_kept():
    calls = []

    @Once
    def answer(x):
        calls.append(x)
        if len(calls) == 1:
            wait_for_waiting(answer, (x,), 3)
            raise ValueError(x)
        return x

    assert [str(e) for e in together(4, lambda: answer(3)) if isinstance(e, ValueError)] == ["3"] * 4
    assert answer(3) == 3
    assert calls == [3, 3]


FORKED = """
import os, threading
from gpu_thermo.kernels.once import Once
begun, parent = threading.Event(), os.getpid()

@Once
def answer(x):
    if x and os.getpid() == parent:
        begun.set()
        threading.Event().wait(600)
    return x

assert answer(0) == 0
threading.Thread(target=answer, args=(1,), daemon=True).start()
begun.wait()
child = os.fork()
if child == 0:
    os._exit(40 + 10 * answer(0) + answer(1))
os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_child_does_not_wait_for_its_parents_threads():
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=300, check=False).returncode == 41
