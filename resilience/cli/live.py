"""`resilience explain --live`: which policies this host's processes have loaded.

Exit codes: as of `explain`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.text import Text

from resilience.core.record import Mode
from resilience.lab.explain import Explanation, explain
from resilience.lab.live import LiveEngine, LivePolicy, LiveView, look
from resilience.policy import PolicyTable

from . import render
from .printable import printable


_NOBODY = (
    "no process on this host says which policy it has: engines do whose policy has "
    "`state: host`, to the same user under the same RESILIENCE_STATE_DIR; others tell "
    'it themselves, in engine.snapshot()["policy_hash"]'
)
_MOST_ENGINES = 20


def explain_live(
    words: Sequence[str],
    *,
    protocol: str | None,
    target: str | None,
    mode: Mode | None,
    form: str,
) -> int:
    """Print what is live, and return the exit code.

    Args:
        words: the method that is to be explained, or none.
        protocol: of the method.
        target: of the method.
        mode: it is explained as if the engines were in this one; None: in their own.
        form: `text` or `json`.

    Raises:
        click.UsageError: *words* are no method.
    """
    if len(words) > 1:
        msg = "--live reads the files of the engines: at most METHOD is given"
        raise click.UsageError(msg)
    method = words[0] if words else None

    def explained(table: PolicyTable, its: Mode) -> Explanation:
        return explain(
            table, method or "", protocol=protocol, target=target, mode=mode or its
        )

    try:
        found = look(None if method is None else explained)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        render.data({"command": "explain", "live": True, **found.as_dict()})
    else:
        _show(found, method)
    is_told = method is None or found.is_explained
    return 0 if found.is_well and is_told else 1


def _show(found: LiveView, method: str | None) -> None:
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not found.policies:
        console.print(_NOBODY)
    for one in found.policies:
        _policy(console, one, method)
    for text in found.differences:
        console.print(Text(printable(text), "yellow"))


def _policy(console: Console, one: LivePolicy, method: str | None) -> None:
    head = f"policy {one.name} {one.hash}, edition {one.edition}, mode {one.mode}"
    if one.mode != one.file_mode:
        head += f" (the file says {one.file_mode})"
    console.print(Text(printable(head), "bold"))
    for file in one.files:
        console.print(f"  {printable(file)}")
    text, style = _by_now(one)
    console.print(Text(f"  {printable(text)}", style))
    troubled_first = sorted(one.engines, key=lambda each: each.reload_failed is None)
    for engine in troubled_first[:_MOST_ENGINES]:
        _engine(console, engine)
    if len(one.engines) > _MOST_ENGINES:
        more = f"  and {len(one.engines) - _MOST_ENGINES} more (--format json)"
        console.print(more)
    if method is None:
        return
    if one.explanation is None:
        text = f"  {method} is not explained: no file says what is live"
        console.print(Text(printable(text), "yellow"))
    else:
        console.print()
        render.explanation(one.explanation)
    console.print()


def _by_now(one: LivePolicy) -> tuple[str, str]:
    """What the files say now, beside what is live."""
    many = len(one.files) > 1
    if one.problem:
        return f"not compared with a file: {one.problem}", "yellow"
    if one.is_current:
        return "the files still say this" if many else "the file still says this", ""
    changed = "a file has" if many else "the file has"
    return (
        f"{changed} changed since and gives {one.hash_now}; the live one is "
        f"{one.hash}, until a reload"
    ), "yellow"


def _engine(console: Console, one: LiveEngine) -> None:
    console.print(f"  process {one.pid}, since {_moment(one.loaded_at)}")
    failed = one.reload_failed
    if failed is not None:
        error = " / ".join(map(printable, failed.error.splitlines()))
        text = f"    its reload failed at {_moment(failed.at)}: {error}"
        console.print(Text(text, "red"))


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):  # another process wrote it
        return "?"
