"""What does protection add to the CPU of a healthy aiobotocore call?

The small calls of `boto_cost` on one event loop, measured in the same way: a client in
standard mode, another such one as control, and one with our hooks take turns in short
blocks. Beside the time stand the bytecodes of a call, which other work on the machine
does not change. Needs aiobotocore.
"""

import asyncio
import gc
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from importlib.util import find_spec
from types import FrameType
from typing import Any

import resilience
import resilience.botocore

from .boto_cost import (
    BLOCKS,
    CALLS,
    CONTROL,
    OURS,
    PLACE,
    POLICY,
    ROUNDS,
    STANDARD,
    ratio,
    serving,
)


Call = Callable[[Any], Awaitable[object]]
WARM = 30
"""Calls before bytecodes are counted: connections, caches and specialised code."""


async def get_small(client: Any) -> bytes:
    """Get an object and read its body, as aiobotocore's users do."""
    async with (await client.get_object(**PLACE))["Body"] as body:
        found: bytes = await body.read()
    return found


OPERATIONS: tuple[tuple[str, str, Call], ...] = (
    (
        "DynamoDB GetItem",
        "dynamodb",
        lambda c: c.get_item(TableName="orders", Key={"Key": {"S": "1"}}),
    ),
    ("S3 HeadObject", "s3", lambda c: c.head_object(**PLACE)),
    (
        "S3 PutObject, 1 KiB",
        "s3",
        lambda c: c.put_object(**PLACE, Body=b"x" * 1024),
    ),
    ("S3 GetObject, 1 KiB", "s3", get_small),
)


def make_client(service: str, url: str, engine: resilience.PolicyEngine | None) -> Any:
    """A client in standard mode, with our hooks or without; to be entered."""
    from aiobotocore.config import AioConfig
    from aiobotocore.session import AioSession

    session = AioSession()
    session.set_credentials("key", "secret")
    if engine is not None:
        resilience.botocore.register(session, engine)
    config = AioConfig(retries={"mode": "standard"}, s3={"addressing_style": "path"})
    return session.create_client(
        service, region_name="us-east-1", endpoint_url=url, config=config
    )


async def block(call: Call, client: Any) -> float:
    """CPU of one block, in us per call."""
    gc.collect()
    began = time.process_time()
    for _ in range(CALLS):
        await call(client)
    return (time.process_time() - began) / CALLS * 1e6


async def measure(
    service: str,
    call: Call,
    url: str,
    engine: resilience.PolicyEngine,
    rounds: int,
) -> dict[str, list[list[float]]]:
    """All blocks of all rounds, by whose client it was."""
    engines = {STANDARD: None, CONTROL: None, OURS: engine}
    found: dict[str, list[list[float]]] = {name: [] for name in engines}
    for turn in range(rounds):
        names = [*engines]
        names = names[turn % 3 :] + names[: turn % 3]
        samples: dict[str, list[float]] = {name: [] for name in names}
        async with AsyncExitStack() as stack:
            clients = {}
            for name in names:
                made = make_client(service, url, engines[name])
                clients[name] = await stack.enter_async_context(made)
                await block(call, clients[name])
            for _ in range(BLOCKS):
                for name in names:
                    samples[name].append(await block(call, clients[name]))
                names.reverse()
        for name in names:
            found[name].append(samples[name])
    return found


async def bytecodes(call: Call, client: Any) -> int:
    """Instructions of Python that one call takes."""
    count = 0

    def seen(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return seen

    for _ in range(WARM):
        await call(client)
    sys.settrace(seen)
    try:
        await call(client)
    finally:
        sys.settrace(None)
    return count


HEAD = (
    f"{'':22}{'standard':>12}{'ours':>12}{'ratio':>8}{'least':>8}"
    f"{'itself':>8}{'least':>8}{'bytecodes':>11}{'ratio':>8}"
)


async def costs(url: str, engine: resilience.PolicyEngine, rounds: int) -> list[str]:
    """A line for each operation."""
    lines = []
    for title, service, call in OPERATIONS:
        found = await measure(service, call, url, engine, rounds)
        cpu = {
            name: statistics.median(map(statistics.median, rounds))
            for name, rounds in found.items()
        }
        counts = []
        for one in (None, engine):
            async with make_client(service, url, one) as client:
                counts.append(await bytecodes(call, client))
        ratios = "".join(
            f"{ratio(found, name, reduce):>8.3f}"
            for name in (OURS, CONTROL)
            for reduce in (statistics.median, min)
        )
        lines.append(
            f"{title:22}{cpu[STANDARD]:>9.0f} us{cpu[OURS]:>9.0f} us{ratios}"
            f"{counts[0]:>11}{counts[1] / counts[0]:>8.3f}"
        )
    return lines


def report(rounds: int = ROUNDS) -> str:
    """The figures as text."""
    if find_spec("aiobotocore") is None:
        return "not measured: aiobotocore is not installed"
    lines = [
        "asyncio: CPU per call against standard mode, and standard mode against",
        "itself; median of rounds, of medians of blocks and of least blocks",
        HEAD,
    ]
    with serving() as url, resilience.PolicyEngine.from_text(POLICY) as engine:
        lines += asyncio.run(costs(url, engine, rounds))
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
