"""Eight processes of one host, the backends they call, and relays to break.

All of it is real: processes, sockets, the host's file. Who uses it closes it.
"""

import contextlib
import json
import os
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from examples.servers.ports import HOST, free_port
from resilience.lab.simulate import read, run


ROOT = Path(__file__).resolve().parents[2]
EIGHT = 8
LONGEST_S = 20.0
"""Nothing that is waited for takes longer."""
SERVER = """
import sys, grpc
from concurrent import futures
server = grpc.server(futures.ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
handler = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
server.add_generic_rpc_handlers(
    (grpc.method_handlers_generic_handler("shop.Cart", {"GetCart": handler}),)
)
print(server.add_insecure_port("127.0.0.1:" + sys.argv[1]), flush=True)
server.start()
sys.stdin.read()
"""
POLICY = """
version: 1
name: eight
state: host
grpc:
  all:
    timeout: 2s
    attempt_timeout: 1s
    idempotency: safe
    retry: off
    breaker: {kind: adaptive, scope: [target]}
"""


AS_SIMULATED = """
version: 1
name: eight
load: {load}
duration: {duration}s
topologies: [{{hosts: 1, processes: 1}}]
calls: {{method: shop.Cart/GetCart, deadline: 2s}}
server: {{workers: 8, service: {{mean: 1ms}}}}
faults: [{{kind: refuse, at: {at}s, lasts: {seconds}s}}]
"""


def wanted(rate: float, seconds: float) -> float:
    """Attempts over calls that one process of that rate makes, by the simulator."""
    text = AS_SIMULATED.format(
        load=round(rate), at=4, seconds=seconds, duration=5 + seconds
    )
    scenario = read("eight.yaml", text)
    runs = [run(scenario, POLICY, seed=seed).metrics for seed in range(1, 6)]
    return statistics.mean(found["amplification"] or 0.0 for found in runs)


class Backend:
    """A grpcio server in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        """Listen."""
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == f"{self.port}\n"

    def kill(self) -> None:
        """End it as a crash would; its port refuses from now on."""
        self.process.kill()
        self.process.communicate()


class Relay:
    """A network of one process's own: it passes, or it does not."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listening = socket.create_server((HOST, free_port()))
        self.port = self._listening.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._passes = threading.Event()
        self._passes.set()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection((HOST, self._to))
            self._sockets += [near, far]
            for one, other in ((near, far), (far, near)):
                thread = threading.Thread(target=self._pass_on, args=(one, other))
                thread.start()
                self._threads.append(thread)

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        while True:
            try:
                data = one.recv(65536)
                self._passes.wait()
                if not data:
                    break
                other.sendall(data)
            except OSError:
                break
        # `close` would leave whoever waits in its recv() there for good.
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def mute(self) -> None:
        """Nothing passes; connections stay."""
        self._passes.clear()

    def refuse(self) -> None:
        """Connections are gone, and further ones refused."""
        self._passes.set()
        # A thread that waits in accept() keeps the socket open without this.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        """End it; harmless after `refuse`."""
        if self._listening.fileno() >= 0:
            self.refuse()
        for thread in self._threads:
            thread.join()


class Started:
    """A worker process, and what it tells."""

    def __init__(self, number: int, site: "Eight") -> None:
        self.number = number
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("host_worker.py"), site.policy],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "RESILIENCE_STATE_DIR": str(site.folder),
            },
        )
        self._heard = site.heard
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._heard.put((self.number, json.loads(line)))

    def order(self, **order: object) -> None:
        """Give it an order."""
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()


