"""The real server of `agreement.py`: workers that sleep, in front of one queue.

    python agreement_server.py PORT

It reads one line of JSON, its orders, and a second one: the monotonic moment at which
the run began. What is drawn (service times, errors) comes from the generator that the
simulated server draws from. Work goes on when the client has given up, as there.
"""

import asyncio
import json
import math
import sys
import time
from collections import deque

import grpc
import grpc.aio

from resilience.lab.simulate.world import seeded


OVERLOADED = "Concurrent RPC limit exceeded"
"""What a grpcio server says that has as many calls as it takes."""
BROKEN = "Stream removed"
"""What a client says of an answer that broke off."""


class Workers:
    """So many at once, the others in turn."""

    def __init__(self, orders: dict) -> None:
        self.full = self.workers = orders["workers"]
        self.bound = math.inf if orders["queue"] is None else orders["queue"]
        self.mean_s = orders["mean_s"]
        self.error_ratio = 0.0
        self.draw = seeded(orders["seed"], "service-0-0").random
        self.busy = 0
        self.queue: deque[asyncio.Future] = deque()

    async def work(self) -> str:
        """Wait for a worker and be served."""
        if self.busy >= self.workers:
            if len(self.queue) >= self.bound:
                return "overloaded"
            turn = asyncio.get_running_loop().create_future()
            self.queue.append(turn)
            await turn
        else:
            self.busy += 1
        await asyncio.sleep(-math.log(1.0 - self.draw()) * self.mean_s)
        self.busy -= 1
        self.serve()
        if self.error_ratio and self.draw() < self.error_ratio:
            return "error"
        return "ok"

    def serve(self) -> None:
        """Let those begin for whom there is a worker."""
        while self.queue and self.busy < self.workers:
            self.busy += 1
            self.queue.popleft().set_result(None)

    def limit(self, factor: float) -> None:
        """Leave this share of the workers."""
        self.workers = round(self.full * factor)
        self.serve()


async def arrange(workers: Workers, faults: list[dict], began: float) -> None:
    """Have the faults happen that are not the server's end."""
    moments = []
    for fault in faults:
        ends = fault["at"] + (fault["lasts"] or math.inf)
        if fault["kind"] == "capacity":
            moments.append((fault["at"], workers.limit, fault["factor"]))
            moments.append((ends, workers.limit, 1.0))
        elif fault["kind"] == "errors":
            workers.error_ratio = fault["ratio"]
    for at, act, value in sorted(moments, key=lambda moment: moment[0]):
        if at < math.inf:
            await asyncio.sleep(began + at - time.monotonic())
            act(value)


async def main(port: int) -> None:
    """Serve until the input ends."""
    loop = asyncio.get_running_loop()
    orders = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    workers = Workers(orders)

    async def get(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        if request == b"hello":
            return b"hello"
        # A task of its own: it is done to the end whatever the client does.
        said = await asyncio.shield(asyncio.ensure_future(workers.work()))
        if said == "overloaded":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, OVERLOADED)
        if said == "error":
            await context.abort(grpc.StatusCode.UNAVAILABLE, BROKEN)
        return b"ok"

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handler = grpc.unary_unary_rpc_method_handler(get)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("simulated.Server", {"Get": handler}),)
    )
    print(server.add_insecure_port(f"127.0.0.1:{port}"), flush=True)
    await server.start()
    began = float(await loop.run_in_executor(None, sys.stdin.readline))
    happening = asyncio.ensure_future(arrange(workers, orders["faults"], began))
    await loop.run_in_executor(None, sys.stdin.read)
    happening.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
