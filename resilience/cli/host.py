"""`resilience status` and `resilience top`: what this host's processes share.

Exit codes: 0 shown, 1 nothing is shared under the name that was asked for.
"""

import sys
import threading

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from resilience.lab.host import HostScope, HostView, look

from . import keys, render


_NAME = click.option("--name", help="Only the policy of that name.")
_STYLES = {"closed": "green", "limiting": "yellow", "open": "bold red"}
_LONGEST = 120
"""Characters of a scope that are shown."""


@click.command()
@_NAME
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text for people, json with stable keys for programs.",
)
def status(name: str | None, form: str) -> None:
    """Show once what this host's processes share under `state: host`."""
    found = look(name)
    if form == "json":
        render.data({"command": "status", **found.as_dict()})
    else:
        console = Console(highlight=False, markup=False, emoji=False)
        console.print(_text(found))
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
        Live(_text(look(name)), console=console, screen=console.is_terminal) as live,
    ):
        looks = 1
        try:
            while times is None or looks < times:
                if ended.wait(every):
                    break
                live.update(_text(look(name)), refresh=True)
                looks += 1
        except KeyboardInterrupt:
            return


def _text(found: HostView) -> Group | Text:
    if not found.policies:
        return Text("nothing is shared on this host by this user (state: host)")
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
    return Group(Text(f"{found.processes} process{plural}, {scopes}"), rows)


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
