"""A drill whose calls a program makes, in a process of its own.

The program finds the drill in its environment; each of its calls is told in a file of
lines, which is read as it grows. Ending the drill ends the program.
"""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from resilience.drilling import VARIABLE
from resilience.drilling.armed import BEGAN, EVENTS
from resilience.drilling.marks import CallSeen
from resilience.drilling.model import Drill

from .loading import CTRL_C
from .measuring import operations_of
from .running import LOOK_S, Seen, Watch


LEAVE_S = 5.0
"""How long the program may take to end when it is asked to."""


def run_program(
    path: str, drill: Drill, progress: Callable[[float], None] = lambda _: None
) -> Seen:
    """Run the drill's program, until it ends or the drill's time is up.

    Raises:
        OSError: the program cannot be started.
    """
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="resilience-drill-") as folder:
        events = Path(folder) / "calls.jsonl"
        events.touch(mode=0o600)
        environment = {
            **os.environ,
            VARIABLE: str(Path(path).resolve()),
            EVENTS: str(events),
            BEGAN: repr(time.time()),
        }
        program = subprocess.Popen(  # noqa: S603 - the drill file's own command
            drill.command, env=environment, start_new_session=True
        )
        try:
            with events.open(encoding="utf-8") as lines:
                _follow(drill, seen, program, lines.readline, progress)
        finally:
            _end(program)
            _take(seen, events)
    _note(drill, seen, program.returncode)
    return seen


def _follow(
    drill: Drill,
    seen: Seen,
    program: "subprocess.Popen[bytes]",
    read: Callable[[], str],
    progress: Callable[[float], None],
) -> None:
    """Read what the program's calls tell until it, or the drill, is over."""
    began = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - began

    watch = Watch(drill, seen, elapsed)
    try:
        while elapsed() < drill.duration and program.poll() is None:
            progress(elapsed())
            while line := read():
                seen.calls.append(CallSeen.of(json.loads(line)))
            seen.operations = operations_of(drill, seen.calls)
            seen.stopped = watch.reason()
            if seen.stopped:
                return
            time.sleep(LOOK_S)
    except KeyboardInterrupt:
        seen.stopped = CTRL_C
    if elapsed() < drill.faults_end and not seen.stopped:
        seen.stopped = f"the program ended after {elapsed():.1f} s"


def _end(program: "subprocess.Popen[bytes]") -> None:
    """End the program and what it started: asked first, then killed."""
    for ask in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if program.poll() is not None:
            return
        os.killpg(program.pid, ask)
        try:
            program.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            continue


def _take(seen: Seen, events: Path) -> None:
    """All calls, the last ones included."""
    lines = events.read_text(encoding="utf-8").splitlines()
    seen.calls = [CallSeen.of(json.loads(line)) for line in lines if line]


def _note(drill: Drill, seen: Seen, code: int | None) -> None:
    """Count what was injected, as far as ended calls tell."""
    injected: dict[str, int] = {}
    for call in seen.calls:
        for kind in call.injected:
            injected[kind] = injected.get(kind, 0) + 1
    seen.injected = injected
    seen.operations = operations_of(drill, seen.calls)
    if code not in (0, None, -signal.SIGINT, -signal.SIGTERM, 130):
        seen.notes.append(f"the program ended with {code}")
