"""Runs: one here, or many on all cores; the same results in the same order."""

import gc
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from resilience import policy as policies

from .metrics import measure
from .model import Scenario, Topology
from .reading import policy_texts
from .results import Run
from .rivals import RIVALS
from .search import capacity, heals
from .world import Watch, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run to be made; plain, so that another process can make it."""

    scenario: Scenario
    policy: str
    """Name of a rival, or the name under which ours is shown."""
    texts: tuple[tuple[str, str], ...] | None
    """Policy files of ours, name and content; None: a rival."""
    topology: Topology
    seed: int
    load: float


def run_job(job: Job, *, watch: Watch | None = None) -> Run:
    """Make one run in this process."""
    began = time.perf_counter()
    scenario = job.scenario
    if job.load != scenario.load:
        scenario = scenario.model_copy(update={"load": job.load})
    with _undisturbed():
        if job.texts is None:
            policy: Any = job.policy
        else:
            policy = policies.load(policy_texts(scenario, job.texts))
        world = World(scenario, policy, job.topology, job.seed, watch=watch)
        with _uncollected():
            recorder = world.run()
    series: dict[str, tuple[float, ...]] = {
        name: tuple(getattr(recorder, name)[: recorder.tenths])
        for name in (
            "offered",
            "good",
            "critical_offered",
            "critical_good",
            "attempts",
            "unsent",
            "queued",
            "watched",
        )
    }
    return Run(
        scenario=scenario.name,
        policy=job.policy,
        is_ours=job.texts is not None,
        topology=job.topology.name,
        load=job.load,
        seed=job.seed,
        metrics=measure(scenario, recorder),
        series=series,
        wall_s=time.perf_counter() - began,
    )


def run_chain(jobs: Sequence[Job]) -> list[Run]:
    """Make runs of rising load; of a rival, up to the first that does not heal."""
    found: list[Run] = []
    for job in jobs:
        run = run_job(job)
        found.append(run)
        if not run.is_ours and not heals(job.scenario, run):
            break
    return found


def run_all(
    jobs: Sequence[Job],
    *,
    workers: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Run]:
    """Make all runs, on all cores unless *workers* says less; in the order of *jobs*.

    Args:
        jobs: see `jobs_of`. Those of a scenario with `safe_load` are made as chains of
            rising load, and those of a rival above its safe load are left out.
        workers: processes at once; None: as many as there are cores. Where there are
            several, they are spawned: a script needs `if __name__ == "__main__":`.
        progress: called with the number of jobs that are dealt with now.
    """
    chains = chains_of(jobs)
    workers = min(len(chains), workers or os.cpu_count() or 1)
    found: list[Run] = []

    def take(chain: Sequence[Job], runs: Sequence[Run]) -> None:
        found.extend(runs)
        if progress is not None:
            progress(len(chain))

    if workers <= 1:
        for chain in chains:
            take(chain, run_chain(chain))
        return found
    # Not forked: the caller may have threads, and a copy of its locks helps nobody.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_chain, chain) for chain in chains]
        for chain, future in zip(chains, futures, strict=True):
            take(chain, future.result())
    return found


def chains_of(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that are made one after the other; most are alone."""
    chains: dict[object, list[Job]] = {}
    for number, job in enumerate(jobs):
        is_search = job.scenario.safe_load is not None
        key = (job.policy, job.topology.name, job.seed) if is_search else number
        chains.setdefault(key, []).append(job)
    return [*chains.values()]


def jobs_of(
    scenario: Scenario,
    ours: Mapping[str, Sequence[tuple[str, str]]],
    *,
    against: Sequence[str] = (),
    seeds: Sequence[int] = (1,),
    topologies: Sequence[Topology] | None = None,
    loads: Sequence[float] | None = None,
) -> list[Job]:
    """Every policy in every topology at every load with every seed.

    Raises:
        ValueError: *against* names no such rival.
    """
    for name in against:
        if name not in RIVALS:
            msg = f"no such policy to compare with: {name} ({', '.join(RIVALS)})"
            raise ValueError(msg)
    if loads is None:
        loads = [scenario.load]
        if scenario.safe_load is not None:
            whole = capacity(scenario)
            loads = [share * whole for share in sorted(scenario.safe_load.loads)]
    entries: list[tuple[str, Any]] = [(n, tuple(t)) for n, t in ours.items()]
    entries += [(name, None) for name in against]
    return [
        Job(
            scenario=scenario,
            policy=name,
            texts=texts,
            topology=topology,
            seed=seed,
            load=load,
        )
        for name, texts in entries
        for topology in topologies or scenario.topologies
        for load in loads
        for seed in seeds
    ]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """No mode or control file of this machine's environment acts on a run."""
    names = ("RESILIENCE_MODE", "RESILIENCE_CONTROL_FILE")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextmanager
def _uncollected() -> Iterator[None]:
    """A run leaves no cycles: without the collector it takes a fifth less time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
