"""`resilience simulate`: the real engine in virtual time, against models of servers.

Import from here: `scenario` reads one, `run` makes one run, `run_all` many. Needs the
extra `sim`.
"""

from collections.abc import Sequence


try:
    import simpy as _simpy
except ModuleNotFoundError as error:
    _TEXT = f"simulation needs {error.name}: pip install 'resilience-middleware[sim]'"
    raise ModuleNotFoundError(_TEXT, name=error.name) from error

from .model import Scenario, Topology
from .reading import check_policy, names, read, scenario
from .results import Run
from .running import Job, jobs_of, run_all, run_job
from .world import Watch


__all__ = [
    "Job",
    "Run",
    "Scenario",
    "Topology",
    "Watch",
    "check_policy",
    "jobs_of",
    "names",
    "read",
    "run",
    "run_all",
    "run_job",
    "scenario",
]
del _simpy


def run(
    scenario: Scenario,
    policy: str = "version: 1",
    *,
    against: str | None = None,
    topology: Topology | tuple[int, int] | None = None,
    seed: int = 1,
    load: float | None = None,
    watch: Watch | None = None,
    overlays: Sequence[str] = (),
) -> Run:
    """Make one run in this process.

    Args:
        scenario: what `scenario` or `read` returned.
        policy: text of the policy under test.
        against: name of a rival to run instead of ours.
        topology: hosts and processes of each; None: the scenario's first.
        seed: of everything random.
        load: calls a second; None: the scenario's.
        watch: called each tenth of a virtual second with the engines and the moment;
            what it returns is the series `watched`.
        overlays: further policy texts over *policy*.

    Raises:
        PolicyError: the policy text is wrong.
    """
    if topology is None:
        topology = scenario.topologies[0]
    elif isinstance(topology, tuple):
        topology = Topology(hosts=topology[0], processes=topology[1])
    texts = [policy, *overlays]
    job = Job(
        scenario=scenario,
        policy=against or "ours",
        texts=None
        if against
        else tuple((f"<policy {n}>", text) for n, text in enumerate(texts, 1)),
        topology=topology,
        seed=seed,
        load=scenario.load if load is None else load,
    )
    return run_job(job, watch=watch)
