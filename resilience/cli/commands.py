"""The commands: what they are given, what they exit with.

Exit codes: 0 fine, 1 findings (problems, differences), 2 wrong use.
"""

import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final, NoReturn

import click

from resilience import policy
from resilience.errors import PolicyError
from resilience.lab.diff import diff as compare
from resilience.lab.explain import explain as explain_method

from . import render
from .audit import audit
from .doctor import doctor
from .drill import drill
from .explain_call import explain_call
from .host import status, top
from .live import explain_live
from .options import FORMAT
from .replay import replay
from .service_config import service_config
from .simulate import simulate


FINDINGS: Final = 1
WRONG_USE: Final = 2

try:
    _VERSION = version("resilience-middleware")
except PackageNotFoundError:  # run from a checkout
    _VERSION = "unknown"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_VERSION, "--version", message="resilience %(version)s")
def cli() -> None:
    """Look at policies, and at the servers that they are for.

    Only `doctor` and `drill` call anything.
    """


@cli.command()
@click.argument("files", nargs=-1, required=True)
@FORMAT
def check(files: tuple[str, ...], form: str) -> None:
    """Read FILES, later ones over earlier ones, and show every problem."""
    problems: Sequence[Any] = ()
    table = None
    try:
        table = _read(files)
    except PolicyError as error:
        problems = error.problems
    if form == "json":
        render.data(
            {
                "command": "check",
                "ok": not problems,
                "files": list(files),
                "problems": [problem.as_dict() for problem in problems],
                "notices": list(table.notices) if table else [],
                "policy": render.policy_data(table) if table else None,
            }
        )
    elif table is not None:
        render.checked(table)
    else:
        render.problems(problems)
    sys.exit(FINDINGS if problems else 0)


@cli.command()
@click.argument("words", nargs=-1, metavar="[FILES]... METHOD")
@click.option(
    "--live",
    is_flag=True,
    help="By what this host's processes have loaded; METHOD may be left out.",
)
@click.option(
    "--protocol",
    type=click.Choice(["grpc", "aws", "app"]),
    help="Whose METHOD it is, where its form does not say.",
)
@click.option("--target", help="Name given to intercept_channel (gRPC).")
@click.option(
    "--mode",
    type=click.Choice(["enforce", "observe", "bypass"]),
    help="As if the engine were in this mode.",
)
@FORMAT
def explain(
    words: tuple[str, ...],
    *,
    live: bool,
    protocol: str | None,
    target: str | None,
    mode: Any,
    form: str,
) -> None:
    """Show what holds for METHOD and which line says so.

    METHOD is shop.Cart/GetCart, s3.PutObject or app:rates/quote. Without FILES the
    built-in values are explained. With --live each policy that is live on this host
    is shown, with its hash, files and processes; exit 1 if there is none, if engines
    of one name differ, or if a file says something else by now.
    """
    if live:
        sys.exit(
            explain_live(words, protocol=protocol, target=target, mode=mode, form=form)
        )
    if not words:
        msg = "METHOD is missing (--live does without)"
        raise click.UsageError(msg)
    *files, method = words
    try:
        table = _read(files) if files else policy.built_in()
    except PolicyError as error:
        _refuse(error, "explain", form, FINDINGS)
    try:
        found = explain_method(
            table, method, protocol=protocol, target=target, mode=mode
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        render.data({"command": "explain", **found.as_dict()})
    else:
        render.explanation(found)


@cli.command()
@click.argument("old")
@click.argument("new")
@FORMAT
def diff(old: str, new: str, form: str) -> None:
    """Show what changes for whom from OLD to NEW; exit 1 if anything does."""
    try:
        found = compare(_read([old]), _read([new]))
    except PolicyError as error:
        _refuse(error, "diff", form, WRONG_USE)
    if form == "json":
        render.data({"command": "diff", **found.as_dict()})
    else:
        render.differences(found)
    sys.exit(FINDINGS if found else 0)


@cli.command()
@FORMAT
def schema(form: str) -> None:  # noqa: ARG001  a schema is JSON in either format
    """Print the JSON Schema of the policy format, for editors."""
    from resilience.policy.schema import json_schema

    render.data(json_schema())


cli.add_command(audit)
cli.add_command(doctor)
cli.add_command(drill)
cli.add_command(service_config)
cli.add_command(replay)
cli.add_command(explain_call)
cli.add_command(simulate)
cli.add_command(status)
cli.add_command(top)


def _read(files: Sequence[str]) -> policy.PolicyTable:
    """Return the table of *files*; a file that cannot be opened is wrong use."""
    try:
        return policy.load_files(files)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise click.UsageError(message) from None


def _refuse(error: PolicyError, command: str, form: str, code: int) -> NoReturn:
    """Show why a policy cannot be used, and exit."""
    if form == "json":
        found = [problem.as_dict() for problem in error.problems]
        render.data({"command": command, "ok": False, "problems": found})
    else:
        render.problems(error.problems)
    sys.exit(code)
