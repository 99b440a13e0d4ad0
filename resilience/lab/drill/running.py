"""One drill from its beginning to its verdict.

The faults are those of the armed seam; this file makes the load, watches the reasons to
stop, and has the figures judged. Whatever ends it (its time, a condition, Ctrl-C), from
that moment on nothing is injected.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resilience.drilling import VARIABLE, armed
from resilience.drilling.expecting import DEFAULTS, FIGURES, Expectation
from resilience.drilling.expecting import read as read_expectation
from resilience.drilling.marks import CallSeen
from resilience.drilling.model import Drill
from resilience.drilling.reading import drill as read_drill
from resilience.drilling.seam import Seam

from .loading import CTRL_C, Load, function_of, outcome_of
from .measuring import Operation, measure, newest
from .outcome import Outcome, judge


LOOK_S = 0.1
"""How often the reasons to stop are looked at."""
ENOUGH = 5
"""Operations in the newest window below which nothing is concluded."""


class NotArmedError(ValueError):
    """The environment does not allow this drill."""


def check_armed(path: str) -> None:
    """Does the environment name this very drill?

    Raises:
        NotArmedError: it does not; says what to set.
    """
    named = os.environ.get(VARIABLE, "")
    if named and Path(named).exists() and Path(named).samefile(path):
        return
    found = f"it is {named!r}" if named else "it is not set"
    msg = (
        f"a drill injects faults into real calls: set {VARIABLE}={path} to allow this "
        f"one ({found})"
    )
    raise NotArmedError(msg)


def run(
    path: str,
    *,
    assertions: Sequence[str] = (),
    progress: Callable[[float], None] = lambda _: None,
) -> Outcome:
    """Run the drill of the file *path*; blocks for its duration.

    Args:
        path: of the drill file, which `RESILIENCE_DRILL` must name.
        assertions: further expectations, `amplification <= 1.2`.
        progress: told the seconds that have passed, now and then.

    Raises:
        PolicyError: the file has problems.
        NotArmedError: the environment does not allow it.
        ExpectationError: an assertion cannot be read.
        ValueError: there is nothing to run, or it cannot be found.
        OSError: the file, or its program, cannot be used.
    """
    drill = read_drill(path)
    check_armed(path)
    texts = (*(drill.expect or DEFAULTS), *assertions)
    known = None if drill.verify else FIGURES
    wanted = [read_expectation(text, known) for text in texts]
    verify = function_of(drill.verify) if drill.verify else None
    if drill.command:
        from .programs import run_program

        seen = run_program(path, drill, progress)
    elif drill.run:
        seen = _run_function(path, drill, progress)
    else:
        msg = f"{path}: nothing makes calls; write `run` or `command`"
        raise ValueError(msg)
    return conclude(drill, seen, wanted, verify)


class Seen:
    """What is heard of a drill while it runs. Appended to from any thread."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.calls: list[CallSeen] = []
        self.injected: Mapping[str, int] = {}
        self.stopped = ""
        self.notes: list[str] = []


def conclude(
    drill: Drill,
    seen: Seen,
    wanted: Sequence[Expectation],
    verify: Callable[..., Any] | None,
) -> Outcome:
    """Measure and judge what was *seen*.

    Raises:
        ExpectationError: an expectation names a figure that is not there.
    """
    hit = sum(seen.injected.values())
    figures = measure(drill, seen.operations, seen.calls, hit)
    notes = list(seen.notes)
    if verify is not None:
        figures |= _verified(verify)
    if not hit:
        notes.append("nothing was injected: the drill proves nothing")
    return Outcome(
        drill=drill,
        figures=figures,
        injected=dict(seen.injected),
        verdicts=judge(wanted, figures),
        codes=dict(Counter(one.code for one in seen.operations).most_common()),
        stopped=seen.stopped,
        notes=tuple(notes),
    )


def _verified(verify: Callable[..., Any]) -> dict[str, float | None]:
    """What the drill's own check adds to the figures.

    Raises:
        ValueError: it returns no mapping of names and numbers.
    """
    found = outcome_of(verify)
    if not isinstance(found, Mapping):
        msg = f"`verify` returned {type(found).__name__}, no mapping of figures"
        raise ValueError(msg)  # noqa: TRY004 - the drill file's fault
    return {str(name): float(value) for name, value in found.items()}


def _run_function(path: str, drill: Drill, progress: Callable[[float], None]) -> Seen:
    """Call the drill's function in this process."""
    seam = Seam(drill, path)
    seam.begin(math.inf)  # what sets up meets no fault
    armed.arm(os.environ[VARIABLE], seam)
    seen = Seen()
    seam.listeners.append(seen.calls.append)
    watch = Watch(drill, seen, seam.elapsed)

    def tick() -> bool:
        progress(seam.elapsed())
        reason = watch.reason()
        if reason:
            seam.stop(reason)
        return not seam.is_over or seam.elapsed() >= drill.duration

    try:
        load = Load(drill, seam, seen.operations.append, tick)
        load.make()
    except KeyboardInterrupt:
        seam.stop(CTRL_C)
    finally:
        if seam.elapsed() < drill.duration:
            seen.stopped = seam.is_over
        seen.injected = dict(seam.injected)
        armed.disarm(os.environ[VARIABLE])
    return seen


class Watch:
    """Looks whether one of the drill's reasons to stop holds. Owned by one thread."""

    def __init__(self, drill: Drill, seen: Seen, elapsed: Callable[[], float]) -> None:
        self._drill = drill
        self._seen = seen
        self._elapsed = elapsed
        self._next = 0.0
        self._conditions = [read_expectation(text) for text in drill.stop_when]

    def reason(self) -> str:
        """Which one holds, over the newest window; empty: none."""
        now = self._elapsed()
        if not self._conditions or now < self._next:
            return ""
        self._next = now + LOOK_S
        since = now - self._drill.window
        operations = [o for o in self._seen.operations if o.at + o.elapsed_s >= since]
        calls = [c for c in self._seen.calls if c.at + c.elapsed_s >= since]
        if len(operations) < ENOUGH:
            return ""
        figures = newest(operations, calls)
        for one in self._conditions:
            if one.holds(figures[one.figure]):
                return f"{one.text} holds: {one.figure} is {figures[one.figure]:.3g}"
        return ""
