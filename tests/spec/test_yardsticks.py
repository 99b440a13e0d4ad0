"""What other systems' own tests expect, run on our mechanisms.

The rows are data (`yardsticks.json`), each group with its source. How our knobs express
another library's configuration is written here, beside the test that uses it.
"""

import json
from pathlib import Path

import pytest

from resilience.core.backoff import Backoff, with_pushback
from resilience.core.breaker import Permit
from resilience.core.budget import make_budget
from resilience.core.classic import ClassicBreaker as Breaker
from resilience.core.outcome import Outcome
from resilience.core.window import TimeWindow
from tests.core.policies import (
    RESET,
    THROTTLED,
    backoff,
    breaker,
    budget,
    highest,
    middle,
)


ROWS = json.loads(Path(__file__).with_name("yardsticks.json").read_text("utf-8"))
PLAIN = {"jitter": False, "growing": False, "ramp_s": 0.0}
STATES = {
    "open": "open",
    "half": "half-open",
    "closed": "closed",
    "forced": "forced-open",
    "metrics": "shadow",
    "OPEN": "open",
    "HALF_OPEN": "half-open",
    "CLOSED": "closed",
    "FORCED_OPEN": "forced-open",
    "METRICS_ONLY": "shadow",
}


class Script:
    """Runs a breaker row: admissions, results, time, transitions, assertions."""

    def __init__(self, made: Breaker) -> None:
        self.made = made
        self.now = 0.0
        self.permits: list[Permit] = []

    def admit(self) -> bool:
        answer = self.made.admit(self.now, middle)
        if isinstance(answer, Permit):
            self.permits.append(answer)
        return isinstance(answer, Permit)

    def end(self, letter: str, elapsed_s: float) -> None:
        if not self.permits:
            assert self.admit()
        shown = {"S": "success", "F": "failure", "I": "neutral"}[letter]
        self.made.done(self.permits.pop(0), shown, elapsed_s, self.now, middle)

    def run(self, ops: list[str]) -> None:
        for op in ops:
            name, _, value = op.partition("@")
            if op in {"A+", "A-"}:
                assert self.admit() is (op == "A+")
            elif name in {"S", "F", "I"}:
                self.end(name, float(value or 0.1))
            elif op.startswith("T:"):
                self.now += float(op[2:])
            elif op.startswith("="):
                assert STATES[op[1:]] == self.made.state
            else:
                self.made.move(STATES[op], self.now)


R4J = ROWS["breaker_r4j"]


@pytest.mark.parametrize("case", R4J["cases"], ids=lambda case: case["name"])
def test_resilience4j_breaker(case) -> None:
    """Its state machine's own tests pass, with our early decision switched off."""
    config = R4J["config"]
    made = Breaker(
        breaker(
            **PLAIN,
            early_decision=False,
            window_s=config["window_size_s"],
            min_calls=config["min_calls"],
            failure_ratio=config["failure_rate"],
            slow_call_s=config["slow_call_s"],
            slow_ratio=config["slow_rate"],
            probes=config["half_open_calls"],
            concurrent_probes=config["half_open_calls"],
            open_for_s=config["wait_open_s"],
        ),
        "r4j",
    )
    script = Script(made)
    script.run(case["ops"])
    totals = made.totals(script.now)
    found = {
        "rate": totals.failure_ratio,
        "buffered": totals.calls,
        "failed": totals.failed,
        "slow": totals.slow,
        "slow_rate": totals.slow_ratio,
        "not_permitted": made.rejected,
    }

    for name, expected in case.get("metrics", {}).items():
        assert expected == pytest.approx(found[name]), name


@pytest.mark.parametrize("row", ROWS["breaker_polly_should_break"]["rows"], ids=str)
def test_polly_should_break(row) -> None:
    """It breaks from the threshold on, and only with enough calls."""
    throughput, least, failure_rate, threshold, expected = row
    made = Breaker(
        breaker(**PLAIN, min_calls=least, failure_ratio=threshold, window_s=10), "polly"
    )
    failures = round(throughput * failure_rate)
    # All are under way before the first one ends, so that all are counted.
    results = ["S"] * (throughput - failures) + ["F"] * failures
    Script(made).run(["A+"] * throughput + results)

    assert expected is (made.state == "open")


