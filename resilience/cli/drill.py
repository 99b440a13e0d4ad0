"""`resilience drill`: does the policy hold when things really go wrong?

Exit codes: 0 everything that was expected holds, 1 something does not (or the drill was
stopped, or its file has problems), 2 wrong use.
"""

import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from resilience.errors import PolicyError

from . import render
from .options import FORMAT


@click.command()
@click.argument("file")
@click.option(
    "--assert",
    "assertions",
    multiple=True,
    metavar="TEXT",
    help="'amplification <= 1.2', 'recovery <= 2s'; beside what FILE expects.",
)
@FORMAT
def drill(file: str, assertions: tuple[str, ...], form: str) -> None:
    """Inject the faults of FILE into real calls, and judge how they went.

    The environment variable RESILIENCE_DRILL must name FILE. Ctrl-C, and each of the
    drill's own conditions, stop the faults at once.
    """
    # Programs are started in their folder: what they import is there.
    sys.path.insert(0, str(Path.cwd()))
    try:
        _run(file, assertions, form)
    except PolicyError as error:
        if form == "json":
            problems = [problem.as_dict() for problem in error.problems]
            render.data({"command": "drill", "ok": False, "problems": problems})
        else:
            render.problems(error.problems)
        sys.exit(1)
    except OSError as error:
        _wrong(f"cannot use {error.filename}: {error.strerror}")
    except ValueError as error:
        _wrong(str(error))


def _run(file: str, assertions: tuple[str, ...], form: str) -> None:
    from resilience.lab import drill as lab

    from . import drill_text

    with drill_text.progress(file, is_shown=form == "text") as passed:
        found = lab.run(file, assertions=assertions, progress=passed)
    again = _command(file, assertions)
    if form == "json":
        made: dict[str, Any] = {"command": "drill", **found.as_dict(), "again": again}
        render.data(made)
    else:
        drill_text.show(found, again)
    sys.exit(0 if found.is_ok else 1)


def _command(file: str, assertions: tuple[str, ...]) -> str:
    import shlex

    words = ["resilience", "drill", file]
    for text in assertions:
        words += ["--assert", text]
    return f"RESILIENCE_DRILL={shlex.quote(file)} {shlex.join(words)}"


def _wrong(message: str) -> NoReturn:
    raise click.UsageError(message)
