"""`python -m examples.demo`: run the traffic three ways and compare.

Exit code 0 when our rows hold the promise, 1 when they do not, 130 after Ctrl-C.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from examples.servers.cloud import Cloud, start_cloud
from examples.servers.supervisor import Supervisor, exit_on_sigterm
from examples.traffic import Progress

from . import aws_side, grpc_side, plan, show


LIMIT_S = 115
"""The demo ends by itself after this many seconds, whatever happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How many calls each way makes."""

    grpc: int
    aio: int
    aws: int


FULL = Size(grpc=420, aio=90, aws=240)
QUICK = Size(grpc=180, aio=60, aws=90)


def run(
    ways: Sequence[plan.Way], protocols: Sequence[plan.Protocol], size: Size, bars: Bars
) -> list[plan.Row]:
    """Run what was asked for, one way after the other, and collect the rows."""
    rows: list[plan.Row] = []
    with Supervisor() as supervisor:
        cloud = None
        if "aws" in protocols:
            cloud = start_cloud(supervisor, seed=plan.SEED, stall_s=plan.STALL_S)
        for way in ways:
            if "grpc" in protocols:
                rows += run_grpc(supervisor, way, size, bars)
            if cloud:
                rows += run_aws(cloud, way, size, bars)
    return rows


def run_grpc(
    supervisor: Supervisor, way: plan.Way, size: Size, bars: Bars
) -> list[plan.Row]:
    """One way over gRPC: threads, then asyncio, against one shop."""
    task = bars.add_task(f"gRPC: {way}", total=size.grpc + size.aio)
    shop, path = grpc_side.start_shop(supervisor, way)
    samples = grpc_side.run_sync(way, shop, size.grpc, ticker(bars, task, 0))
    samples += asyncio.run(
        grpc_side.run_aio(way, shop, size.aio, ticker(bars, task, size.grpc))
    )
    shop.kill()
    return grpc_side.rows(way, samples, path)


def run_aws(cloud: Cloud, way: plan.Way, size: Size, bars: Bars) -> list[plan.Row]:
    """One way over S3 and DynamoDB, against an emptied endpoint."""
    task = bars.add_task(f"AWS: {way}", total=size.aws)
    cloud.wait_ready()
    aws_side.prepare(cloud)
    samples = aws_side.run(way, cloud, size.aws, ticker(bars, task, 0))
    if lost := aws_side.missing(samples, cloud):
        msg = f"{way}: acknowledged writes are missing: {lost}"
        raise RuntimeError(msg)
    return aws_side.rows(way, samples, cloud)


def ticker(bars: Bars, task: TaskID, before: int) -> Callable[[Progress], None]:
    """A function that moves one bar; *before* calls were made earlier."""
    return lambda progress: bars.update(task, completed=before + progress.done)


def stop_in_time() -> None:
    """Raise `SystemExit` in the main thread after `LIMIT_S` seconds."""

    def late(number: int, frame: FrameType | None) -> None:
        msg = f"the demo did not end within {LIMIT_S} s"
        raise SystemExit(msg)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Read the flags, run, print; the exit code says whether the promise held."""
    parser = argparse.ArgumentParser(description="The same traffic three ways.")
    parser.add_argument("--quick", action="store_true", help="under half of it")
    parser.add_argument("--way", choices=plan.WAYS, action="append", dest="ways")
    parser.add_argument(
        "--protocol", choices=plan.PROTOCOLS, action="append", dest="protocols"
    )
    flags = parser.parse_args(argv)
    exit_on_sigterm()
    stop_in_time()
    # The ways differ by what is in this folder, not by what is in the environment.
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    for name in ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "RESILIENCE_MODE"):
        os.environ.pop(name, None)
    console = Console()
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    protocols = flags.protocols or plan.PROTOCOLS
    size = QUICK if flags.quick else FULL
    try:
        with Bars(*columns, console=console) as bars:
            rows = run(flags.ways or plan.WAYS, protocols, size, bars)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        return 130
    for protocol in protocols:
        console.print(show.table(protocol, rows))
    console.print(show.LEGEND, style="dim")
    console.print(show.reading(rows))
    broken = [row for row in rows if row.promise_broken]
    for row in broken:
        console.print(f"promise broken: {row.promise_broken}", style="red")
        for error in row.errors:
            console.print(f"  {error}", markup=False)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