@pytest.mark.parametrize(
    "case", ROWS["breaker_failsafe"]["cases"], ids=lambda case: case["ops"]
)
def test_failsafe_go_breaker(case) -> None:
    """Its thresholds are ratios of a count window, or of a round of probes."""
    config = case["cfg"]
    changes = {"early_decision": True}
    if "consecutive" in config:
        size = config["consecutive"]
        changes |= {"window_calls": size, "min_calls": size, "failure_ratio": 1.0}
    if "ratio" in config:
        part, size = config["ratio"]
        changes |= {
            "window_calls": size,
            "min_calls": size,
            "failure_ratio": part / size,
        }
    if "success" in config:
        # Every probe has to succeed: one failure in a round is too many.
        size = config["success"]
        changes |= {"probes": size, "failure_ratio": 1 / size}
    if "success_ratio" in config:
        part, size = config["success_ratio"]
        changes |= {"probes": size, "failure_ratio": (size - part + 1) / size}
    made = Breaker(breaker(**PLAIN, **changes), "failsafe")
    if case["start"] == "HALF_OPEN":
        made.move("half-open", 0.0)
    ops = case["ops"].replace("(S F)x20", " ".join(["S F"] * 20)).split()

    Script(made).run(ops)


def test_polly_window() -> None:
    """Ten buckets over ten seconds: what is read after each step of its script."""
    row = ROWS["window_polly"]
    window, now, reads = TimeWindow(row["window_s"]), 0.0, {}

    def read() -> list[float]:
        totals = window.totals(now)
        return [totals.calls, totals.failure_ratio, totals.failed]

    for i in range(5):
        window.add(now, failed=i < 2, slow=False)
        window.add(now, failed=False, slow=False)
        now += 2
        reads[str(i)] = read()
    now += 2
    reads["5"] = read()

    for key, expected in row["expected_reads"].items():
        assert expected == reads[key], key


def test_polly_window_capacity() -> None:
    """A call a second: nine are inside after ten seconds, eight a second later."""
    window = TimeWindow(ROWS["window_polly"]["window_s"])
    for second in range(10):
        window.add(second, failed=False, slow=False)

    assert ROWS["window_polly"]["capacity"].endswith("throughput 9 ; +1 s -> 8")
    assert (window.totals(10).calls, window.totals(11).calls) == (9, 8)


@pytest.mark.parametrize("row", ROWS["finagle_retry_budget"]["rows"], ids=str)
def test_finagle_retry_budget(row) -> None:
    """10 000 calls, each wanting a retry, get the ratio and the reserve."""
    made = make_budget(
        budget(ratio=row["pct"], min_per_second=row["min"], ttl_s=row["ttl"])
    )
    reserve = row["ttl"] * row["min"]

    assert made.balance(0) == reserve

    granted = 0
    for _ in range(10_000):
        made.deposit(0)
        granted += made.withdraw(RESET, 0) is not None

    assert abs(granted - int(10_000 * row["pct"]) - reserve) <= 1


def test_finagle_retry_budget_above_one() -> None:
    """A ratio of 2 grants two retries for each call."""
    made = make_budget(budget(ratio=2.0, min_per_second=0, ttl_s=60))
    for _ in range(10_000):
        made.deposit(0)

    assert ROWS["finagle_retry_budget"]["extra"].endswith("balance 20000")
    assert made.balance(0) == 20_000


def test_grpc_retry_throttle() -> None:
    """grpc-java's sequence of failures and successes, and when a retry is allowed."""
    row = ROWS["grpc_retry_throttle"]
    made = make_budget(
        budget("tokens", max_tokens=row["max_tokens"], token_ratio=row["token_ratio"])
    )

    for step, (op, expected) in enumerate(row["ops"]):
        if op == "F":
            made.failed(0, counts=True)
        else:
            made.ended(None, 0, ok=True)

        assert expected is made.allows(RESET, 0), step


BOTOCORE = ROWS["botocore_standard_2026"]


@pytest.mark.parametrize(
    ("initial_s", "group"), [(0.05, "backoff_rand1"), (0.025, "dynamodb_rand1")]
)
def test_botocore_backoff(initial_s, group) -> None:
    """Full jitter drawn at its highest: doubling from the base, capped at 20 s."""
    made = Backoff(backoff(initial_s, max_s=20.0, jitter="full"))
    found = [made.wait(n, highest) for n in range(1, len(BOTOCORE[group]) + 1)]

    assert found == pytest.approx(BOTOCORE[group])


@pytest.mark.parametrize(
    ("outcome", "group"),
    [(RESET, "quota_after_transient"), (THROTTLED, "quota_after_throttle")],
)
def test_botocore_quota(outcome, group) -> None:
    """What is left of 500 after one retry of each kind."""
    made = make_budget(budget("quota"))
    cost = made.withdraw(outcome, 0)

    assert BOTOCORE[group] == 500 - cost


@pytest.mark.parametrize(
    ("header", "expected"), BOTOCORE["retry_after_ms"].items(), ids=str
)
def test_botocore_retry_after(header, expected) -> None:
    """`x-amz-retry-after` between our own wait and 5 s more; nonsense is ignored."""
    asked = None if header == "invalid" else int(header) / 1000
    outcome = Outcome("X", "overload", pushback_s=asked, pushback_form="clamped")

    assert with_pushback(outcome, 0.05, highest) == pytest.approx(expected)
