"""Does the simulator tell the truth? The same runs, simulated and with real processes.

    python agreement.py [--only outage] [--policies ours,grpc] [--seed 1] [--json FILE]

Two groups of four client processes (each group is a host, with a state of its own) call
a grpcio server in a process of its own, 160 times a second. Arrivals, criticality,
service times and errors are those that the simulator draws from the same seed. Attempts
over calls while the fault lasts must agree within 5 %, or .02 where that is below .4;
shares of good calls are shown beside them. The faults: the server is killed and its
port refuses, it loses half the capacity that it needs, and a twentieth of its answers
breaks off; `--only overload` takes four fifths of the capacity with no bound to the
queue, where ours moves with the speed of the machine itself. Real runs differ from each
other, the more the busier the machine is: what misses is run with the next seed,
too, and with one more, and then the means of all runs so far have to agree. Exit code 1
where they do not.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

from examples.servers.ports import free_port
from resilience.lab.simulate import Scenario, read, run
from resilience.lab.simulate.faults import span
from resilience.lab.simulate.reading import policy_texts
from resilience.lab.simulate.world import World, seeded


HERE = Path(__file__).resolve().parent
BASE = """
version: 1
name: {name}
load: 160
duration: {duration}
warm_up: 2s
topologies: [{{hosts: 2, processes: 4}}]
calls: {{method: simulated.Server/Get}}
server: {{workers: 10, service: {{mean: 50ms}}, queue: {queue}}}
faults: [{fault}]
"""
SCENARIOS = {
    "outage": ("26s", "off", "{kind: crash, at: 6s, lasts: 15s}"),
    "brownout": ("40s", "40", "{kind: capacity, at: 6s, lasts: 30s, factor: 0.4}"),
    "errors": ("30s", "off", "{kind: errors, ratio: 0.05}"),
    "overload": ("24s", "off", "{kind: capacity, at: 6s, lasts: 10s, factor: 0.2}"),
}
POLICIES = ("ours", "none", "naive", "grpc")
OURS = """
version: 1
name: agreement
state: host
all: {breaker: {kind: adaptive, scope: [target]}}
grpc: {all: {idempotency: safe}}
"""
WITHIN, BELOW, WITHIN_BELOW = 0.05, 0.4, 0.02
SEEDS = 3
STARTS_IN_S = 1.5
"""From the order to the run's first moment."""


class Found(NamedTuple):
    """What one run showed."""

    amplification: float
    """Attempts over calls while the fault lasted."""
    goodput: float
    """Share of the calls of that time that were answered well."""


class Noted:
    """Takes the place of a client: notes what arrives."""

    def __init__(self) -> None:
        self.arrivals: list[tuple[float, bool]] = []

    def call(self, shard: int, now: float, *, critical: bool, above: object) -> None:
        self.arrivals.append((now, critical))


def scenario_of(name: str) -> Scenario:
    """One of `SCENARIOS`, as the simulator has it."""
    duration, queue, fault = SCENARIOS[name]
    text = BASE.format(name=name, duration=duration, queue=queue, fault=fault)
    return read(f"{name}.yaml", text)


def simulated(scenario: Scenario, policy: str, seed: int) -> Found:
    """What the simulator says."""
    found = run(
        scenario, OURS, against=None if policy == "ours" else policy, seed=seed
    ).metrics
    return Found(found["amplification"] or 0.0, found["goodput_fault"] or 0.0)


def arrivals_of(scenario: Scenario, seed: int) -> list[list[tuple[float, bool]]]:
    """The calls that the simulator offers, by process."""
    world = World(scenario, "none", scenario.topologies[0], seed)
    noted = [Noted() for _ in world.clients]
    world.clients[:] = noted
    world.run()
    return [each.arrivals for each in noted]


# -- real processes ----------------------------------------------------------------


