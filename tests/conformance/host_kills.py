"""The host's state under SIGKILL: is anything ever corrupt, stuck or lost?

    python host_kills.py [--kills 1000] [--short] [--seed 1]

Processes join the host's file, count good and bad results of many scopes (so that rows
are taken, shown, taken away and filled all the time), and are killed at a random moment
of a life of up to 20 ms: while they make the file, take a slot, or write a row. A
witness lives through all of it and looks after each kill:

- the file is the one it was, and nothing was said about it;
- every row that is shown can be true: its name, its ticks, its counts;
- the place of the killed is given out again;
- in the end the witness's breakers let everything pass again.

Exit code 1 when something of it does not hold.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from resilience.core.adaptive import AdaptiveBreaker
from resilience.core.breaker import Permit
from resilience.state import HostState
from resilience.state.peek import peek
from tests.core.policies import breaker


LIFE_S = 0.02
SPEED = 20
"""A victim's clock runs faster, so that it lives through many ticks."""
POLICY = breaker(kind="adaptive", unit_s=0.5)
SCOPES = [f"app:target=shard-{number}" for number in range(70)]
NAMES = {f"{scope} @0.5s" for scope in SCOPES}
MOST = 100_000


class Process:
    """One that calls."""

    def __init__(self, name: str, seed: int) -> None:
        self.told: list[tuple[str, str]] = []
        self.host = HostState(name, lambda *said: self.told.append(said))
        self.random = random.Random(seed)
        self.breakers: dict[str, AdaptiveBreaker] = {}

    def call(self, scope: str, now: float, *, good: bool) -> None:
        found = self.breakers.get(scope)
        if found is None:
            rows = self.host.rows(f"{scope} @0.5s")
            found = self.breakers[scope] = AdaptiveBreaker(POLICY, scope, rows)
        permit = found.admit(now, self.random.random)
        if isinstance(permit, Permit):
            said = "success" if good else "failure"
            found.done(permit, said, 0.01, now, self.random.random)

    def live(self) -> None:
        """Call on until it is killed."""
        began = time.monotonic()
        while True:
            now = began + (time.monotonic() - began) * SPEED
            scope = self.random.choice(SCOPES)
            self.call(scope, now, good=self.random.random() < 0.6)


def kill_one(name: str, witness: Process, draw: random.Random) -> None:
    """Let a process live and die."""
    seed, inherits = draw.getrandbits(32), draw.random() < 0.3
    victim = os.fork()
    if victim == 0:
        try:
            if inherits:  # as an engine does in the child of a fork
                witness.host.renew()
                witness.live()
            Process(name, seed).live()
        finally:
            os._exit(9)
    until = time.monotonic() + draw.random() * LIFE_S
    while time.monotonic() < until:
        witness.call(draw.choice(SCOPES), time.monotonic(), good=True)
    os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    if status != signal.SIGKILL:
        msg = f"a process ended by itself: {status}"
        raise AssertionError(msg)


def wrong_rows(name: str) -> list[str]:
    """What is shown and cannot be true."""
    seen = peek(name, time.monotonic())
    if seen is None:
        return ["the file is gone or damaged"]
    return [
        str(row)
        for row in seen.rows
        if row.scope not in NAMES
        or not 0 <= row.fraction <= 1
        or max(row.offered, row.ok, row.bad) > MOST
    ]


def recovers(witness: Process) -> bool:
    """Do all breakers let everything pass, once all is well?"""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        for scope in SCOPES:
            witness.call(scope, time.monotonic(), good=True)
        if all(found.fraction == 1 for found in witness.breakers.values()):
            return True
    return False


def run(kills: int, seed: int) -> int:
    """Kill that many; how many things went wrong."""
    draw, problems = random.Random(seed), []
    slots: set[int] = set()
    witness = Process("kills", seed)
    witness.call(SCOPES[0], time.monotonic(), good=True)
    identity = witness.host._member.file.identity
    for number in range(kills):
        # Each tenth is killed around the making of a file of its own.
        name = f"fresh-{number}" if number % 10 == 0 else "kills"
        kill_one(name, witness, draw)
        problems += wrong_rows("kills")
        newcomer = Process(name, seed)
        newcomer.call(SCOPES[0], time.monotonic(), good=True)
        problems += [f"{code}: {text}" for code, text in newcomer.told]
        if newcomer.host._member is None:
            problems.append(f"nobody can join {name}")
        elif name == "kills":
            slots.add(newcomer.host._member.slot)
        newcomer.host.close()
    if not recovers(witness):
        problems.append("a breaker did not let all pass again")
    problems += [f"{code}: {text}" for code, text in witness.told]
    if witness.host._member.file.identity != identity:
        problems.append("the file was replaced")
    if slots - {0, 1, 2}:
        problems.append(f"places are not given out again: {sorted(slots)}")
    witness.host.close()
    for problem in problems[:20]:
        print("WRONG", problem)
    print(f"{kills} kills, {len(problems)} problems, places used: {sorted(slots)}")
    return len(problems)


def main() -> int:
    """Parse, run, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--short", action="store_true", help="40 kills")
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESILIENCE_STATE_DIR"] = folder
        return 1 if run(40 if said.short else said.kills, said.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