class Eight:
    """Eight workers that share one host's state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "policy.yaml"
        path.write_text(POLICY)
        self.policy = str(path)
        self.heard: queue.Queue[tuple[int, dict]] = queue.Queue()
        self.workers = [Started(number, self) for number in range(EIGHT)]
        self._closing: list[Callable[[], object]] = []
        self._backends = 0

    def __enter__(self) -> Self:
        ready: set[int] = set()
        for number, said in self.telling():
            if said["what"] == "ready":
                ready.add(number)
            if len(ready) == EIGHT:
                return self
        raise AssertionError

    def __exit__(self, *_: object) -> None:
        for each in self.workers:
            each.end()
        for close in self._closing:
            close()

    def telling(self, seconds: float = LONGEST_S) -> Iterator[tuple[int, dict]]:
        """What the workers tell, until nothing comes for *seconds*."""
        while True:
            yield self.heard.get(timeout=seconds)

    def backend(self) -> tuple[str, Backend]:
        """A further backend and its name."""
        self._backends += 1
        made = Backend()
        self._closing.append(made.kill)
        return f"backend-{self._backends}", made

    def relay(self, port: int) -> Relay:
        """A network to *port*, for one process."""
        made = Relay(port)
        self._closing.insert(0, made.close)
        return made

    def use(self, name: str, ports: list[int], every_s: list[float]) -> None:
        """Have all call a backend, and wait until they do and know of each other."""
        for each, port, pace in zip(self.workers, ports, every_s, strict=True):
            each.order(use=name, port=port, every_s=pace)
        calling: set[int] = set()
        alive: dict[int, int] = getattr(self, "_alive", {})
        self._alive = alive
        for number, said in self.telling():
            if said["what"] == "calls" and said["backend"] == name:
                calling.add(number)
            if said["what"] == "alive":
                alive[number] = said["processes"]
            if len(calling) == EIGHT and [*alive.values()] == [EIGHT] * EIGHT:
                return

    def counted(self) -> list[dict]:
        """What the breakers of all workers have counted."""
        for each in self.workers:
            each.order(count=True)
        found: dict[int, dict] = {}
        for number, said in self.telling():
            if said["what"] == "counted":
                found[number] = said
            if len(found) == EIGHT:
                return [*found.values()]
        raise AssertionError

    def time_to_know(self) -> float:
        """Kill a backend that all call; how long until all limit it.

        Each calls it 40 times a second. Counted from the second process's first bad
        result.
        """
        name, backend = self.backend()
        self.use(name, [backend.port] * EIGHT, [0.025] * EIGHT)
        self.who_limits(1.5)  # who is new judges nothing for an attempt timeout
        backend.kill()
        bad: dict[int, float] = {}
        known: dict[int, float] = {}
        for number, said in self.telling():
            if said["what"] == "bad" and said["backend"] == name:
                bad[number] = said["at"]
            if said["what"] == "state" and said["scope"] == f"grpc:target={name}":
                known.setdefault(number, said["at"])
            if len(known) == EIGHT:
                return max(known.values()) - sorted(bad.values())[1]
        raise AssertionError

    def outage(self, pace_s: float, seconds: float) -> tuple[float, float]:
        """Kill a backend that all call at *pace_s*.

        Returns:
            Attempts over calls in the *seconds* after it, and the host's calls/s.
        """
        name, backend = self.backend()
        self.use(name, [backend.port] * EIGHT, [pace_s] * EIGHT)
        self.who_limits(2.0)  # how many calls are usual has to be known
        before = self.counted()
        backend.kill()
        self.who_limits(seconds)
        after = self.counted()
        took = after[-1]["at"] - before[-1]["at"]
        sent, calls = (
            sum(one[key] for one in after) - sum(one[key] for one in before)
            for key in ("sent", "calls")
        )
        return sent / calls, calls / took

    def who_limits(self, seconds: float) -> dict[int, list[str]]:
        """The workers whose breakers change within *seconds*, and to what."""
        changed: dict[int, list[str]] = {}
        until = time.monotonic() + seconds
        for number, said in self.telling():
            if said["what"] == "state":
                changed.setdefault(number, []).append(said["state"])
            if said["at"] > until:
                return changed
        raise AssertionError
