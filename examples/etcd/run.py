"""Kill etcd under load and compare: `python -m examples.etcd.run`.

Eight threads put and read for some seconds, while the only member is killed with
SIGKILL and started again. Exit code 1 when a call of ours failed or was late.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from examples.figures import duration
from examples.servers.supervisor import Server, Supervisor, exit_on_sigterm
from examples.traffic import Incident, Job, Sample, Tally, errors, run_threads, tally

from .clients import TIMEOUT_S, WAYS, Way, caller, open_channel
from .server import etcd_server, find_etcd, requests_started


THREADS = 8
PER_SECOND = 200.0
"""Pace of all threads together, calls per second."""
KEYS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row of the comparison."""

    way: Way
    tally: Tally
    attempts: int
    """Put and Range requests that etcd itself counted."""
    errors: tuple[str, ...]
    """The different errors, for the curious."""

    @property
    def is_clean(self) -> bool:
        """Whether no call failed and none was late."""
        return self.tally.failed == 0 and self.tally.late == 0


def jobs_for(seconds: float) -> list[Job]:
    """Put and Range in turn, over keys that `run` has written before."""
    operations = ("Put", "Range")
    return [
        Job(kind="etcd", operation=operations[i % 2], intent=f"key-{i // 2 % KEYS}")
        for i in range(max(2, int(seconds * PER_SECOND)))
    ]


def run(
    way: Way, *, seconds: float, kills: int, down_s: float, election_ms: int = 1000
) -> Result:
    """Run one way against a fresh etcd, killed *kills* times within *seconds*.

    Each time it stays away for *down_s* seconds before it is started again.
    """
    with Supervisor() as supervisor:
        etcd = etcd_server(supervisor, election_ms=election_ms)
        etcd.start()
        etcd.wait_ready()
        started: list[int] = []
        _write_all(etcd)
        channel = open_channel(way, etcd.address)
        samples = _traffic(etcd, channel, started, seconds, kills, down_s)
        channel.close()
        etcd.wait_ready()
        started.append(requests_started(etcd))
    return Result(
        way=way,
        tally=tally(samples, TIMEOUT_S),
        attempts=sum(started) - KEYS,
        errors=errors(samples),
    )


def _write_all(etcd: Server) -> None:
    channel = open_channel("grpc retries", etcd.address)
    call = caller(channel)
    for number in range(KEYS):
        call(Job(kind="etcd", operation="Put", intent=f"key-{number}"))
    channel.close()


def _traffic(  # noqa: PLR0917 - private, one caller
    etcd: Server,
    channel: object,
    started: list[int],
    seconds: float,
    kills: int,
    down_s: float,
) -> list[Sample]:
    def kill() -> None:
        # The count dies with the process, so it is read just before.
        started.append(requests_started(etcd))
        etcd.kill()
        time.sleep(down_s)
        etcd.start()

    apart_s = seconds / (kills + 1)
    incidents = [Incident(at_s=apart_s * (n + 1), action=kill) for n in range(kills)]
    return run_threads(
        jobs_for(seconds),
        caller(channel),
        threads=THREADS,
        per_second=PER_SECOND,
        incidents=incidents,
    )


def table(results: Sequence[Result], *, seconds: float, kills: int) -> Table:
    """The comparison, ready to print."""
    title = f"etcd: {THREADS} threads, {seconds:g} s, killed {kills} times"
    drawn = Table(title=title, title_justify="left")
    drawn.add_column("client")
    for name in ("calls", "failed", "late", "attempts", "p50", "p99"):
        drawn.add_column(name, justify="right")
    for result in results:
        sums = result.tally
        drawn.add_row(
            result.way,
            *map(str, (sums.calls, sums.failed, sums.late, result.attempts)),
            *map(duration, (sums.p50_s, sums.p99_s)),
        )
    return drawn


def main(argv: Sequence[str] | None = None) -> int:
    """Run the ways that were asked for; the exit code says whether ours was clean."""
    parser = argparse.ArgumentParser(description="Kill etcd under load and compare.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--down", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--way", choices=WAYS, action="append", dest="ways")
    flags = parser.parse_args(argv)
    console = Console()
    if find_etcd() is None:
        console.print("etcd is not installed (Debian: apt-get install etcd-server)")
        return 2
    exit_on_sigterm()
    results = []
    for way in flags.ways or WAYS:
        console.print(f"{way} ...")
        results.append(
            run(way, seconds=flags.seconds, kills=flags.kills, down_s=flags.down)
        )
    console.print(table(results, seconds=flags.seconds, kills=flags.kills))
    console.print(
        "late: more than 50 ms past the 5 s deadline; attempts: requests that etcd "
        "counted, which refused connections never reach."
    )
    ours = [result for result in results if result.way == "resilience"]
    for error in [error for result in ours for error in result.errors]:
        console.print(f"failed: {error}", style="red", markup=False)
    return 0 if all(result.is_clean for result in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
