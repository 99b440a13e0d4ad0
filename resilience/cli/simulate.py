"""`resilience simulate`: what a policy would do in an outage, before there is one.

Exit codes: 0 every assertion holds, 1 one does not (or the policy or scenario has
problems), 2 wrong use.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from resilience.errors import PolicyError

from . import render
from .options import FORMAT


if TYPE_CHECKING:
    from resilience.lab.simulate import Job, Run

INSTALL = "pip install 'resilience-middleware[sim]'"
_OURS = "ours"


@click.command()
@click.argument("scenario", required=False)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    help="Policy under test; several times for several to compare. Else built-in.",
)
@click.option("--seeds", default="1-5", show_default=True, help="1-5, or 1,7,9.")
@click.option(
    "--against",
    default="none",
    show_default=True,
    help="Policies to compare with, by comma; `all`: those the scenario names.",
)
@click.option(
    "--assert",
    "assertions",
    multiple=True,
    metavar="TEXT",
    help="'amplification <= 1.2', 'recovery <= none.recovery + 2s'; exit 1 if not.",
)
@click.option(
    "--topology",
    "topologies",
    multiple=True,
    metavar="HxP",
    help="Hosts x processes on each, 10x100; else the scenario's.",
)
@click.option("--load", type=click.FloatRange(min=0, min_open=True), help="Calls/s.")
@click.option("--report", metavar="FILE", help="Write one self-contained HTML file.")
@click.option("--plots", metavar="DIR", help="Write a PNG for each metric over time.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes; else all cores."
)
@FORMAT
@click.option("--list", "is_list", is_flag=True, help="List the built-in scenarios.")
def simulate(scenario: str | None, is_list: bool, form: str, **given: Any) -> None:  # noqa: FBT001  click passes it by name
    """Run SCENARIO (a built-in name or a file) under a policy in virtual time.

    The engine is the real one; clients, servers and faults are modelled. The same seeds
    give the same figures, to the last digit.
    """
    try:
        from resilience.lab import simulate as lab
    except ModuleNotFoundError as error:
        _wrong(f"simulation needs {error.name}: {INSTALL}")
    if is_list or scenario is None:
        found = [lab.scenario(name) for name in lab.names()]
        if not is_list:
            names = ", ".join(one.name for one in found)
            _wrong(f"name a scenario or a file; built in are {names}")
        _list(found, form)
        return
    try:
        _run(lab, scenario, form, given)
    except PolicyError as error:
        if form == "json":
            problems = [problem.as_dict() for problem in error.problems]
            render.data({"command": "simulate", "ok": False, "problems": problems})
        else:
            render.problems(error.problems)
        sys.exit(1)
    except OSError as error:
        _wrong(f"cannot use {error.filename}: {error.strerror}")
    except ValueError as error:
        _wrong(str(error))


def _run(lab: Any, name: str, form: str, given: dict[str, Any]) -> None:
    from resilience.lab.simulate import asserting
    from resilience.lab.simulate.metrics import figures
    from resilience.lab.simulate.outcome import Simulation

    from . import simulate_text

    scenario = lab.scenario(name)
    wanted = [asserting.read(text) for text in given["assertions"]]
    if given["plots"] or given["report"]:
        _need("matplotlib", "jinja2")
    jobs = _jobs(lab, scenario, given)
    rivals = {job.policy for job in jobs if job.texts is None}
    asserting.check(wanted, figures(scenario), sorted(rivals))
    with simulate_text.progress(jobs, is_shown=form == "text") as took:
        runs: list[Run] = lab.run_all(jobs, workers=given["workers"], progress=took)
    found = Simulation(
        scenario=scenario,
        runs=tuple(runs),
        verdicts=tuple(asserting.judge(wanted, runs)),
        command=_command(),
    )
    written: list[str] = []
    if given["plots"]:
        from resilience.lab.simulate.plots import write_plots

        written += [str(path) for path in write_plots(found, Path(given["plots"]))]
    if given["report"]:
        from resilience.lab.simulate.report import html

        Path(given["report"]).write_text(html(found), encoding="utf-8")
        written.append(given["report"])
    if form == "json":
        render.data({"command": "simulate", **found.as_dict(), "written": written})
    else:
        simulate_text.show(found, written)
    sys.exit(0 if found.is_ok else 1)


def _jobs(lab: Any, scenario: Any, given: dict[str, Any]) -> "Sequence[Job]":
    ours: dict[str, list[tuple[str, str]]] = {}
    for path in given["policies"]:
        name = _OURS if len(given["policies"]) == 1 else Path(path).stem
        if name in ours:
            name = path
        ours[name] = [(path, Path(path).read_text(encoding="utf-8"))]
    if not ours:
        ours[_OURS] = [("(built-in)", "version: 1")]
    against = [name for name in re.split(r"[,\s]+", given["against"]) if name]
    if against == ["all"]:
        against = scenario.against
    elif against == ["off"]:
        against = []
    topologies = [_topology(lab, text) for text in given["topologies"]]
    for files in ours.values():
        lab.check_policy(scenario, files)
    jobs: Sequence[Job] = lab.jobs_of(
        scenario,
        ours,
        against=against,
        seeds=_seeds(given["seeds"]),
        topologies=topologies or None,
        loads=[given["load"]] if given["load"] else None,
    )
    return jobs


def _topology(lab: Any, text: str) -> Any:
    found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if found is None or not (int(found[1]) and int(found[2])):
        msg = f"a topology is hosts x processes, such as 10x100, got {text!r}"
        raise ValueError(msg)
    return lab.Topology(hosts=int(found[1]), processes=int(found[2]))


def _seeds(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        span = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if span is None:
            msg = f"seeds are numbers, 1-5 or 1,7,9, got {text!r}"
            raise ValueError(msg)
        first = int(span[1])
        found.extend(range(first, int(span[2] or first) + 1))
    if not found:
        msg = f"no seed in {text!r}"
        raise ValueError(msg)
    return found


def _command() -> str:
    import shlex

    return shlex.join(["resilience", *sys.argv[1:]])


def _need(*libraries: str) -> None:
    from importlib.util import find_spec

    for library in libraries:
        if find_spec(library) is None:
            _wrong(f"plots and reports need {library}: {INSTALL}")


def _list(found: Sequence[Any], form: str) -> None:
    if form == "json":
        rows = [{"name": one.name, "title": one.title} for one in found]
        render.data({"command": "simulate", "scenarios": rows})
        return
    from . import simulate_text

    simulate_text.scenarios(found)


def _wrong(message: str) -> NoReturn:
    raise click.UsageError(message)
