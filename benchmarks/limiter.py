"""What does a limit of concurrency add, and what does it cost?

Three answers. In the simulator (the real engine, ten processes that make 80 calls a
second each): brownouts S3 and S4 under the classic and the adaptive breaker, with no
limiter, by loss, and by latency. On a real grpcio server in another process that takes
five calls at once (`maximum_concurrent_rpcs`) from twenty callers that never rest: how
many of their calls it refuses, once they have gone on for a second. And the price of a
healthy call in the core: at most 1 us more, and nothing where it is off.
"""

import subprocess
import sys
import threading
import time
from typing import Any

import grpc

import resilience.grpc
from benchmarks.core_cost import FACTS, TARGET, succeed
from benchmarks.measure import compare, table
from resilience import PolicyEngine
from resilience.drivers import threads
from resilience.lab import simulate


BREAKERS = ("classic", "adaptive")
LIMITERS = ("off", "loss", "latency")
SCENARIOS = ("S3", "S4")
PROCESSES = 10
SEEDS = (1, 2)
SETTLES_S, SECONDS = 1.0, 4.0
TAKES, CALLERS = 5, 20
SERVER = f"""
import sys, threading, grpc
from concurrent import futures
server = grpc.server(
    futures.ThreadPoolExecutor({2 * TAKES}), maximum_concurrent_rpcs={TAKES}
)
def work(request, context):
    threading.Event().wait(0.02)
    return request
handler = grpc.unary_unary_rpc_method_handler(work)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("bench.Any", {{"Get": handler}}),)
)
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""


def _limiter(kind: str, **more: Any) -> Any:
    return "off" if kind == "off" else {"kind": kind, **more}


# -- simulated ----------------------------------------------------------------------


def simulated() -> str:
    """Goodput, criticals' goodput, amplification and recovery, by policy."""
    lines = [f"{'':18}{'goodput':>9}{'critical':>9}{'amplif.':>9}{'recovery':>10}"]
    for name in SCENARIOS:
        scenario = simulate.scenario(name)
        for breaker in BREAKERS:
            for kind in LIMITERS:
                found = _run(scenario, breaker, kind)
                lines.append(f"{name} {breaker:9}{kind:8}{found}")
    return "\n".join(lines)


def _run(scenario: simulate.Scenario, breaker: str, kind: str) -> str:
    limiter = "off" if kind == "off" else f"{{kind: {kind}}}"
    policy = f"version: 1\nall: {{breaker: {{kind: {breaker}}}, limiter: {limiter}}}\n"
    runs = [
        simulate.run(scenario, policy, topology=(1, PROCESSES), seed=seed)
        for seed in SEEDS
    ]

    def mean(figure: str) -> float:
        return sum(run.metrics[figure] or 0.0 for run in runs) / len(runs)

    recovery = max(_or_never(run.metrics["recovery_s"]) for run in runs)
    return (
        f"{mean('goodput_fault'):9.4f}{mean('critical_goodput_fault'):9.4f}"
        f"{mean('amplification'):9.3f}{recovery:9.1f}s"
    )


def _or_never(recovery_s: float | None) -> float:
    return float("inf") if recovery_s is None else recovery_s


# -- on a real server ---------------------------------------------------------------


def _traffic(address: str, kind: str) -> tuple[int, int, int]:
    """Answers, refusals by the server, refusals by us; a second, once settled."""
    counts, lock = [0, 0, 0], threading.Lock()
    limiter = _limiter(kind, max_wait="1s")
    policy = {"retry": "off", "breaker": "off", "limiter": limiter}
    with (
        PolicyEngine.from_dict({"version": 1, "all": policy}, sinks=[]) as engine,
        grpc.insecure_channel(address) as bare,
    ):
        grpc.channel_ready_future(bare).result(timeout=10)
        channel = resilience.grpc.intercept_channel(bare, engine, target="any")
        get = channel.unary_unary("/bench.Any/Get")
        began = time.monotonic()

        def work() -> None:
            while (moment := time.monotonic()) < began + SECONDS:
                place = 0
                try:
                    get(b"x", timeout=5)
                except grpc.RpcError as error:
                    place = 2 if hasattr(error, "retry_after_s") else 1
                with lock:
                    counts[place] += moment > began + SETTLES_S

        callers = [threading.Thread(target=work) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    lasted = SECONDS - SETTLES_S
    answered, refused, ours = (round(count / lasted) for count in counts)
    return answered, refused, ours


def real() -> str:
    """Calls a second against the server, by policy."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = f"127.0.0.1:{int(process.stdout.readline())}"
        lines = [
            f"{'limiter':10}{'answered':>10}{'refused':>10}{'by us':>10}  a second"
        ]
        for kind in LIMITERS:
            answered, refused, ours = _traffic(address, kind)
            lines.append(f"{kind:10}{answered:10}{refused:10}{ours:10}")
        return "\n".join(lines)
    finally:
        process.kill()
        process.communicate()


# -- the price ----------------------------------------------------------------------


def price() -> str:
    """A healthy call through the core, by policy."""
    candidates = {}
    for kind in LIMITERS:
        engine = PolicyEngine.from_dict(
            {"version": 1, "edition": "2026.11", "all": {"limiter": _limiter(kind)}}
        )
        binding = engine.bind(TARGET)
        candidates[f"limiter {kind}"] = lambda engine=engine, binding=binding: (
            threads.run(engine.new_call(binding, FACTS), succeed, engine)
        )
    return table("healthy call", compare(candidates), "limiter off")


def report() -> str:
    """All three as text."""
    return f"{simulated()}\n\n{real()}\n\n{price()}"


if __name__ == "__main__":
    print(report())
