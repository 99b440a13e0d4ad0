"""What does protection add in each arity and style, and to each message of a stream?

CPU of this whole process per call and per message, in interleaved rounds against one
server in another process: bare, C-core's own retries, a no-op interceptor of grpcio's,
OpenTelemetry's instrumentation, and ours. The figure that counts: ours adds at most
3 us to a streamed message.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from opentelemetry.instrumentation.grpc import (
    aio_client_interceptors,
    client_interceptor,
)
from opentelemetry.instrumentation.grpc.grpcext import (
    intercept_channel as instrumented,
)
from opentelemetry.sdk.trace import TracerProvider

import resilience
import resilience.grpc


ROUNDS = 25
CALLS = 40
MESSAGES = 400
LEAST_US = 3.0
SERVER = """
import sys, grpc
from concurrent import futures
def listing(request, context):
    for _ in range(int(request)):
        yield b"x"
methods = {
    "Say": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
    "List": grpc.unary_stream_rpc_method_handler(listing),
    "Sum": grpc.stream_unary_rpc_method_handler(
        lambda requests, context: str(sum(1 for _ in requests)).encode()
    ),
    "Chat": grpc.stream_stream_rpc_method_handler(lambda requests, context: requests),
}
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("bench.Echo", methods),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""
RETRIES = """{"methodConfig": [{"name": [{"service": "bench.Echo"}], "retryPolicy": {
"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s", "backoffMultiplier": 2,
"retryableStatusCodes": ["UNAVAILABLE"]}}]}"""
POLICY = """
version: 1
name: bench
all: {idempotency: safe}
grpc:
  methods:
    bench.Echo/Say: {timeout: 10s, attempt_timeout: 5s}
"""
ARITIES = ("unary-unary", "unary-stream", "stream-unary", "stream-stream")


