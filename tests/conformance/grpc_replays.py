"""Replayed uploads under random faults: each byte once and in order, or a failed call.

    python grpc_replays.py [--replays 10000] [--seed 1] [--style sync|asyncio]

Attempts fail before, amid and after the upload; connections are cut, and say GOAWAY;
sources are fast, slow or broken; buffers overflow; callers leave. The server writes
down what each attempt was sent. Exit code 1 if any call was answered from anything but
the whole stream, or two attempts were inside a source at once.
"""

import argparse
import asyncio
import itertools
import random
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
from grpc_faults import (
    CALL,
    CHAT,
    SUM,
    Cutter,
    FaultyServer,
    Ledger,
    Plan,
    Told,
    make_plan,
    verdict,
)

import resilience
import resilience.grpc
import resilience.grpc.aio


POLICY = """
version: 1
edition: "2026.11"
name: replays
all:
  idempotency: safe
  breaker: off
  retry_budget: off
  timeout: 20s
  retry: {max_attempts: 9, initial_backoff: 1ms, max_backoff: 3ms}
"""
WAYS = {
    "sync": ("sum", "sum.future", "chat"),
    "asyncio": ("sum", "sum.write", "chat", "chat.write"),
}
AT_ONCE = 12


class Broken(Exception):
    """What a broken source raises."""


class Source:
    """The messages of a plan; knows how many readers it had at once."""

    def __init__(self, plan: Plan, chance: random.Random) -> None:
        self._plan = plan
        self._waits = itertools.cycle([0, 0, chance.uniform(0, 0.002), 0])
        self._next = 0
        self._inside = 0
        self._lock = threading.Lock()
        self.most = 0

    def __iter__(self) -> "Source":
        return self

    def __next__(self) -> bytes:
        self._enter()
        try:
            wait_s = self._wait_s()
            if wait_s:
                time.sleep(wait_s)
            return self._take()
        finally:
            self._leave()

    async def awaited(self) -> Any:
        """The same for asyncio."""
        while True:
            self._enter()
            try:
                await asyncio.sleep(self._wait_s())
                try:
                    message = self._take()
                except StopIteration:
                    return
            finally:
                self._leave()
            yield message

    def _wait_s(self) -> float:
        return next(self._waits) if self._plan.source == "slow" else 0

    def _enter(self) -> None:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)

    def _leave(self) -> None:
        with self._lock:
            self._inside -= 1

    def _take(self) -> bytes:
        at = self._next
        if at < len(self._plan.messages):
            self._next = at + 1
            return self._plan.messages[at]
        if self._plan.source == "broken":
            raise Broken
        raise StopIteration


class Tally:
    """Counts what happened. Safe to share between threads."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def judge(self, plan: Plan, told: Told, most: int, way: str) -> None:
        """A call of *plan* has ended."""
        _, attempts = self._ledger.end(plan.name)
        fault = verdict(plan, attempts, told, most)
        with self._lock:
            self.counts["calls"] += 1
            self.counts["replays"] += max(0, len(attempts) - 1)
            self.counts[f"{way}: replays"] += max(0, len(attempts) - 1)
            self.counts[f"ended {told.code}"] += 1
            self.counts["bytes delivered"] += sum(map(len, told.answers))
            if fault:
                self.wrong.append(f"{way} call {plan.name}: {fault}; {_brief(plan)}")


def _brief(plan: Plan) -> str:
    sizes = [len(message) for message in plan.messages[:9]]
    return f"sizes {sizes}, faults {plan.faults}, source {plan.source}"


class Blocking:
    """Makes calls on a blocking channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._sum = channel.stream_unary(SUM)
        self._chat = channel.stream_stream(CHAT)

    def call(self, plan: Plan, source: Source, way: str) -> Told:
        """Make one call; never raises."""
        given = {"metadata": ((CALL, plan.name),)}
        answers: list[bytes] = []
        if way == "sum":
            try:
                return Told([self._sum(source, **given)], "OK", "")
            except grpc.RpcError as error:
                return Told(answers, error.code().name, error.details())
        stream = way == "chat"
        call = (self._chat if stream else self._sum.future)(source, **given)
        timer = None
        if plan.cancel_after_s is not None:
            timer = threading.Timer(plan.cancel_after_s, call.cancel)
            timer.start()
        try:
            answers.extend(call if stream else [call.result()])
        except (grpc.RpcError, grpc.FutureCancelledError):
            pass
        finally:
            if timer is not None:
                timer.cancel()
        return Told(answers, call.code().name, call.details())


