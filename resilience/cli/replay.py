"""`resilience replay`: what another policy would have decided, from recorded events.

Exit codes: 0 every assertion holds, 1 one does not (or the policy or a recording has
problems), 2 wrong use.
"""

import sys
from typing import TYPE_CHECKING, Any

import click

from resilience import policy
from resilience.errors import PolicyError
from resilience.lab.claims import AssertionSyntaxError

from . import render
from .options import FORMAT


if TYPE_CHECKING:
    from resilience.lab.replay import RecordsError


@click.command()
@click.argument("records", nargs=-1, required=True)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    help="The policy to try; several times: later ones over earlier. Else built-in.",
)
@click.option(
    "--mode",
    type=click.Choice(["enforce", "observe"]),
    help="As if the engine were in this mode.",
)
@click.option(
    "--assert",
    "assertions",
    multiple=True,
    metavar="TEXT",
    help="'retries <= recorded.retries * 1.2', 'unknown <= 0'; exit 1 if not.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="Calls shown of each method and kind of difference.",
)
@click.option(
    "--seed", default=0, show_default=True, help="Of draws that were not recorded."
)
@FORMAT
def replay(  # noqa: PLR0917  click passes them by name
    records: tuple[str, ...],
    policies: tuple[str, ...],
    mode: Any,
    assertions: tuple[str, ...],
    examples: int,
    seed: int,
    form: str,
) -> None:
    """Play RECORDS, files that JsonLinesSink wrote, under another policy.

    The engine is the real one, in virtual time. What attempts met that were really made
    is known; how others would have ended is assumed, and counted as such. Files may be
    gzipped; those of several processes, and older ones put aside, are given together.
    """
    from resilience.lab import replay as lab
    from resilience.lab.replay import asserting

    try:
        wanted = asserting.read_all(assertions)
        table = policy.load_files(policies) if policies else policy.built_in()
        found = lab.replay(records, table, mode=mode, seed=seed, examples=examples)
        verdicts = asserting.judge(wanted, found)
    except PolicyError as error:
        if form == "json":
            problems = [problem.as_dict() for problem in error.problems]
            render.data({"command": "replay", "ok": False, "problems": problems})
        else:
            render.problems(error.problems)
        sys.exit(1)
    except lab.RecordsError as error:
        _bad_records(error, form)
        sys.exit(1)
    except AssertionSyntaxError as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise click.UsageError(message) from None
    is_ok = all(one.holds for one in verdicts)
    if form == "json":
        rows = [
            {"text": one.text, "holds": one.holds, "details": list(one.details)}
            for one in verdicts
        ]
        data = {"command": "replay", "ok": is_ok, **found.as_dict()}
        render.data({**data, "assertions": rows})
    else:
        from . import replay_text

        replay_text.show(found, verdicts)
    sys.exit(0 if is_ok else 1)


def _bad_records(error: "RecordsError", form: str) -> None:
    if form == "json":
        problems = [one._asdict() for one in error.problems]
        data = {"command": "replay", "ok": False, "problems": problems}
        render.data({**data, "more_problems": error.more})
        return
    for one in error.problems:
        click.echo(str(one))
    if error.more:
        click.echo(f"and {error.more} more")
