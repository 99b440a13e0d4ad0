"""`resilience service-config`: a policy for gRPC clients without this library.

Exit codes: 0 all of it is said, 1 something that is written is not, 2 wrong use.
Standard output has nothing but JSON: what is refused or left out goes to standard
error.
"""

import sys

import click

from resilience import policy
from resilience.errors import PolicyError
from resilience.lab.service_config import ServiceConfig, compile_service_config

from . import render


@click.command("service-config")
@click.argument("files", nargs=-1, required=True)
@click.option("--target", help="Name given to intercept_channel: its rules hold, too.")
@click.option(
    "--partial", is_flag=True, help="Print what can be said, in spite of what cannot."
)
@click.option(
    "--timeouts",
    is_flag=True,
    help="Say timeouts, too. Not for C-core, which ends calls before them.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="text: the config alone; json: with what is refused and left out.",
)
def service_config(
    files: tuple[str, ...],
    target: str | None,
    *,
    partial: bool,
    timeouts: bool,
    form: str,
) -> None:
    """Print FILES as gRPC's service config, or refuse what that cannot say.

    Later FILES overlay earlier ones. The config is for the option
    `grpc.service_config` of channels that are not wrapped, in any language.
    """
    try:
        table = policy.load_files(files)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise click.UsageError(message) from None
    except PolicyError as error:
        _unreadable(error, files, target, form)
        sys.exit(1)
    found = compile_service_config(table, target=target, timeouts=timeouts)
    is_whole = not found.problems
    if form == "json":
        _data(found, files, partial=partial)
    else:
        _tell(found, partial=partial)
        if is_whole or partial:
            render.data(found.config)
    sys.exit(0 if is_whole or partial else 1)


def _data(found: ServiceConfig, files: tuple[str, ...], *, partial: bool) -> None:
    shown = found.as_dict()
    if found.problems and not partial:
        # Whoever reads only `config` must not get half of a policy unasked.
        shown["config"] = None
    good = partial or not found.problems
    head = {"command": "service-config", "ok": good, "files": list(files)}
    render.data({**head, **shown})


def _tell(found: ServiceConfig, *, partial: bool) -> None:
    """Say on standard error what is not in the config."""
    for problem in found.problems:
        click.echo(str(problem), err=True)
    for text in found.left_out:
        click.echo(f"left out: {text}", err=True)
    if found.problems:
        count = len(found.problems)
        word = "left out" if partial else "refused; --partial prints the rest"
        plural = "" if count == 1 else "s"
        click.echo(f"{count} written value{plural} {word}", err=True)


def _unreadable(
    error: PolicyError, files: tuple[str, ...], target: str | None, form: str
) -> None:
    if form == "text":
        click.echo(str(error), err=True)
        return
    render.data(
        {
            "command": "service-config",
            "ok": False,
            "files": list(files),
            "target": target,
            "config": None,
            "problems": [problem.as_dict() for problem in error.problems],
            "left_out": [],
        }
    )
