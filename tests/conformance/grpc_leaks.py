"""What is left after 100 000 calls: threads, tasks, descriptors, objects, memory.

    python grpc_leaks.py [--calls 100000] [--seed 1] [--style asyncio] [--short]

All arities and both styles, against a server in another process. A fifth of the
attempts fails; callers cancel, give up, drop futures and streams half read. Counted
after a warm-up, in between, and at the end; a bare run of a tenth shows what grpcio and
malloc keep by themselves (asyncio: a task for every tenth call). Exit code 1 if
anything of ours grew.
"""

import argparse
import asyncio
import gc
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc
import grpc.aio

import resilience
import resilience.grpc
import resilience.grpc.aio


SERVER = """
import random, sys, threading, grpc
from concurrent import futures
chance = random.Random(int(sys.argv[1]))
def play(requests, context):
    if chance.random() < 0.2:
        context.abort(grpc.StatusCode.UNAVAILABLE, "planned")
    for request in requests:
        yield request
def one(request, context):
    return b"".join(play([request], context))
def listing(request, context):
    yield from (answer * 2 for answer in play([request] * 3, context))
methods = {
    "unary_unary": grpc.unary_unary_rpc_method_handler(one),
    "unary_stream": grpc.unary_stream_rpc_method_handler(listing),
    "stream_unary": grpc.stream_unary_rpc_method_handler(
        lambda requests, context: b"".join(play(requests, context))
    ),
    "stream_stream": grpc.stream_stream_rpc_method_handler(play),
}
server = grpc.server(futures.ThreadPoolExecutor(16))
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("leaks.Any", methods),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""
POLICY = """
version: 1
edition: "2026.11"
name: leaks
all:
  idempotency: safe
  breaker: off
  retry_budget: off
  timeout: 20s
  retry: {max_attempts: 4, initial_backoff: 1ms, max_backoff: 3ms}
grpc:
  all: {idle_timeout: 30s, first_message_timeout: 15s, attempt_timeout: 10s}
"""
ARITIES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
ENDS = ("read", "read", "read", "read", "cancel", "drop", "half")
"""What the caller does: `half` reads one message and drops the stream."""
AT_ONCE = 8
SETTLE_S = 0.2
HUNG_S = 5.0
"""A call that takes longer hangs."""
MESSAGE = b"x" * 500
MAX_THREADS = 1
"""More than before. A pool's last thread may still be on its way out."""
MAX_OBJECTS = 100
"""Of our types, more than before: what was cancelled may wait for the timer's sweep. A
leak of one call in a hundred would leave 1000."""
MAX_BYTES_PER_CALL = 200.0
"""Of memory, from a fifth of the calls to the end: malloc's fragments, of which bare
blocking calls leave about 100 as well. A call that is kept takes several thousand."""


class Figures(NamedTuple):
    """What the process holds."""

    calls: int
    threads: int
    tasks: int
    descriptors: int
    objects: int
    """Instances of our classes, as the collector knows them."""
    all_objects: int
    rss_kib: int


def figures(calls: int, tasks: int = 0) -> Figures:
    """Count, after everything that can be collected was."""
    for _ in range(3):
        gc.collect()
    tracked = gc.get_objects()
    ours = sum(1 for o in tracked if _is_ours(type(o)))
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - no file
        rss = int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024
    return Figures(
        calls,
        threading.active_count(),
        tasks,
        len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - no files either
        ours,
        len(tracked),
        rss,
    )


def _is_ours(kind: type) -> bool:
    return str(kind.__module__).startswith("resilience")


def _is_quiet() -> bool:
    """Has every idle thread for callbacks left? They stay for two seconds."""
    return not any(t.name == "resilience-callbacks" for t in threading.enumerate())


def settle() -> None:
    """Let what is on its way out leave."""
    gc.collect()
    time.sleep(SETTLE_S)
    for _ in range(100):
        if _is_quiet():
            break
        time.sleep(SETTLE_S / 2)


