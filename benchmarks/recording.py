"""What does recording every call cost, and how fast is a recording played again?

The calling thread only puts its records in a queue; a thread encodes and writes them.
Both are told: what a healthy call pays where it is made, and what a record costs the
process. Then the recording is played under the policy that made it.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.core_cost import FACTS, TARGET, Swallow, succeed
from benchmarks.measure import Figure, compare, table
from resilience import PolicyEngine
from resilience.drivers import threads
from resilience.lab.replay import Replayed, replay
from resilience.policy import built_in
from resilience.telemetry import encoding
from resilience.telemetry.jsonlines import JsonLinesSink


BOUND_US = 1.0
"""What recording may add to a healthy call, on the thread that makes it."""
CALLS = 20_000
SEEN = "every record seen"
RECORDED = "every record in a file"


class Last:
    """A sink that keeps the newest record, made as for a recording."""

    wants_draws = True

    def __init__(self) -> None:
        self.record: object = None

    def emit(self, record: object) -> None:
        """Take one record."""
        self.record = record


def figures(folder: Path) -> list[Figure]:
    """A healthy call: with a sink that sees every record, and with a recording."""
    seen = PolicyEngine(sinks=[Swallow()])
    # No record is lost while calls come faster than anybody could write them.
    sink = JsonLinesSink(folder / "cost.jsonl", queue=10_000_000)
    recorded = PolicyEngine(sinks=[sink])
    bound, kept = seen.bind(TARGET), recorded.bind(TARGET)
    candidates: dict[str, Callable[[], object]] = {
        SEEN: lambda: threads.run(seen.new_call(bound, FACTS), succeed, seen),
        RECORDED: lambda: threads.run(
            recorded.new_call(kept, FACTS), succeed, recorded
        ),
    }
    found = compare(candidates)
    recorded.close()
    return found


def encoded() -> tuple[float, int]:
    """Microseconds and bytes of one line."""
    last = Last()
    engine = PolicyEngine(sinks=[last])
    threads.run(engine.new_call(engine.bind(TARGET), FACTS), succeed, engine)
    started = time.thread_time()
    for _ in range(CALLS):
        encoding.line(last.record)
    spent = (time.thread_time() - started) / CALLS * 1e6
    return spent, len(encoding.line(last.record))


def played(folder: Path) -> tuple[float, Replayed]:
    """Microseconds of processor time that each call of a recording takes."""
    path = folder / "play.jsonl"
    sink = JsonLinesSink(path, queue=10_000_000)
    engine = PolicyEngine(sinks=[sink])
    bound = engine.bind(TARGET)
    for _ in range(CALLS):
        threads.run(engine.new_call(bound, FACTS), succeed, engine)
    engine.close()
    started = time.process_time()
    found = replay([path], built_in())
    return (time.process_time() - started) / found.contents.calls * 1e6, found


def report() -> str:
    """The figures as text."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = figures(folder)
        play_us, result = played(folder)
    seen, recorded = found
    added = recorded.least_us - seen.least_us
    line_us, size = encoded()
    told = (
        f"{result.contents.calls} calls, {result.differences.total()} differences, "
        f"{result.attempts['known']} attempts known"
    )
    verdict = "within" if added <= BOUND_US else "OVER"
    return "\n".join(
        [
            table(f"recording: {verdict} {BOUND_US:g} us a call", found, SEEN),
            f"added to a healthy call, where it is made: {added:.2f} us",
            f"a line, on the writing thread: {line_us:.1f} us, {size} bytes",
            f"played again: {play_us:.0f} us a call; {told}",
        ]
    )


if __name__ == "__main__":
    print(report())