class NoOp(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """What any interceptor costs."""

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(details, request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary


def aio_no_ops() -> list[Any]:
    """One for each arity, as grpcio wants them."""
    made = []
    for arity in ARITIES:
        words = arity.title().replace("-", "")
        base = getattr(grpc.aio, f"{words}ClientInterceptor")

        async def intercept(self, continuation, details, request):
            return await continuation(details, request)

        name = f"intercept_{arity.replace('-', '_')}"
        made.append(type(words, (base,), {name: intercept})())
    return made


def sync_channels(address: str, engine: Any, tracing: Any) -> dict[str, grpc.Channel]:
    """A channel for each way."""
    bare = grpc.insecure_channel
    options = [("grpc.service_config", RETRIES)]
    return {
        "bare": bare(address, [("grpc.enable_retries", 0)]),
        "native retries": bare(address, options),
        "no-op interceptor": grpc.intercept_channel(bare(address), NoOp()),
        "OpenTelemetry": instrumented(bare(address), client_interceptor(tracing)),
        "resilience": resilience.grpc.intercept_channel(
            bare(address), engine, target="echo"
        ),
    }


def aio_channels(address: str, engine: Any, tracing: Any) -> dict[str, Any]:
    """The same in asyncio."""
    bare = grpc.aio.insecure_channel
    options = [("grpc.service_config", RETRIES)]
    spans = aio_client_interceptors(tracer_provider=tracing)
    return {
        "bare": bare(address, options=[("grpc.enable_retries", 0)]),
        "native retries": bare(address, options=options),
        "no-op interceptor": bare(address, interceptors=aio_no_ops()),
        "OpenTelemetry": bare(address, interceptors=spans),
        "resilience": resilience.grpc.aio.intercept_channel(
            bare(address), engine, target="echo"
        ),
    }


def sync_call(channel: grpc.Channel, arity: str) -> Callable[[int], None]:
    """A function that makes one call of so many messages."""
    say = channel.unary_unary("/bench.Echo/Say")
    listing = channel.unary_stream("/bench.Echo/List")
    total = channel.stream_unary("/bench.Echo/Sum")
    chat = channel.stream_stream("/bench.Echo/Chat")

    def call(count: int) -> None:
        if arity == "unary-unary":
            say(b"x")
        elif arity == "unary-stream":
            for _ in listing(b"%d" % count):
                pass
        elif arity == "stream-unary":
            total(b"x" for _ in range(count))
        else:
            for _ in chat(b"x" for _ in range(count)):
                pass

    return call


def aio_call(channel: Any, arity: str) -> Callable[[int], Any]:
    """The same in asyncio."""
    say = channel.unary_unary("/bench.Echo/Say")
    listing = channel.unary_stream("/bench.Echo/List")
    total = channel.stream_unary("/bench.Echo/Sum")
    chat = channel.stream_stream("/bench.Echo/Chat")

    async def requests(count: int) -> Any:
        for _ in range(count):
            yield b"x"

    async def call(count: int) -> None:
        if arity == "unary-unary":
            await say(b"x")
        elif arity == "unary-stream":
            async for _ in listing(b"%d" % count):
                pass
        elif arity == "stream-unary":
            await total(requests(count))
        else:
            async for _ in chat(requests(count)):
                pass

    return call


def measured(runs: dict[str, Callable[[int, int], float]], *, streams: bool) -> Any:
    """CPU in us for each way: of a call of one message, of one more message."""
    calls: dict[str, list[float]] = {name: [] for name in runs}
    messages: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(CALLS, 1)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            short = run(CALLS, 1)
            calls[name].append(short)
            if streams:
                long = run(2, MESSAGES)
                messages[name].append((long - short) / (MESSAGES - 1))
    return calls, messages


def added(samples: dict[str, list[float]], name: str) -> float:
    """What *name* costs more than bare: the median over the rounds."""
    pairs = zip(samples[name], samples["bare"], strict=True)
    return statistics.median(one - other for one, other in pairs)


def rows(style: str, arity: str, calls: Any, messages: Any) -> list[str]:
    """One line for each way."""
    found = []
    for name in calls:
        own = statistics.median(calls[name])
        line = f"{style:8}{arity:14}{name:18}{own:8.0f}{added(calls, name):+9.1f}"
        if messages[name]:
            each = statistics.median(messages[name])
            line += f"{each:11.1f}{added(messages, name):+9.2f}"
        found.append(line)
    return found


def timed(call: Callable[[int], None]) -> Callable[[int, int], float]:
    """CPU in us of one call, of so many calls of so many messages."""

    def run(calls: int, count: int) -> float:
        gc.collect()
        began = time.process_time()
        for _ in range(calls):
            call(count)
        return (time.process_time() - began) / calls * 1e6

    return run


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
    tracing = TracerProvider()
    lines = [
        f"{'':40}{'call us':>8}{'added':>9}{'message us':>11}{'added':>9}",
    ]
    try:
        for arity in ARITIES:
            streams = arity != "unary-unary"
            channels = sync_channels(address, engine, tracing)
            runs = {n: timed(sync_call(c, arity)) for n, c in channels.items()}
            lines += rows("sync", arity, *measured(runs, streams=streams))
            for channel in channels.values():
                channel.close()
        for arity in ARITIES:
            streams = arity != "unary-unary"
            with asyncio.Runner() as runner:
                lines += rows(
                    "asyncio",
                    arity,
                    *_in_asyncio(
                        runner,
                        address=address,
                        engine=engine,
                        tracing=tracing,
                        arity=arity,
                        streams=streams,
                    ),
                )
    finally:
        server.kill()
        server.communicate()
        engine.close()
        tracing.shutdown()
    return "\n".join([*lines, f"(a streamed message: at most +{LEAST_US:g} us)"])


def _in_asyncio(
    runner: asyncio.Runner,
    *,
    address: str,
    engine: Any,
    tracing: Any,
    arity: str,
    streams: bool,
) -> Any:
    async def make() -> Any:
        return aio_channels(address, engine, tracing)

    async def close(channels: Any) -> None:
        for channel in channels.values():
            await channel.close()

    channels = runner.run(make())

    def of(channel: Any) -> Callable[[int, int], float]:
        call = aio_call(channel, arity)

        async def calls(number: int, count: int) -> float:
            gc.collect()
            began = time.process_time()
            for _ in range(number):
                await call(count)
            return (time.process_time() - began) / number * 1e6

        return lambda number, count: runner.run(calls(number, count))

    found = measured({n: of(c) for n, c in channels.items()}, streams=streams)
    runner.run(close(channels))
    return found


if __name__ == "__main__":
    print(report())