class Blocking:
    """Makes blocking calls and futures."""

    def __init__(self, channel: grpc.Channel, seed: int) -> None:
        self._methods = {
            arity: getattr(channel, arity)(f"/leaks.Any/{arity}") for arity in ARITIES
        }
        self._random = random.Random(seed)
        self.ended: Counter[str] = Counter()

    def call(self, arity: str) -> None:
        """Make one call, and end it in one of the ways."""
        chance = self._random
        end, blocks = chance.choice(ENDS), chance.random() < 0.3
        request: Any = MESSAGE
        if arity.startswith("stream"):
            request = (MESSAGE for _ in range(3))
        method = self._methods[arity]
        try:
            if arity.endswith("stream"):
                self._read(method(request), end)
            elif blocks:
                method(request)
            else:
                self._await(method.future(request), end)
        except (grpc.RpcError, grpc.FutureCancelledError, grpc.FutureTimeoutError):
            end = f"{end}, failed"
        self.ended[end] += 1

    def _read(self, call: Any, end: str) -> None:
        if end == "half":
            next(call)
        elif end == "cancel":
            call.cancel()
        elif end == "read":
            for _ in call:
                pass

    def _await(self, future: Any, end: str) -> None:
        if end == "cancel":
            future.cancel()
        elif end == "half":  # gives up waiting
            future.result(timeout=0.0005)
        elif end == "read":
            future.result(timeout=20)


async def call_in_asyncio(
    methods: Any, arity: str, chance: random.Random, *, may_write: bool
) -> str:
    """The same in asyncio; returns how it ended."""
    end, writes = chance.choice(ENDS), may_write and chance.random() < 0.3
    method = methods[arity]
    try:
        if arity.startswith("unary"):
            call = method(MESSAGE)
        elif writes:
            call = method()
            if end != "drop":
                for _ in range(3):
                    await call.write(MESSAGE)
                await call.done_writing()
        else:
            call = method(_messages())
        await _finish(call, arity, end)
    except (grpc.RpcError, asyncio.CancelledError, asyncio.InvalidStateError):
        return f"{end}, failed"
    return end


async def _messages() -> Any:
    for _ in range(3):
        yield MESSAGE


async def _finish(call: Any, arity: str, end: str) -> None:
    is_stream = arity.endswith("stream")
    if end == "cancel":
        call.cancel()
    elif end == "drop" and not is_stream:
        await asyncio.sleep(0)
        call.cancel()  # nothing but its end collects it, as natively
    elif end == "half":
        await (call.read() if is_stream else call)
    elif end == "read" and is_stream:
        async for _ in call:
            pass
    elif end == "read":
        await call


class Part(NamedTuple):
    """The figures of one style."""

    style: str
    rows: list[Figures]
    ended: Counter[str]


def blocking_part(address: str, engine: Any, calls: int, seed: int) -> Part:
    """*calls* on threads; *engine* None: bare."""
    with grpc.insecure_channel(address, resilience.grpc.channel_options()) as bare:
        channel = bare
        if engine is not None:
            channel = resilience.grpc.intercept_channel(bare, engine, target="any")
        client, rows = Blocking(channel, seed), []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for count, done in _steps(calls):
                arities = (ARITIES[n % 4] for n in range(count))
                for _ in pool.map(client.call, arities):
                    pass
                settle()
                rows.append(figures(done))
    return Part("blocking", rows, client.ended)