class Asyncio:
    """Makes calls on an asyncio channel."""

    def __init__(self, channel: Any) -> None:
        self._sum = channel.stream_unary(SUM)
        self._chat = channel.stream_stream(CHAT)

    async def call(self, plan: Plan, source: Source, way: str) -> Told:
        """Make one call; never raises."""
        name, _, form = way.partition(".")
        method = self._sum if name == "sum" else self._chat
        given = {"metadata": ((CALL, plan.name),)}
        answers: list[bytes] = []
        if form:
            call = method(**given)
            writing = asyncio.create_task(self._write(call, source))
        else:
            call, writing = method(source.awaited(), **given), None
        if plan.cancel_after_s is not None:
            asyncio.get_running_loop().call_later(plan.cancel_after_s, call.cancel)
        try:
            if name == "sum":
                answers.append(await call)
            elif form:
                while (message := await call.read()) is not grpc.aio.EOF:
                    answers.append(message)
            else:
                async for message in call:
                    answers.append(message)  # noqa: PERF401 - kept when it fails, too
        except (grpc.RpcError, asyncio.CancelledError):
            pass
        code, details = await call.code(), await call.details()
        if writing is not None:
            # grpcio leaves a write that waits for a cancelled call's start for ever.
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
        return Told(answers, code.name, details)

    async def _write(self, call: Any, source: Source) -> None:
        try:
            async for message in source.awaited():
                await call.write(message)
            await call.done_writing()
        except Broken:
            call.cancel()
        except (Exception, asyncio.CancelledError):  # noqa: BLE001 - of many kinds
            return  # the call is over, and says so itself


class Run:
    """Calls of one style until there were enough replays."""

    def __init__(self, style: str, replays: int, seed: int, address: str) -> None:
        self._style, self._replays, self._address = style, replays, address
        self._random = random.Random(f"{seed} {style}")
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def go(self, ledger: Ledger, engine: Any) -> Tally:
        """Make the calls."""
        tally = Tally(ledger)
        if self._style == "asyncio":
            asyncio.run(self._asyncio(ledger, tally, engine))
        else:
            self._sync(ledger, tally, engine)
        return tally

    def _next(self, ledger: Ledger, tally: Tally) -> tuple[Plan, Source, str] | None:
        if tally.counts["replays"] >= self._replays:
            return None
        with self._lock:
            number = next(self._numbers)
            ways = WAYS[self._style]
            plan = make_plan(self._random, number)
            source = Source(plan, self._random)
        ledger.begin(plan)
        return plan, source, ways[number % len(ways)]

    def _sync(self, ledger: Ledger, tally: Tally, engine: Any) -> None:
        options = resilience.grpc.channel_options()
        with grpc.insecure_channel(self._address, options) as bare:
            wrapped = resilience.grpc.intercept_channel(bare, engine, target="upload")
            client = Blocking(wrapped)

            def work() -> None:
                while (made := self._next(ledger, tally)) is not None:
                    plan, source, way = made
                    told = client.call(plan, source, way)
                    tally.judge(plan, told, source.most, f"sync {way}")

            with ThreadPoolExecutor(AT_ONCE) as pool:
                for done in [pool.submit(work) for _ in range(AT_ONCE)]:
                    done.result()

    async def _asyncio(self, ledger: Ledger, tally: Tally, engine: Any) -> None:
        options = resilience.grpc.channel_options()
        async with grpc.aio.insecure_channel(self._address, options=options) as bare:
            wrap = resilience.grpc.aio.intercept_channel
            client = Asyncio(wrap(bare, engine, target="upload"))

            async def work() -> None:
                while (made := self._next(ledger, tally)) is not None:
                    plan, source, way = made
                    told = await client.call(plan, source, way)
                    tally.judge(plan, told, source.most, f"asyncio {way}")

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--replays", type=int, default=10_000, help="of all styles")
    parser.add_argument("--seed", type=int, default=1, help="of plans and cuts")
    parser.add_argument("--style", choices=WAYS, help="default: both, half each")
    options = parser.parse_args()
    styles = [options.style] if options.style else list(WAYS)
    engine = resilience.PolicyEngine.from_text(POLICY, seed=options.seed)
    is_good = True
    for style in styles:
        ledger = Ledger()
        server = FaultyServer(ledger)
        cutter = Cutter(server.port, options.seed, every_s=0.15)
        began = time.monotonic()
        wanted = options.replays // len(styles)
        tally = Run(style, wanted, options.seed, cutter.address).go(ledger, engine)
        cutter.stop()
        server.stop()
        took_s = time.monotonic() - began
        print(f"{style}: seed {options.seed}, {cutter.cuts} cuts, {took_s:.1f} s")
        for name, count in sorted(tally.counts.items()):
            print(f"  {name:32}{count:>12,}")
        print(f"  {'violations':32}{len(tally.wrong):>12,}", flush=True)
        for line in tally.wrong[:20]:
            print(f"    {line[:300]}")
        is_good = is_good and not tally.wrong and tally.counts["replays"] >= wanted
    engine.close()
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
