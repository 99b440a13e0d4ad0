"""`resilience audit`: the writes to AWS that nothing protects under a policy.

Exit codes: 0 none is unguarded, 1 some are, 2 wrong use.
"""

import sys
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from resilience import policy
from resilience.errors import PolicyError
from resilience.lab.audit import Audit, all_services
from resilience.lab.audit import audit as audit_writes

from . import render
from .options import FORMAT


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--service",
    "services",
    multiple=True,
    help="A service, s3; several times for several. Else those that FILES name.",
)
@click.option("--all", "every", is_flag=True, help="Every service that botocore knows.")
@click.option(
    "--mode",
    type=click.Choice(["enforce", "observe", "bypass"]),
    help="As if the engine were in this mode.",
)
@FORMAT
def audit(
    files: tuple[str, ...],
    services: tuple[str, ...],
    every: bool,  # noqa: FBT001  click passes it by name
    mode: Any,
    form: str,
) -> None:
    """List each AWS write that FILES leave unguarded; exit 1 if there is one.

    A write is guarded when a token, a condition or its own nature makes a repeat
    harmless, or when FILES say in so many words what is accepted. Without FILES the
    built-in values are audited. Nothing is called.
    """
    try:
        table = policy.load_files(files) if files else policy.built_in()
    except PolicyError as error:
        if form == "json":
            problems = [problem.as_dict() for problem in error.problems]
            render.data({"command": "audit", "ok": False, "problems": problems})
        else:
            render.problems(error.problems)
        sys.exit(1)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise click.UsageError(message) from None
    try:
        found = audit_writes(table, all_services() if every else services, mode=mode)
    except (ImportError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    if form == "json":
        render.data({"command": "audit", "ok": found.is_clean, **found.as_dict()})
    else:
        _show(found)
    sys.exit(0 if found.is_clean else 1)


_STYLES = {
    "not-repeated": "yellow",
    "duplicates": "yellow",
    "repeated-natively": "bold red",
}


def _show(found: Audit) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    services = f"{len(found.services)} service{'s' * (len(found.services) != 1)}"
    looked = f"{found.operations} operations of {services}, policy {found.policy}"
    if found.is_clean:
        console.print(Text.assemble(("ok", "green"), f": {looked}, mode {found.mode}"))
        return
    rows = Table(box=None, pad_edge=False, header_style="bold")
    rows.add_column("write", overflow="fold")
    rows.add_column("after a lost answer", no_wrap=True)
    rows.add_column("why", overflow="fold")
    rows.add_column("what to write", overflow="fold")
    for row in found.unguarded:
        name = f"{row.method}\nwith a condition" if row.condition else row.method
        rows.add_row(
            Text(name),
            Text(row.consequence, _STYLES[row.consequence]),
            Text(row.reason),
            Text(row.remedy),
        )
    console.print(rows)
    plural = "" if len(found.unguarded) == 1 else "s"
    count = f"{len(found.unguarded)} unguarded write{plural}"
    console.print(Text.assemble((count, "bold red"), f" of {looked}"))
    console.print("`what to write` goes under aws.operations.<write>")