async def asyncio_part(address: str, engine: Any, calls: int, seed: int) -> Part:
    """The same in asyncio."""
    options = resilience.grpc.channel_options()
    chance, ended, rows = random.Random(seed), Counter(), []
    async with grpc.aio.insecure_channel(address, options=options) as bare:
        channel = bare
        if engine is not None:
            wrap = resilience.grpc.aio.intercept_channel
            channel = wrap(bare, engine, target="any")
        methods = {a: getattr(channel, a)(f"/leaks.Any/{a}") for a in ARITIES}

        async def work(count: int) -> None:
            for number in range(count):
                arity = ARITIES[number % 4]
                # A tenth of bare writes never returns: no control of anything.
                work = call_in_asyncio(
                    methods, arity, chance, may_write=engine is not None
                )
                try:
                    ended[await asyncio.wait_for(work, HUNG_S)] += 1
                except TimeoutError:
                    ended["hung"] += 1

        for count, done in _steps(calls):
            await asyncio.gather(*(work(count // AT_ONCE) for _ in range(AT_ONCE)))
            gc.collect()
            await asyncio.sleep(SETTLE_S)  # what was collected cancels its call
            await asyncio.to_thread(settle)
            rows.append(figures(done, len(asyncio.all_tasks()) - 1))
    return Part("asyncio", rows, ended)


STYLES = {
    "blocking": blocking_part,
    "asyncio": lambda *given: asyncio.run(asyncio_part(*given)),
}


def _steps(calls: int) -> list[tuple[int, int]]:
    """Calls to make, and how many are done then; the first part is the warm-up."""
    parts = 5 if calls >= 5000 else 2
    size = calls // parts
    return [(size, size * number) for number in range(1, parts + 1)]


def slope(rows: list[Figures]) -> float:
    """Bytes of memory that each call added after the warm-up."""
    first, last = rows[0], rows[-1]
    return (last.rss_kib - first.rss_kib) * 1024 / (last.calls - first.calls)


def judge(part: Part, *, weighs: bool) -> list[str]:
    """What grew that may not; empty: nothing."""
    first, last = part.rows[0], part.rows[-1]
    found = []
    if part.ended["hung"]:
        found.append(f"{part.ended['hung']} calls hung")
    if last.threads > first.threads + MAX_THREADS:
        found.append(f"{last.threads - first.threads} threads are left")
    if last.tasks:
        found.append(f"{last.tasks} tasks are left")
    if last.descriptors > first.descriptors:
        found.append(f"{last.descriptors - first.descriptors} descriptors are left")
    if last.objects > first.objects + MAX_OBJECTS:
        found.append(f"{last.objects - first.objects} objects of ours are left")
    if weighs and slope(part.rows) > MAX_BYTES_PER_CALL:
        found.append(f"{slope(part.rows):.0f} bytes of memory a call")
    return [f"{part.style}: {text}" for text in found]


def table(title: str, part: Part) -> str:
    """The figures as text."""
    names = (
        "calls",
        "threads",
        "tasks",
        "descriptors",
        "objects",
        "all_objects",
        "rss_kib",
    )
    lines = [f"{title} {part.style}", "".join(f"{name:>13}" for name in names)]
    lines += ["".join(f"{value:>13,}" for value in row) for row in part.rows]
    ends = ", ".join(f"{name} {count}" for name, count in sorted(part.ended.items()))
    return "\n".join([*lines, f"  {slope(part.rows):+.1f} bytes a call; {ends}"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=100_000, help="of both styles")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--style", choices=STYLES, help="default: both, half each")
    parser.add_argument("--short", action="store_true", help="without the control")
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(options.seed)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = f"127.0.0.1:{server.stdout.readline().strip()}"
    engine = resilience.PolicyEngine.from_text(POLICY, seed=options.seed)
    styles = [options.style] if options.style else list(STYLES)
    half = options.calls // len(styles)
    control = max(400, half // 10)
    weighs = options.calls >= 20_000  # memory of few calls says nothing
    wrong: list[str] = []
    try:
        for style in styles:
            run = STYLES[style]
            if not options.short:
                bare = run(address, None, control, options.seed)
                print(table("bare", bare), flush=True)
            part = run(address, engine, half, options.seed)
            print(table("ours", part), flush=True)
            wrong += judge(part, weighs=weighs)
    finally:
        engine.close()
        server.kill()
        server.communicate()
    for line in wrong:
        print(f"LEFT {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
