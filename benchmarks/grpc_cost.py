"""What does protection add to the CPU of a healthy gRPC unary call?

Bare, a no-op interceptor of grpcio's own, and ours, in interleaved rounds against an
echo server in another process. CPU of this whole process (its grpc threads included),
per call. The figure that counts: what ours adds over what the no-op interceptor adds.
"""

import asyncio
import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import grpc
import grpc.aio

import resilience
import resilience.grpc
import resilience.grpc.aio


ROUNDS = 120
CALLS = 100
METHOD = "/bench.Echo/Say"
SERVER = """
import sys, grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(4))
handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("bench.Echo", {"Say": handler}),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


class NoOp(grpc.UnaryUnaryClientInterceptor):
    """What any interceptor costs."""

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(details, request)


class AioNoOp(grpc.aio.UnaryUnaryClientInterceptor):
    """What any asyncio interceptor costs."""

    async def intercept_unary_unary(self, continuation, details, request):
        return await continuation(details, request)


def rounds(runs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """CPU in us: of a bare call, and what each other way adds (median of pairs)."""
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    order = list(runs)
    for _ in range(ROUNDS):
        order = order[1:] + order[:1]
        for name in order:
            samples[name].append(runs[name]())
    bare = samples["bare"]
    added = {
        name: statistics.median(
            one - other for one, other in zip(values, bare, strict=True)
        )
        for name, values in samples.items()
    }
    return added | {"bare": statistics.median(bare)}


def sync_costs(address: str, engine: resilience.PolicyEngine) -> dict[str, float]:
    """CPU in us that one blocking call costs bare, and that each way adds."""
    channels = {
        "bare": grpc.insecure_channel(address),
        "no-op interceptor": grpc.intercept_channel(
            grpc.insecure_channel(address), NoOp()
        ),
        "resilience": resilience.grpc.intercept_channel(
            grpc.insecure_channel(address), engine, target="echo"
        ),
    }

    def runner(channel: grpc.Channel) -> Callable[[], float]:
        say = channel.unary_unary(METHOD)

        def run() -> float:
            gc.collect()
            began = time.process_time()
            for _ in range(CALLS):
                say(b"x", timeout=30)
            return (time.process_time() - began) / CALLS * 1e6

        return run

    costs = rounds({name: runner(channel) for name, channel in channels.items()})
    for channel in channels.values():
        channel.close()
    return costs


def aio_costs(address: str, engine: resilience.PolicyEngine) -> dict[str, float]:
    """CPU in us that one awaited call costs bare, and that each way adds."""
    with asyncio.Runner() as runner:

        async def channels() -> dict[str, grpc.aio.Channel]:
            return {
                "bare": grpc.aio.insecure_channel(address),
                "no-op interceptor": grpc.aio.insecure_channel(
                    address, interceptors=[AioNoOp()]
                ),
                "resilience": resilience.grpc.aio.intercept_channel(
                    grpc.aio.insecure_channel(address), engine, target="echo"
                ),
            }

        made = runner.run(channels())

        def of(channel: grpc.aio.Channel) -> Callable[[], float]:
            say = channel.unary_unary(METHOD)

            async def calls() -> float:
                gc.collect()
                began = time.process_time()
                for _ in range(CALLS):
                    await say(b"x", timeout=30)
                return (time.process_time() - began) / CALLS * 1e6

            return lambda: runner.run(calls())

        costs = rounds({name: of(channel) for name, channel in made.items()})

        async def close() -> None:
            for channel in made.values():
                await channel.close()

        runner.run(close())
    return costs


def report() -> str:
    """The figures as text."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = f"127.0.0.1:{server.stdout.readline().strip()}"
    engine = resilience.PolicyEngine.from_text(
        "version: 1\nname: bench\nall: {timeout: 10s, attempt_timeout: 5s}\n"
    )
    figures = []
    try:
        for style, costs in (
            ("sync", sync_costs(address, engine)),
            ("asyncio", aio_costs(address, engine)),
        ):
            ratio = costs["resilience"] / costs["no-op interceptor"]
            text = (
                f"bare {costs['bare']:.0f} us; no-op adds "
                f"{costs['no-op interceptor']:.1f} us, ours adds "
                f"{costs['resilience']:.1f} us; ratio {ratio:.2f} (at most 1.5)"
            )
            figures.append(f"{style}: {text}")
    finally:
        server.kill()
        server.wait()
        engine.close()
    return "\n".join(figures)


if __name__ == "__main__":
    print(report())
