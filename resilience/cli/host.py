"""`resilience status` and `resilience top`: what this host's processes share.

What a drill injects into them comes first: it may explain all that follows.

Exit codes: 0 shown, 1 (`status`) nothing is shared under the name that was asked for.
"""

import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resilience.lab.host import HostScope, HostView, look

from . import keys, render
from .options import FORMAT


if TYPE_CHECKING:
    from resilience.drilling.shown import DrillShown, FaultShown


_NAME = click.option("--name", help="Only the policy of that name.")
_STYLES = {"closed": "green", "limiting": "yellow", "open": "bold red"}
_LONGEST = 120
"""Characters of a scope that are shown."""
_MOST_FAULTS = 10
_MOST_TOLD = 20
"""Scopes whose evidence is told."""
_MOST_PIDS = 8


@click.command()
@_NAME
@FORMAT
def status(name: str | None, form: str) -> None:
    """Show once what this host's processes share under `state: host`, and drills."""
    found = look(name)
    if form == "json":
        drills = [one.as_dict() for one in _drills()]
        render.data({"command": "status", **found.as_dict(), "drills": drills})
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        for part in _all(found):
            # Long lines stay whole: what cuts them is the terminal's.
            console.print(part, soft_wrap=isinstance(part, Text))
    sys.exit(1 if name is not None and not found.policies else 0)


@click.command()
@_NAME
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--times", type=click.IntRange(min=1), help="Looks; else until q.")
def top(name: str | None, every: float, times: int | None) -> None:
    """Show live what this host's processes share; q or Ctrl-C ends it."""
    console = Console(highlight=False, markup=False, emoji=False)
    ended = threading.Event()
    with (
        keys.pressed("q", ended.set),
        Live(_live(name), console=console, screen=console.is_terminal) as live,
    ):
        looks = 1
        try:
            while times is None or looks < times:
                if ended.wait(every):
                    break
                live.update(_live(name), refresh=True)
                looks += 1
        except KeyboardInterrupt:
            return


def _drills() -> "tuple[DrillShown, ...]":
    from resilience.drilling.announcing import announced

    return announced()


def _live(name: str | None) -> Group:
    return Group(*_all(look(name)))


def _all(found: HostView) -> list[Text | Table]:
    """What is shown, from top to bottom."""
    lines: list[Text | Table] = [line for one in _drills() for line in _drill(one)]
    return [*lines, *_scopes(found), *_careful(found.scopes)]


def _drill(one: "DrillShown") -> list[Text]:
    """What is injected into one process, and how much of it."""
    said = f"drill {_shown(one.name)}: {_standing(one)}, {_hits(one.injected)}"
    style = "bold red" if one.state == "injecting" else "yellow"
    where = f"  process {one.pid}" + (f", {_shown(one.file)}" if one.file else "")
    lines = [Text(said, style), Text(where, style)]
    lines += [
        Text(f"  {_shown(fault.words)}, {_when(fault)}: {_hits(fault.injected)}", style)
        for fault in one.faults[:_MOST_FAULTS]
    ]
    if len(one.faults) > _MOST_FAULTS:
        more = f"  and {len(one.faults) - _MOST_FAULTS} more (--format json)"
        lines.append(Text(more, style))
    return lines


def _standing(one: "DrillShown") -> str:
    if one.elapsed_s is None:
        return "has not begun"
    if one.state == "over":
        return f"over, {_shown(one.why)}"
    how = "injects faults" if one.state == "injecting" else "injects nothing now"
    return f"{how}, {max(0.0, one.duration_s - one.elapsed_s):.0f} s left"


def _when(fault: "FaultShown") -> str:
    return "now" if fault.is_on else f"{fault.from_s:g} s to {fault.until_s:g} s"


def _hits(number: int) -> str:
    return f"{number} injected"


def _scopes(found: HostView) -> list[Text | Table]:
    if not found.policies:
        return [Text("nothing is shared on this host by this user (state: host)")]
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("scope", overflow="fold")
    rows.add_column("state", no_wrap=True)
    for title in ("admitted", "calls/s", "ok/s", "bad/s", "processes"):
        rows.add_column(title, justify="right", no_wrap=True)
    rows.add_column("policy", overflow="fold")
    for scope in found.scopes:
        rows.add_row(
            Text(_shown(scope.scope)),
            Text(scope.state, _STYLES[scope.state]),
            f"{scope.admitted:.1%}",
            f"{scope.rate:.1f}",
            f"{scope.ok / scope.seconds:.1f}",
            Text(f"{scope.bad / scope.seconds:.1f}", "red" if scope.bad else ""),
            _processes(scope),
            Text(_shown(scope.policy)),
        )
    plural = "" if found.processes == 1 else "es"
    scopes = f"{len(found.scopes)} scope{'s' * (len(found.scopes) != 1)}"
    return [Text(f"{found.processes} process{plural}, {scopes}"), rows]


def _careful(scopes: Sequence[HostScope]) -> list[Text | Table]:
    """Of those that are not closed: where, since when, on what evidence."""
    found = [one for one in scopes if one.state != "closed"]
    lines: list[Text | Table] = []
    for one in found[:_MOST_TOLD]:
        pids = ", ".join(map(str, one.careful_pids[:_MOST_PIDS]))
        if len(one.careful_pids) > _MOST_PIDS:
            pids += f" and {len(one.careful_pids) - _MOST_PIDS} more"
        head = f"{one.state} {_shown(one.scope)}{_since(one)}, process {pids}"
        lines += [Text(head, _STYLES[one.state]), Text(f"  {one.evidence}")]
    if len(found) > _MOST_TOLD:
        lines.append(Text(f"and {len(found) - _MOST_TOLD} more (--format json)"))
    return lines


def _since(one: HostScope) -> str:
    if one.since_s is None:
        return ""
    began = datetime.now(UTC) - timedelta(seconds=one.since_s)
    return f" since {began:%H:%M:%S} UTC ({_length(one.since_s)})"


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _processes(scope: HostScope) -> str:
    """How many, and how many of them do not let all pass."""
    careful = scope.limiting + scope.open
    return f"{careful} of {scope.processes}" if careful else str(scope.processes)


def _shown(text: str) -> str:
    """Another process wrote *text*: nothing in it may speak to the terminal."""
    printable = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.encode(errors="replace").decode()
    )
    return f"{printable[:_LONGEST]}..." if len(printable) > _LONGEST else printable
