"""Drills, and a clock that stands until it is moved."""

import contextlib
import queue

from resilience.drilling import VARIABLE
from resilience.drilling import armed as arming
from resilience.drilling.reading import read
from resilience.drilling.seam import Seam


HEAD = "version: 1\nname: test\nduration: 60s\n"


def drill(*faults, head=HEAD, more=""):
    """A drill with *faults*, each a line of YAML in braces."""
    lines = "".join(f"  - {{{fault}}}\n" for fault in faults)
    return read("drill.yaml", f"{head}faults:\n{lines}{more}")


def fault(line):
    """The fault that *line* writes: ten seconds of shop.Cart/Get if it says no more."""
    if "lasts" not in line:
        line += ", lasts: 10s"
    if "methods" not in line and "targets" not in line:
        line += ", methods: [shop.Cart/Get]"
    if "ratio" not in line:
        line += ", ratio: 1.0"
    return drill(line).faults[0]


class Clock:
    def __init__(self):
        self.now_s = 100.0

    def now(self):
        return self.now_s


def seam(*faults, clock=None, path=None, **others):
    """A seam that injects *faults*."""
    made = drill(*faults, **others)
    return Seam(made, path, now=(clock or Clock()).now)


class Calls(queue.SimpleQueue):
    """Calls that have ended, some of them told a moment after their caller knows."""

    def one(self):
        """The next call that ended."""
        return self.get(timeout=5)


@contextlib.contextmanager
def armed(monkeypatch, *faults, **others):
    """A seam that channels and clients made inside find; `calls` are those it saw."""
    made = Seam(drill(*faults, **others))
    made.calls = Calls()
    made.listeners.append(made.calls.put)
    monkeypatch.setenv(VARIABLE, "drill.yaml")
    arming.arm("drill.yaml", made)
    try:
        yield made
    finally:
        arming.disarm("drill.yaml")
