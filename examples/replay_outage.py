"""An outage, recorded and played again: `python -m examples.replay_outage`.

Two thousand calls meet a server that is dead for 20 s; every decision is recorded. Then
the recording answers what two attempts instead of three would have changed. Time is
virtual, so it takes no time.
"""

import random
import tempfile
from pathlib import Path

import resilience
from resilience import policy
from resilience.lab.replay import Replayed, replay
from resilience.telemetry.jsonlines import JsonLinesSink
from resilience.testing import VirtualClock


LIVE = """
version: 1
edition: "2026.11"
name: rates
app: {operations: {rates/quote: {timeout: 5s, attempt_timeout: 1s}}}
"""
TRIED = LIVE + "all: {retry: {max_attempts: 2}}\n"


def record(path: Path) -> None:
    """Make the calls, and record them in *path*."""
    chance = random.Random(3)
    with VirtualClock(start_s=0.0) as clock:
        engine = resilience.PolicyEngine.from_text(
            LIVE, clock=clock, sinks=[JsonLinesSink(path)], seed=1
        )

        def quote(_: object) -> str:
            clock.advance(chance.uniform(0.001, 0.1))
            is_dead = 20 < clock.now() < 40
            if chance.random() < (0.9 if is_dead else 0.05):
                msg = "no route to the rates service"
                raise ConnectionRefusedError(msg)
            return "EUR 1.09"

        for _ in range(2000):
            clock.advance(chance.expovariate(20))
            try:
                engine.call("app:rates/quote", quote, idempotency="safe")
            except (ConnectionRefusedError, resilience.Rejected):
                continue
        engine.close()


def main() -> list[Replayed]:
    """Play it under the policy that was live, then under the one that is tried."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        record(path)
        found = [
            replay([path], policy.load([("policy.yaml", text)]))
            for text in (LIVE, TRIED)
        ]
    for title, one in zip(("as it was", "two attempts"), found, strict=True):
        print(f"{title}: {one.replayed.as_dict()}")
        print(f"  calls decided otherwise: {dict(one.differences)}")
        print(f"  attempts: {one.attempts}")
    for example in found[1].examples[:3]:
        print(f"  +{example.at_s:.1f}s {example.kind}: {example.why}")
    return found


if __name__ == "__main__":
    main()