class Site:
    """One real run's processes; all end with it."""

    def __init__(
        self, scenario: Scenario, policy: str, seed: int, folder: Path
    ) -> None:
        self.scenario = scenario
        self.policy = policy
        self.seed = seed
        self.folder = folder
        self.port = free_port()
        self.started: list[subprocess.Popen] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.kill()
            process.communicate()

    def start(
        self, *words: object, stderr: object = None, **paths: str
    ) -> subprocess.Popen:
        """A process that takes its orders from a pipe."""
        process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), **paths},
        )
        self.started.append(process)
        return process

    def server(self) -> subprocess.Popen:
        """A server process; it listens once it has its orders."""
        return self.start(HERE / "agreement_server.py", self.port)

    def open(self, server: subprocess.Popen) -> None:
        """Have it listen."""
        model = self.scenario.server
        orders = {
            "workers": model.workers,
            "queue": model.queue,
            "mean_s": model.service.mean,
            "seed": self.seed,
            "faults": [fault.model_dump() for fault in self.scenario.faults],
        }
        order(server, json.dumps(orders))
        assert int(server.stdout.readline()) == self.port

    def clients(self) -> list[subprocess.Popen]:
        """All client processes, ready."""
        found = []
        topology, calls = self.scenario.topologies[0], self.scenario.calls
        arrivals = arrivals_of(self.scenario, self.seed)
        for number, mine in enumerate(arrivals):
            host, process = divmod(number, topology.processes)
            state = self.folder / f"host-{host}"
            state.mkdir(exist_ok=True)
            paths = {"RESILIENCE_STATE_DIR": str(state)}
            if self.policy == "grpc":
                paths |= {"GRPC_TRACE": "retry", "GRPC_VERBOSITY": "debug"}
            with (self.folder / f"trace-{number}").open("w") as trace:
                client = self.start(HERE / "agreement_client.py", stderr=trace, **paths)
            rng = seeded(self.seed, f"client-1-{host}-{process}")
            orders = {
                "policy": self.policy,
                "address": f"127.0.0.1:{self.port}",
                "files": self.files(),
                "seed": rng.getrandbits(32),
                "attempt_timeout_s": calls.attempt_timeout,
                "deadline_s": calls.deadline,
                "arrivals": mine,
            }
            order(client, json.dumps(orders))
            found.append(client)
        for client in found:
            assert client.stdout.readline() == "ready\n"
        return found

    def files(self) -> list[str]:
        """The policy as the simulator reads it, in files."""
        texts = policy_texts(self.scenario, [("ours", OURS)])
        paths = [self.folder / f"{n}.yaml" for n in range(len(texts))]
        for path, (_, text) in zip(paths, texts, strict=True):
            path.write_text(text)
        return [str(path) for path in paths]

    def run(self) -> Found:
        """Make the run."""
        server = self.server()
        self.open(server)
        clients = self.clients()
        began = time.monotonic() + STARTS_IN_S
        for process in (server, *clients):
            order(process, str(began))
        first, last = span(self.scenario)
        if self.scenario.faults[0].kind == "crash":
            successor = self.server()  # started by then, and not listening
            time.sleep(began + first - time.monotonic())
            server.send_signal(signal.SIGKILL)
            time.sleep(began + last - time.monotonic())
            self.open(successor)
            order(successor, str(began))
        told = [json.loads(client.stdout.readline()) for client in clients]
        attempts = [at for each in told for at in each["attempts"]]
        if self.policy == "grpc":
            attempts = self.traced(began)
        offered = [
            good for each in told for at, good, _ in each["calls"] if first <= at < last
        ]
        sent = sum(first <= at < last for at in attempts)
        return Found(sent / len(offered), sum(offered) / len(offered))

    def traced(self, began: float) -> list[float]:
        """When gRPC made its attempts, as its own trace says."""
        ahead = time.time() - time.monotonic()
        today = datetime.now().astimezone()
        found = []
        for path in self.folder.glob("trace-*"):
            for line in path.read_text().splitlines():
                match = _ATTEMPT.match(line)
                if match:
                    month, day, rest = match.groups()
                    moment = datetime.strptime(
                        f"{today.year}{month}{day} {rest}", "%Y%m%d %H:%M:%S.%f"
                    ).astimezone()
                    found.append(moment.timestamp() - ahead - began)
        return found


_ATTEMPT = re.compile(r"I(\d\d)(\d\d) (\S+) .* created attempt, lb_call=")


def order(process: subprocess.Popen, line: str) -> None:
    """Give *process* a line."""
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


# -- the comparison ----------------------------------------------------------------


def agrees(real: float, simulated_one: float) -> bool:
    """Is it near enough?"""
    if simulated_one < BELOW:
        return abs(real - simulated_one) <= WITHIN_BELOW
    return abs(real / simulated_one - 1) <= WITHIN


def compare(name: str, policy: str, seed: int) -> tuple[Found, Found]:
    """One run of each kind: the real one's figures, and the simulated one's."""
    scenario = scenario_of(name)
    expected = simulated(scenario, policy, seed)
    folder = Path(tempfile.mkdtemp(prefix="agreement-"))
    try:
        with Site(scenario, policy, seed, folder) as site:
            return site.run(), expected
    finally:
        shutil.rmtree(folder)


def mean(found: Sequence[Found]) -> Found:
    """Each figure's mean."""
    return Found(*(statistics.mean(each) for each in zip(*found, strict=True)))


HEAD = (
    f"{'':20}{'amplification':>28}{'goodput':>22}\n"
    f"{'':20}{'real':>10}{'simulated':>11}{'off':>7}{'real':>11}{'simulated':>11}"
)


def row(name: str, policy: str, real: Found, other: Found, runs: int) -> str:
    """A comparison for people."""
    off = real.amplification - other.amplification
    shown = f"{off:+.3f}"
    if other.amplification >= BELOW:
        shown = f"{off / other.amplification:+.1%}"
    agreed = agrees(real.amplification, other.amplification)
    return (
        f"{name:12}{policy:8}"
        f"{real.amplification:>10.3f}{other.amplification:>11.3f}{shown:>7}"
        f"{real.goodput:>11.3f}{other.goodput:>11.3f}"
        f"  {'agrees' if agreed else 'MISS'}"
        f"  ({runs} run{'s' * (runs > 1)}, load {os.getloadavg()[0]:.1f})"
    )


def main() -> int:
    """Parse, run, say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="outage,brownout,errors", help="by comma")
    parser.add_argument("--policies", default=",".join(POLICIES), help="by comma")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    said = parser.parse_args()
    print(HEAD, flush=True)
    rows, missed = [], 0
    for name in said.only.split(","):
        for policy in said.policies.split(","):
            pairs: list[tuple[Found, Found]] = []
            for seed in range(said.seed, said.seed + SEEDS):
                pairs.append(compare(name, policy, seed))
                real, expected = (mean(each) for each in zip(*pairs, strict=True))
                print(row(name, policy, real, expected, len(pairs)), flush=True)
                agreed = agrees(real.amplification, expected.amplification)
                if agreed:
                    break
            missed += not agreed
            rows.append(
                {
                    "scenario": name,
                    "policy": policy,
                    "real": real._asdict(),
                    "simulated": expected._asdict(),
                    "runs": len(pairs),
                    "agrees": agreed,
                }
            )
    if said.json:
        said.json.write_text(json.dumps(rows, indent=1))
    print(f"{len(rows)} comparisons, {missed} of them miss")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
