"""`resilience doctor`: what is wrong between this machine and a gRPC server.

Exit codes: 0 healthy, 1 problems found, 2 wrong use.
"""

import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from resilience.lab.doctor import Diagnosis, Finding, Security, diagnose

from . import render
from .options import FORMAT


_FILE = click.Path(exists=True, dir_okay=False)
_STYLES = {"problem": "bold red", "advice": "yellow", "fact": "green"}
_MARKS = {"problem": "problem", "advice": "advice", "fact": "ok"}


@click.command()
@click.argument("target")
@click.option("--tls", "security", flag_value="tls", help="Only TLS will do.")
@click.option(
    "--plaintext", "security", flag_value="plaintext", help="Only plaintext will do."
)
@click.option("--ca", type=_FILE, help="Root certificates (PEM); else grpcio's own.")
@click.option("--cert", type=_FILE, help="Client certificate chain (PEM).")
@click.option("--key", type=_FILE, help="Its private key (PEM).")
@click.option(
    "--authority",
    "--server-name",
    default="",
    help="Name to ask for in TLS and HTTP/2, instead of the target's host.",
)
@click.option("--service", default="", help="Service whose health is asked.")
@click.option(
    "--descriptors",
    metavar="FILE|MODULE",
    help="FileDescriptorSet or generated module to compare with the server's.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds for everything together.",
)
@FORMAT
def doctor(
    target: str, security: Security | None, timeout_s: float, form: str, **given: Any
) -> None:
    """Examine the gRPC server at TARGET and say what to change.

    TARGET is what a channel is given: host:port, dns:///host:port, ipv4:a:1,b:1,
    ipv6:[a]:1, unix:path. Nothing at the server is changed: it is asked for its health
    and its services, and one method is called that does not exist.
    """
    if given["key"] and not given["cert"]:
        msg = "--key needs --cert"
        raise click.UsageError(msg)
    if given["descriptors"]:
        # A generated module of the folder that one stands in is found, too.
        sys.path.append(str(Path.cwd()))
    try:
        found = diagnose(
            target, security=security or "find-out", timeout_s=timeout_s, **given
        )
    except (ValueError, ImportError) as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        render.data({"command": "doctor", **found.as_dict()})
    else:
        _show(found)
    sys.exit(0 if found.is_healthy else 1)


def _show(found: Diagnosis) -> None:
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.print(Text(found.target, "bold"))
    several = len({finding.address for finding in found.findings} - {""}) > 1
    shown_address = ""
    for finding in found.findings:
        if several and finding.address != shown_address:
            shown_address = finding.address
            heading = f"at {shown_address}" if shown_address else "as a whole"
            console.print(Text(heading, "bold"))
        _show_finding(console, finding)
    console.print()
    count = len(found.problems)
    seconds = f"in {found.elapsed_s:.2g} s"
    if count:
        plural = "" if count == 1 else "s"
        console.print(Text(f"{count} problem{plural} found {seconds}", "bold red"))
    else:
        console.print(Text(f"no problem found {seconds}", "green"))


def _show_finding(console: Console, finding: Finding) -> None:
    mark = f"  {_MARKS[finding.level]:<8}"
    line = Text.assemble((mark, _STYLES[finding.level]), finding.what)
    line.append(f"  [{finding.code}]", "dim")
    console.print(line)
    for name, text in (
        ("seen", finding.evidence),
        ("cause", finding.cause),
        ("change", finding.remedy),
    ):
        if text:
            console.print(Text.assemble(" " * 10, (f"{name}: ", "cyan"), text))
