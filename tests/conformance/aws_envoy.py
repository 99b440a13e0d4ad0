"""Calls to S3, DynamoDB and SQS through an Envoy by which a third of them fail.

    python aws_envoy.py [--calls 10000] [--short] [--seed 1] [--peers standard,...]
                        [--swift]

Three requests in ten end in InternalError, one of these after it was executed; one in
twenty is delayed beyond the attempt timeout (`aws_envoy_site.py`). Under the policy
`examples/policies/aws-envoy.yaml`, 99.99 % of the calls succeed within its deadline, no
keyed write is done twice or lost, and Envoy sees as many requests as follow from the
policy (`aws_envoy_traffic.predicted`), within 2 % (for few calls: within four standard
deviations). The same traffic bare stands beside it. `--swift`: S3 alone, and by
OpenStack Swift in place of moto. Exit code 1 when something does not hold.
"""

import argparse
import statistics
import sys
from collections import Counter
from pathlib import Path


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import aws_envoy_traffic as traffic
from aws_envoy_site import Shares, Site

import resilience


POLICY = ROOT / "examples" / "policies" / "aws-envoy.yaml"
SHORT = 300
LEAST_SUCCESS = 0.9999
TOLERANCE = 0.02
ENOUGH = 10_000
"""From here on chance alone does not reach the tolerance: it is three deviations."""
HEAD = (
    f"{'':12}{'calls':>7}{'success':>10}{'in time':>10}{'requests':>10}{'per call':>10}"
    f"{'twice':>7}{'lost':>6}{'false':>7}{'p50':>9}{'p99':>9}{'took':>8}"
)


class Result:
    """What came of one peer's calls."""

    def __init__(
        self, told, took_s, *, deadline_s, requests, effects, executed, unseen
    ):
        self.calls = len(told)
        self.took_s = took_s
        self.failed = [one for one in told if not one.ok]
        self.success = sum(one.ok for one in told) / self.calls
        in_time = [one for one in told if one.ok and one.elapsed_s <= deadline_s]
        self.in_time = len(in_time) / self.calls
        self.faults = requests
        self.requests = sum(requests.values())
        self.per_call = self.requests / self.calls
        writes = [one for one in told if one.turn in traffic.WRITES]
        twice = {one.name for one in writes if effects.get(one.name, 0) > 1}
        # What is written again where no versions are kept looks the same: its
        # executions count.
        again = sum(n > 1 for (_, what), n in executed.items() if what == unseen)
        self.twice = len(twice) + again
        self.lost = sum(one.ok and one.name not in effects for one in writes)
        # Told of a failure that may not have happened, and not told that it may.
        self.false = sum(
            not one.ok and one.name in effects and not one.ambiguous for one in writes
        )
        times = sorted(one.elapsed_s for one in told)
        self.p50_s = statistics.median(times)
        self.p99_s = times[int(len(times) * 0.99)]

    def row(self, name):
        return (
            f"{name:12}{self.calls:>7}{self.success:>10.2%}{self.in_time:>10.2%}"
            f"{self.requests:>10}{self.per_call:>10.3f}{self.twice:>7}{self.lost:>6}"
            f"{self.false:>7}{self.p50_s * 1e3:>6.0f} ms{self.p99_s * 1e3:>6.0f} ms"
            f"{self.took_s:>6.0f} s"
        )


def compare(calls, *, seed=1, words=("standard",), on_swift=False):
    """Run ours and the peers that *words* name; yields (name, result)."""
    shares = Shares()
    with (
        Site(shares, seed, on_swift=on_swift) as site,
        resilience.PolicyEngine.from_yaml(POLICY) as engine,
    ):
        bare = traffic.make_clients(site.direct, on_swift=on_swift)
        queue = traffic.prepare(bare, on_swift=on_swift)
        deadline_s = traffic.policy_of(engine, "s3", "PutObject").timeout_s
        before = Counter()
        for peer in traffic.peers(engine, words):
            told, took_s = traffic.run(peer, site.url, queue, calls, on_swift=on_swift)
            requests, executed = site.requests(), site.executed()
            effects = traffic.there(bare, queue)
            yield (
                peer.name,
                Result(
                    told,
                    took_s,
                    deadline_s=deadline_s,
                    requests=requests,
                    effects=effects,
                    executed=executed - before,
                    unseen="PUT" if on_swift else "PutItem",
                ),
            )
            before = executed


def problems(result, predicted, calls):
    """What does not hold of ours, in words."""
    tolerance = TOLERANCE
    if calls < ENOUGH:
        tolerance = max(TOLERANCE, 4 * traffic.deviation(Shares(), calls))
    off = result.per_call / predicted - 1
    # Of few calls one may fail by chance: three in a million find no answer.
    if result.in_time < min(LEAST_SUCCESS, 1 - 1 / calls):
        yield f"only {result.in_time:.4%} succeeded in time"
    if abs(off) > tolerance:
        yield f"{off:+.1%} requests against what the policy predicts"
    for word in ("twice", "lost", "false"):
        if getattr(result, word):
            yield f"{getattr(result, word)} writes: {word}"


def _about_ours(result, predicted):
    met = {fault: n / result.requests for fault, n in result.faults.items()}
    weather = [f"{met.get(f, 0):.1%} {f}" for f in ("aborted", "lost", "delayed")]
    yield (
        f"predicted {predicted:.3f} requests per call, measured {result.per_call:.3f} "
        f"({result.per_call / predicted - 1:+.2%}); met: {', '.join(weather)}"
    )
    yield from (f"{one.turn}: {one.error}" for one in result.failed[:5])


def _about_others(result):
    kinds = Counter(one.error[:88] for one in result.failed)
    yield from (f"{n} x {text}" for text, n in kinds.most_common(3))


def lines(calls, *, seed=1, words=("standard",), on_swift=False, found=None):
    """The figures line by line as they come; what does not hold goes into *found*."""
    with resilience.PolicyEngine.from_yaml(POLICY) as engine:
        predicted = traffic.amplification(engine, Shares(), on_swift=on_swift)
    yield HEAD
    for name, result in compare(calls, seed=seed, words=words, on_swift=on_swift):
        yield result.row(name)
        if name != "resilience":
            more = _about_others(result)
        else:
            more = _about_ours(result, predicted)
            if found is not None:
                found += problems(result, predicted, calls)
        yield from (f"{'':12}{line}" for line in more)
    yield (
        "twice, lost: writes that were done more than once, or told as done and not "
        "there; false:\ndone, told as a failure, and not said to be ambiguous"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--short", action="store_true", help=f"{SHORT} calls")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--peers", default="standard", help="legacy, standard, tenacity"
    )
    parser.add_argument("--swift", action="store_true", help="S3 by OpenStack Swift")
    given = parser.parse_args()
    calls = SHORT if given.short else given.calls
    words = tuple(filter(None, given.peers.split(",")))
    found = []
    for line in lines(
        calls, seed=given.seed, words=words, on_swift=given.swift, found=found
    ):
        print(line, flush=True)
    for problem in found:
        print("PROBLEM", problem)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
