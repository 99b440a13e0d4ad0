"""How the demo's results are shown: one table a protocol and one sentence.

Nothing is counted or decided here.
"""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from examples.figures import duration

from . import plan


TITLES: dict[plan.Protocol, str] = {
    "grpc": f"gRPC, threads and asyncio; deadline {plan.GRPC_DEADLINE_S:g} s",
    "aws": f"S3 and DynamoDB; deadline {plan.AWS_DEADLINE_S:g} s",
}
COLUMNS = ("calls", "failed", "late", "twice", "attempts", "p50", "p99")
LEGEND = (
    "late: more than 50 ms past the deadline; twice: effects beyond the first of one "
    "intent; attempts: requests per call, without refused connections. Both are "
    "counted at the servers. Bare gRPC has no deadline: the demo gives up on a call "
    f"after {plan.GRPC_HARNESS_LIMIT_S:g} s. platform: a service config with five "
    "attempts for the whole service; botocore's standard mode. resilience gives a "
    "non-idempotent call that may have been executed back instead of repeating it."
)


def table(protocol: plan.Protocol, rows: Sequence[plan.Row]) -> Table:
    """The rows of one protocol, ready to print."""
    drawn = Table(
        title=TITLES[protocol],
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=0,  # it fits 80 columns so
    )
    drawn.add_column("client", no_wrap=True)
    drawn.add_column("kind", no_wrap=True)
    for name in COLUMNS:
        drawn.add_column(name, justify="right", no_wrap=True)
    mine = [row for row in rows if row.protocol == protocol]
    for index, row in enumerate(mine):
        is_last = index + 1 == len(mine) or mine[index + 1].way != row.way
        drawn.add_row(*_cells(row), end_section=is_last)
    return drawn


def _cells(row: plan.Row) -> list[str]:
    sums = row.tally
    return [
        row.way,
        row.kind,
        str(sums.calls),
        _marked(sums.failed),
        _marked(sums.late),
        _marked(row.duplicates),
        f"{row.attempts / max(1, sums.calls):.2f}",
        *map(duration, (sums.p50_s, sums.p99_s)),
    ]


def _marked(count: int) -> str:
    return f"[bold red]{count}[/]" if count else "0"


def reading(rows: Sequence[plan.Row]) -> str:
    """The result in one sentence."""
    parts = [_way(way, [row for row in rows if row.way == way]) for way in plan.WAYS]
    return "; ".join(part for part in parts if part) + "."


def _way(way: plan.Way, rows: Sequence[plan.Row]) -> str:
    if not rows:
        return ""
    repeatable = [row for row in rows if row.kind != "non-idempotent"]
    calls = sum(row.tally.calls for row in repeatable)
    failed = sum(row.tally.failed for row in repeatable)
    late = sum(row.tally.late for row in rows)
    duplicates = sum(row.duplicates for row in rows)
    return (
        f"{way}: {failed} of {calls} safe and keyed calls failed, {late} calls were "
        f"late, {duplicates} effects were duplicates"
    )
