"""Does `.future()` ever block, and does cancelling take effect at once?

Wall time on the caller's thread, bare and ours in turns: `.future()` while retries are
pending, `cancel` in an attempt and in a wait (until the waiter is told), a sibling's
call while a done callback sleeps 0.2 s, and threads with 10 000 retries pending.
Budgets: 10 ms, median and 99th percentile; the control shows what the machine adds.
"""

import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

import resilience
import resilience.grpc


CALLS = 500
PENDING = 10_000
BUDGET_MS = 10.0
SLEEP_S = 0.2
SERVER = """
import sys, threading, grpc
from concurrent import futures
def fail(request, context):
    context.abort(grpc.StatusCode.UNAVAILABLE, "planned")
def hang(request, context):
    left = threading.Event()
    if context.add_callback(left.set):
        left.wait(20)
    return request
methods = {
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Hang": grpc.unary_unary_rpc_method_handler(hang),
    "Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
}
server = grpc.server(futures.ThreadPoolExecutor(32))
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("bench.Any", methods),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""
POLICY = """
version: 1
name: bench
all: {idempotency: safe, breaker: off, retry_budget: off}
grpc:
  methods:
    bench.Any/Fail: {retry: {max_attempts: 3, initial_backoff: 1h, max_backoff: 1h}}
"""


def _timed(fn: Callable[[], object]) -> float:
    began = time.perf_counter()
    fn()
    return (time.perf_counter() - began) * 1e3


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)


def _row(name: str, samples: list[float], budget: float = BUDGET_MS) -> str:
    ordered = sorted(samples)
    median = statistics.median(ordered)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    verdict = "ok" if p99 <= budget else "LATE"
    return f"{name:52}{median:9.3f}{p99:9.3f}{ordered[-1]:9.3f}  {verdict}"


def _starting(channel: grpc.Channel, method: str) -> tuple[list[float], list[Any]]:
    """How long `.future()` keeps its caller, and the futures."""
    call = channel.unary_unary(f"/bench.Any/{method}")
    samples, made = [], []
    for _ in range(CALLS):
        began = time.perf_counter()
        made.append(call.future(b"x"))
        samples.append((time.perf_counter() - began) * 1e3)
    return samples, made


def _cancelling(made: list[Any]) -> list[float]:
    """How long it takes from `cancel` until a waiter is told."""
    samples = []
    for future in made:
        told = threading.Event()

        def wait(future: Any = future, told: threading.Event = told) -> None:
            try:
                future.result()
            except (grpc.RpcError, grpc.FutureCancelledError):
                told.set()

        waiter = threading.Thread(target=wait)
        waiter.start()
        began = time.perf_counter()
        future.cancel()
        told.wait(20)
        samples.append((time.perf_counter() - began) * 1e3)
        waiter.join()
    return samples


def _beside_a_sleeper(channel: grpc.Channel) -> list[float]:
    """A sibling's whole call while another's callback sleeps."""
    say = channel.unary_unary("/bench.Any/Say")
    samples = []
    for _ in range(10):
        asleep, awake = threading.Event(), threading.Event()

        def sleep(
            _: Any, asleep: threading.Event = asleep, awake: threading.Event = awake
        ) -> None:
            asleep.set()
            time.sleep(SLEEP_S)
            awake.set()

        first = say.future(b"x")
        first.add_done_callback(sleep)
        asleep.wait(0.05)  # it came too late to run anywhere but here: no sample
        samples.append(_timed(lambda: say.future(b"y").result()))
        awake.wait(5)
    return samples


def _crowd(channel: grpc.Channel, engine: Any) -> list[str]:
    """10 000 calls that wait for their second attempt."""
    call = channel.unary_unary("/bench.Any/Fail")
    gate = threading.BoundedSemaphore(200)  # more at once would only queue
    before = threading.active_count()
    made, samples = [], []
    for number in range(PENDING):
        gate.acquire()
        began = time.perf_counter()
        made.append(call.future(b"x"))
        samples.append((time.perf_counter() - began) * 1e3)
        if number % 200 == 199:
            _until(lambda: len(engine.timer) >= len(made))
            for _ in range(200):
                gate.release()
    after = threading.active_count()
    ended = _timed(lambda: [future.cancel() for future in made])
    told = (
        f"threads before {before}, with {PENDING:,} retries pending {after}; "
        f"all cancelled in {ended:.0f} ms"
    )
    title = f".future() while up to {PENDING:,} retries are pending"
    return [_row(title, samples), told]


def report() -> str:
    """The figures as text."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    address = f"127.0.0.1:{server.stdout.readline().strip()}"
    engine = resilience.PolicyEngine.from_text(POLICY)
    lines = [f"{'ms':52}{'median':>9}{'p99':>9}{'most':>9}"]
    bare = grpc.insecure_channel(address)
    ours = resilience.grpc.intercept_channel(
        grpc.insecure_channel(address), engine, target="any"
    )
    try:
        channels = {"bare": bare, "ours": ours}
        for channel in channels.values():
            channel.unary_unary("/bench.Any/Say")(b"x")
        for name, channel in channels.items():
            samples, made = _starting(channel, "Fail")
            lines.append(_row(f"{name}: .future() of calls that fail", samples))
            if name == "ours":
                _until(lambda: len(engine.timer) >= CALLS)
                cancelled = _cancelling(made)
                lines.append(_row("ours: cancel in a wait, until told", cancelled))
        for name, channel in channels.items():
            samples = []
            call = channel.unary_unary("/bench.Any/Hang")
            for _ in range(CALLS // 10):
                future = call.future(b"x")
                time.sleep(0.002)
                samples += _cancelling([future])
            lines.append(_row(f"{name}: cancel in an attempt, until told", samples))
        for name, channel in channels.items():
            title = f"{name}: a call while another's callback sleeps 200 ms"
            lines.append(_row(title, _beside_a_sleeper(channel), 50.0))
        lines += _crowd(ours, engine)
    finally:
        bare.close()
        ours.close()
        engine.close()
        server.kill()
        server.communicate()
        lines.append(
            f"(budget: {BUDGET_MS:g} ms; bare shows the machine; with so many calls "
            "alive the most is a full garbage collection)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
