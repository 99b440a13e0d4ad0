"""A simulation as text for people: progress, a table, verdicts."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from resilience.lab.simulate.columns import columns
from resilience.lab.simulate.outcome import Simulation


if TYPE_CHECKING:
    from resilience.lab.simulate import Job


@contextmanager
def progress(
    jobs: "Sequence[Job]", *, is_shown: bool
) -> Iterator[Callable[[int], None]]:
    """A bar on the terminal while runs are made; yields what is told their number."""
    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield lambda _: None
        return
    bars = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*bars, console=console, transient=True) as shown:
        task = shown.add_task("runs", total=len(jobs))
        yield lambda count: shown.advance(task, count)


def show(found: Simulation, written: Sequence[str]) -> None:
    """Print the table, the verdicts and how to repeat it."""
    console = Console(highlight=False, markup=False, emoji=False)
    long = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    scenario = found.scenario
    console.print(Text(f"{scenario.name}: {scenario.title}", "bold"))
    if found.safe:
        console.print(_safe(found))
    else:
        console.print(_table(found))
    for verdict in found.verdicts:
        mark = ("holds ", "green") if verdict.holds else ("fails ", "bold red")
        long.print(Text.assemble(mark, verdict.text))
        for line in verdict.details[:10]:
            long.print(f"      {line}")
        if len(verdict.details) > 10:
            console.print(f"      and {len(verdict.details) - 10} more")
    for path in written:
        long.print(f"written: {path}")
    seeds = sorted({run.seed for run in found.runs})
    long.print(Text(f"seeds {', '.join(map(str, seeds))}; again: {found.command}"))


def _table(found: Simulation) -> Table:
    shown = columns(found.scenario)
    rows = found.rows
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy", no_wrap=True)
    table.add_column("processes", no_wrap=True)
    has_loads = len({row.load for row in rows}) > 1
    if has_loads:
        table.add_column("load", justify="right")
    for column in shown:
        table.add_column(column.title, justify="right")
    for row in rows:
        is_ours = row.runs[0].is_ours
        cells = [Text(row.policy, "bold" if is_ours else ""), Text(row.topology)]
        if has_loads:
            cells.append(Text(f"{row.load:g}/s"))
        for column in shown:
            # A mean hides the one seed that never recovered.
            found_in = row.worst if column.form == "moment" else row.mean
            cells.append(Text(column.text(found_in[column.key])))
        table.add_row(*cells)
    return table


def _safe(found: Simulation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("policy", no_wrap=True)
    table.add_column("processes", no_wrap=True)
    table.add_column("safe load", justify="right")
    table.add_column("recovery at it", justify="right")
    table.add_column("at the next", justify="right")
    for one in found.safe:
        at = dict(one.recoveries)
        above = [worst for load, worst in one.recoveries if load > one.safe]
        table.add_row(
            one.policy,
            one.topology,
            f"{one.safe:.1%}",
            _seconds(at[one.safe]) if one.safe in at else "-",
            _seconds(above[0]) if above else "-",
        )
    return table


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f}s"


def scenarios(found: Sequence[Any]) -> None:
    """Print the built-in scenarios."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("scenario", no_wrap=True)
    table.add_column("what happens")
    for one in found:
        table.add_row(one.name, one.title)
    Console(highlight=False, markup=False, emoji=False).print(table)
