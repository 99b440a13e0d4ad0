"""`resilience explain-call`: why one call ended as it did, from recorded events.

Exit codes: 0 it was found, 1 it was not, 2 wrong use.
"""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from . import render
from .options import FORMAT
from .printable import printable


if TYPE_CHECKING:
    from resilience.core.record import AttemptEnded, CallEnded
    from resilience.lab.replay.story import Story


_MOST_CHANGES = 10
"""Changes of breakers that are shown, the newest."""


@click.command("explain-call")
@click.argument("call_id")
@click.argument("records", nargs=-1, required=True)
@FORMAT
def explain_call(call_id: str, records: tuple[str, ...], form: str) -> None:
    """Show what was decided for the call CALL_ID, and on what evidence.

    CALL_ID stands in log lines, in notes on errors and in spans; RECORDS are files that
    JsonLinesSink wrote, those of several processes and older ones given together.
    """
    from resilience.lab.replay.story import story_of

    try:
        found = story_of(call_id, records)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise click.UsageError(message) from None
    if form == "json":
        call = None if found is None else found.as_dict()
        render.data({"command": "explain-call", "id": call_id, "call": call})
    elif found is None:
        files = f"{len(records)} file{'s' * (len(records) != 1)}"
        click.echo(f"no call {printable(call_id)} in {files}")
    else:
        _show(call_id, found)
    sys.exit(1 if found is None else 0)


def _show(call_id: str, found: "Story") -> None:
    from resilience.lab.replay.story import began_at

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    began, ended = began_at(found), found.ended
    target = found.target

    on = f" on {target.name}" if target.protocol == "grpc" else ""
    when = "" if found.clock_offset_s is None else f", {_clock(found, began)}"
    host = f", host {found.host}" if found.host else ""
    title = f"{target.full_method}{on} [{call_id}]{when}{host}"
    console.print(Text(printable(title), "bold"))
    if ended is not None:
        console.print(printable(_terms(ended)))
    for moment, text, style in sorted(_lines(found, began), key=_moment):
        at = f"{moment - began:+.3f}s"
        console.print(Text(f"  {at:>9}  {printable(text)}", style))
    if ended is None:
        console.print("the recording stops before its end")


def _moment(line: tuple[float, str, str]) -> float:
    return line[0]


def _lines(found: "Story", began: float) -> Iterator[tuple[float, str, str]]:
    """What happened: when, in words, and in which style."""
    ended = found.ended
    for change in found.breakers[-_MOST_CHANGES:]:
        moved = f"{change.old} -> {change.new} ({change.evidence})"
        yield change.now, f"breaker {change.scope}: {moved}", "yellow"
    for attempt in found.attempts:
        yield attempt.now - attempt.elapsed_s, _attempt(attempt), ""
    for one in found.decided:
        yield one.now, f"observed {one.mechanism}: {one.decision}, {one.message}", ""
    for other in found.diverted:
        yield other.now, f"{other.mechanism} to {other.place}: {other.code}", ""
    if ended is not None:
        if ended.attempts == 1 and not found.attempts:
            yield began + ended.wait_s, f"attempt 1: {ended.outcome.code}", ""
        style = "green" if ended.outcome.kind == "ok" else "bold red"
        yield ended.now, _end(ended), style


def _clock(found: "Story", moment: float) -> str:
    assert found.clock_offset_s is not None  # noqa: S101 - asked before
    when = datetime.fromtimestamp(moment + found.clock_offset_s, UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"


def _terms(ended: "CallEnded") -> str:
    limit = "no deadline"
    if ended.timeout_s is not None:
        limit = f"{ended.timeout_s:.3g} s allowed ({ended.deadline_origin})"
    return f"mode {ended.mode}, idempotency {ended.idempotency}, {limit}"


def _attempt(one: "AttemptEnded") -> str:
    outcome = one.outcome
    text = f"attempt {one.number}: {outcome.code} after {_length(one.elapsed_s)}"
    if outcome.kind != "ok":
        text += f" ({outcome.kind}, reached: {outcome.reached}"
        text += f": {outcome.message})" if outcome.message else ")"
    text += "".join(f", {name} {value}" for name, value in outcome.ids)
    if one.decision == "retry":
        return f"{text}; retried after {_length(one.wait_s)} ({one.reason})"
    return f"{text}; {one.decision}: {one.reason}"


def _end(ended: "CallEnded") -> str:
    if ended.outcome.kind == "ok":
        return f"OK after {_length(ended.elapsed_s)}"
    said = f" ({ended.outcome.message})" if ended.outcome.message else ""
    if not ended.attempts:
        return f"rejected: {ended.reason}{said}"
    text = f"failed with {ended.outcome.code}, ended by {ended.reason}"
    if ended.ambiguous:
        text += "; ambiguous: the server may have executed it"
    return f"{text}; {_length(ended.elapsed_s)} in all"


def _length(seconds: float) -> str:
    return f"{seconds:.3g}s" if seconds >= 1 else f"{seconds * 1000:.3g}ms"
