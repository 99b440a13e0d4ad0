"""A replay as text for people: tables, examples, and what cannot be known."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.text import Text

from resilience.lab.claims import Verdict
from resilience.lab.replay import Replayed
from resilience.lab.replay.counting import Count

from .printable import printable


_TITLES = (
    "calls",
    "ok",
    "attempts",
    "retries",
    "denied",
    "rejected",
    "deadlines",
    "hedges",
)
_MOST_ROWS = 50
_KINDS = {
    "rejected-now": "sent then, rejected now",
    "sent-now": "rejected then, sent now",
    "fails-now": "ok then, fails now",
    "succeeds-now": "failed then, ok now",
    "fewer-attempts": "fewer attempts",
    "more-attempts": "more attempts",
    "other-hedges": "other hedges",
    "other-code": "another code",
    "other-reason": "another reason",
}


def show(found: Replayed, verdicts: Sequence[Verdict]) -> None:
    """Print everything, the verdicts last."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    data = found.as_dict()
    records, policy = data["records"], data["policy"]
    console.print(
        Text.assemble(
            (f"{records['calls']} calls", "bold"),
            f" of {_plural(records['processes'], 'process')}{_on(records['hosts'])} in "
            f"{records['span_s']:.6g}s, under {policy['name']} {policy['hash']}, "
            f"mode {policy['mode']}, state {policy['state']}",
        )
    )
    _methods(console, found)
    _reasons(console, found)
    _breakers(console, found)
    _differences(console, found)
    made = found.attempts
    console.print(
        f"attempts: {made['known']} known, {made['assumed']} assumed, "
        f"{made['unknown']} unknown"
    )
    for note in found.notes:
        console.print(Text.assemble(("note: ", "cyan"), printable(note)))
    for verdict in verdicts:
        mark = ("holds ", "green") if verdict.holds else ("fails ", "bold red")
        console.print(Text.assemble(mark, verdict.text))
        for line in verdict.details:
            console.print(f"      {line}")


def _methods(console: Console, found: Replayed) -> None:
    """Two rows of numbers for each method: as it was, as it would have been."""
    console.print(" " * 10 + "".join(f"{title:>11}" for title in _TITLES))
    rows = [
        (f"{method} on {target}" if protocol == "grpc" else method, one)
        for (protocol, target, method), one in found.methods.items()
    ]
    for name, one in rows[:_MOST_ROWS]:
        console.print(Text(printable(name), "bold"))
        _pair(console, one.recorded, one.replayed)
    if len(rows) > _MOST_ROWS:
        console.print(f"and {len(rows) - _MOST_ROWS} more methods (--format json)")
    if len(rows) > 1:
        console.print(Text("all", "bold"))
        _pair(console, found.recorded, found.replayed)


def _pair(console: Console, before: Count, after: Count) -> None:
    was, now = before.as_dict(), after.as_dict()
    for title, shown in (("recorded", was), ("now", now)):
        line = Text(f"  {title:<8}")
        for name in _TITLES:
            is_other = was[name] != now[name] and shown is now
            line.append(f"{shown[name]:>11}", "bold" if is_other else "")
        console.print(line)


def _reasons(console: Console, found: Replayed) -> None:
    before, after = found.recorded, found.replayed
    for title, was, now in (
        ("denied", before.denied, after.denied),
        ("rejected", before.unsent, after.unsent),
    ):
        parts = [
            f"{reason} {was[reason]} -> {now[reason]}"
            for reason in sorted({*was, *now})
        ]
        if parts:
            console.print(printable(f"{title}: {', '.join(parts)}"))


def _breakers(console: Console, found: Replayed) -> None:
    for row in found.breaker_rows():
        before, after = row["recorded"], row["replayed"]
        if row["state"] in {"open", "limiting"}:
            name = printable(f"{row['scope']} {row['state']}")
            console.print(f"breaker {name}: {before} -> {after} times")


def _differences(console: Console, found: Replayed) -> None:
    total = found.differences.total()
    if not total:
        console.print(Text("no call would have been decided otherwise", "green"))
        return
    sure = found.differing
    console.print(
        Text.assemble(
            (f"{_plural(total, 'call')} decided otherwise", "bold"),
            f" ({sure['known']} on known attempts, {sure['assumed']} on assumed ones, "
            f"{sure['unknown']} on unknown ones)",
        )
    )
    for kind, title in _KINDS.items():
        number = found.differences[kind]
        if not number:
            continue
        console.print(Text.assemble("  ", (title, "bold"), f": {number}"))
        for one in found.examples:
            if one.kind == kind:
                place = printable(f"{one.call_id} {one.method}")
                console.print(f"    +{one.at_s:.3f}s {place} [{one.certainty}]")
                console.print(f"        {printable(one.why)}")


def _on(hosts: Mapping[str, int]) -> str:
    """On how many machines, where that is known of all."""
    if not hosts or "" in hosts:
        return ""
    return f" on {_plural(len(hosts), 'host')}"


def _plural(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
