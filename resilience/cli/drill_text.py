"""A drill as text for people: progress, phases, verdicts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from resilience.drilling.reading import drill as read_drill
from resilience.lab.drill import Outcome


@contextmanager
def progress(path: str, *, is_shown: bool) -> Iterator[Callable[[float], None]]:
    """A bar on the terminal while the drill runs; yields what is told the seconds.

    Raises:
        PolicyError: the file has problems.
        OSError: it cannot be read.
    """
    drill = read_drill(path)
    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield lambda _: None
        return
    bars = (TextColumn("{task.description}"), BarColumn())
    with Progress(*bars, console=console, transient=True) as shown:
        task = shown.add_task("baseline", total=drill.duration)

        def passed(seconds: float) -> None:
            phase = "baseline"
            if seconds >= drill.faults_begin:
                phase = "faults" if seconds < drill.faults_end else "recovery"
            left = max(0.0, drill.duration - seconds)
            text = f"{phase}, {left:.0f} s left"
            shown.update(task, completed=seconds, description=text)

        yield passed


def show(found: Outcome, again: str) -> None:
    """Print phases, figures, verdicts and how to repeat it."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    drill, figures = found.drill, found.figures
    title = f"{drill.name}: {drill.title}" if drill.title else drill.name
    console.print(Text(title, "bold"))
    hit = ", ".join(f"{count} {kind}" for kind, count in found.injected.items())
    console.print(f"injected: {hit or 'nothing'}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("phase", no_wrap=True)
    for name in ("success", "p50", "p99"):
        table.add_column(name, justify="right")
    for phase in ("baseline", "fault", "after"):
        table.add_row(
            phase,
            _ratio(figures[f"success_{phase}"]),
            _time(figures[f"latency_{phase}_p50_s"]),
            _time(figures[f"latency_{phase}_p99_s"]),
        )
    console.print(table)
    console.print(
        f"calls {figures['calls']:.0f}, attempts {figures['attempts']:.0f}, "
        f"repeated {figures['repeated']:.0f}"
    )
    ends = ", ".join(f"{count} {code}" for code, count in found.codes.items())
    console.print(f"ends: {ends or 'none'}")
    for verdict in found.verdicts:
        mark = ("holds ", "green") if verdict.holds else ("fails ", "bold red")
        name = verdict.text.partition(" ")[0]
        value = _value(name, verdict.value)
        console.print(Text.assemble(mark, verdict.text, f"  ({value})"))
    if found.stopped:
        console.print(Text.assemble(("stopped: ", "bold red"), found.stopped))
    for note in found.notes:
        console.print(Text.assemble(("note: ", "cyan"), note))
    console.print(f"seed {drill.seed}; again: {again}")


def _value(name: str, value: float | None) -> str:
    if "recovery" in name or "latency" in name:
        return "never" if value is None else _time(value)
    return "nothing to measure" if value is None else f"{value:.4g}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _time(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.3g}ms" if value < 1 else f"{value:.3g}s"
