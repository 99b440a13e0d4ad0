"""Eight processes of one host: how soon do all know, and how often do they probe?

    python host_eight.py [--rounds 20] [--short]

In each round a real backend, which eight processes call over real channels, is killed;
timed is from the second process's first bad result until the last one limits. All have
300 ms (one round in twenty may miss that, for the machine may be busy). Then probes of
a dead backend are counted for five seconds: the host's are to be those of its rate,
within a quarter, however many processes there are. Exit code 1 when one does not hold.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from resilience.core.admission import RULE  # noqa: E402  run by path
from tests.real.host_site import EIGHT, Eight  # noqa: E402  as above


WITHIN_S = 0.3
PACES_S = (0.08, 0.04, 0.02)
SECONDS = 5.0
WITHIN_SHARE = 0.25


def times(eight: Eight, rounds: int) -> bool:
    """Kill that many backends; do all know in time?"""
    found = sorted(eight.time_to_know() for _ in range(rounds))
    late = sum(each > WITHIN_S for each in found)
    print(
        f"{rounds} dead backends: known by all after {statistics.median(found):.3f} s"
        f" in the median, {found[0]:.3f} to {found[-1]:.3f}; {late} after more than"
        f" {WITHIN_S:g} s (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )
    return late <= rounds / 20


def probes(eight: Eight, pace_s: float) -> bool:
    """Count probes; are they those of the host's rate?"""
    name, backend = eight.backend()
    eight.use(name, [backend.port] * EIGHT, [pace_s] * EIGHT)
    backend.kill()
    eight.who_limits(1.5)
    before = eight.counted()
    eight.who_limits(SECONDS)
    after = eight.counted()
    seconds = after[-1]["at"] - before[-1]["at"]
    # The rate is an average over 10 s, which is still on its way: its mean counts.
    rate = sum(each["rate"] for each in (*before, *after)) / 2
    wanted = seconds / RULE.probe_gap(rate)
    lonely = seconds / RULE.probe_gap(rate / EIGHT) * EIGHT
    made = sum(one["probes"] - other["probes"] for one, other in _pairs(after, before))
    print(
        f"probes in {seconds:.1f} s at {rate:.0f} calls/s: {made}, by the policy"
        f" {wanted:.0f}; eight that do not share would make {lonely:.0f}",
        flush=True,
    )
    return abs(made / wanted - 1) <= WITHIN_SHARE


def _pairs(after: list[dict], before: list[dict]) -> zip:
    return zip(after, before, strict=True)


def main() -> int:
    """Parse, run, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="3 rounds, one pace")
    said = parser.parse_args()
    rounds, paces = (3, PACES_S[1:2]) if said.short else (said.rounds, PACES_S)
    with tempfile.TemporaryDirectory() as folder, Eight(Path(folder)) as eight:
        held = [times(eight, rounds), *(probes(eight, pace) for pace in paces)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
