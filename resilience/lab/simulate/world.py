"""One run: servers, clients, arrivals and faults on one timeline.

Everything random comes from generators seeded by the run's seed and a name, so the same
seed offers the same calls to every policy, and a run repeats to the byte.
"""

import hashlib
import math
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from resilience.core.target import Target
from resilience.lab.method import parse_method
from resilience.policy import PolicyTable
from resilience.policy.channel import ChannelPolicy

from .channel import Channel
from .clients import Client, Ends, Layer, Upstream, deliver
from .ejection import Ejection
from .faults import arrange
from .hosts import Host, tick_of
from .metrics import recorder_of
from .model import Scenario, Topology
from .ours import OurClient
from .reconnecting import Reconnect
from .recording import PER_SECOND, Recorder
from .replicas import Replicas
from .rivals import RIVALS
from .servers import Server
from .timeline import Moment, Timeline
from .writes import Jobs, Writer


Watch = Callable[[list[Any], float], float]
"""Takes the engines (or rivals) of the first layer and the moment; its answer is kept
for each tenth of a second."""


def seeded(seed: int, name: str) -> random.Random:
    """A generator of its own for *name*."""
    digest = hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


class World:
    """One run, built and not yet run."""

    def __init__(
        self,
        scenario: Scenario,
        policy: PolicyTable | str,
        topology: Topology,
        seed: int,
        *,
        watch: Watch | None = None,
    ) -> None:
        self.scenario = scenario
        self.timeline = Timeline()
        self.until = scenario.duration + scenario.calls.deadline
        self.recorder = recorder_of(scenario)
        self._policy = policy
        self._targets: list[Target] = []
        self._channel: ChannelPolicy | None = None
        """How gRPC channels of ours connect."""
        if not isinstance(policy, str):
            self._targets = targets_of(scenario, policy)
            self._channel = channel_of(policy, self._targets[0])
        self._topology = topology
        self._seed = seed
        self._watch = watch
        self.shards = [self._replicas(n) for n in range(scenario.server.shards)]
        ends = Ends(self.recorder, self.timeline, scenario.server.round_trip)
        self._below: Upstream = self.shards[0][0]
        clients: list[Client] = []
        for layer in range(scenario.layers, 0, -1):
            clients = self._clients(layer, ends, clients)
        self.clients = clients
        self.jobs: Jobs | None = None
        """Where calls come from, if they are writes."""
        if scenario.writes is not None:
            rng = seeded(seed, "jobs").random
            rest = (self.recorder, self.timeline, clients, rng)
            self.jobs = Jobs(scenario.writes, *rest)
        arrange(scenario, self.timeline, self.shards)

    def _replicas(self, shard: int) -> list[Server]:
        model = self.scenario.server
        return [
            Server(
                model,
                self.timeline,
                self.recorder,
                seeded(self._seed, f"service-{shard}-{number}").random,
                deliver,
            )
            for number in range(model.replicas)
        ]

    def _clients(self, layer: int, ends: Ends, below: list[Client]) -> list[Client]:
        """The processes of one layer; *below* are those of the next, if any."""
        scenario, topology = self.scenario, self._topology
        shared: list[Upstream] | None = None
        if below:
            shared = [Layer(below, self._below)]
        elif scenario.server.replicas == 1:
            shared = [replicas[0] for replicas in self.shards]
        if scenario.writes is not None and shared is not None:
            lost = seeded(self._seed, "writes").random
            rest = (self.recorder, self.timeline, lost)
            shared = [Writer(scenario.writes, shared[0], *rest)]
        if shared is not None:
            self._below = shared[0]
        table = None if isinstance(self._policy, str) else self._policy
        found: list[Client] = []
        for host in range(topology.hosts):
            machine: Host | None = None
            if table is not None and table.state == "host":
                tick_s = tick_of(table, self._targets[0])
                machine = Host(scenario.state_lag, tick_s, self.timeline.seconds)
            for process in range(topology.processes):
                rng = seeded(self._seed, f"client-{layer}-{host}-{process}")
                upstreams = shared or [
                    self._balanced(servers, rng.random) for servers in self.shards
                ]
                made = partial(self._client, table, upstreams, rng, machine)
                if scenario.kind != "reconnect":
                    found.append(made(ends))
                    continue
                pause = (scenario.again_after, rng.random)
                again = Reconnect(self.recorder, self.timeline, *pause)
                again.client = made(again)
                found.append(again.client)
        return found

    def _client(
        self,
        table: PolicyTable | None,
        upstreams: list[Upstream],
        rng: random.Random,
        machine: Host | None,
        ends: Ends,
    ) -> Client:
        """One process: a rival, an engine of ours, or a channel that reconnects."""
        scenario, timeline, targets = self.scenario, self.timeline, self._targets
        rest = (upstreams, scenario.calls, ends, timeline)
        if table is None:
            return RIVALS[str(self._policy)](*rest, rng.random)
        channel = self._channel
        if scenario.kind == "reconnect" and channel is not None:
            return Channel(channel, upstreams[0], ends, timeline, rng)
        rows = None if machine is None else machine.process()
        seed = rng.getrandbits(32)
        return OurClient(table, targets, *rest, seed=seed, rows=rows)

    def _balanced(self, servers: list[Server], rng: Callable[[], float]) -> Replicas:
        """One client's view of the replicas of a shard."""
        ejection: Ejection | None = None
        if self._channel is not None and self._channel.outliers is not None:
            outliers = self._channel.outliers
            begins_s = -outliers.interval_s * rng()
            ejection = Ejection(outliers, len(servers), begins_s)
        return Replicas(servers, self.scenario.server.balance, rng, ejection)

    def run(self) -> Recorder:
        """Run to the scenario's end; what was counted."""
        scenario, timeline = self.scenario, self.timeline
        if scenario.kind == "reconnect":
            timeline.do_at(0.0, self._all_at_once)
        else:
            Arrivals(self, seeded(self._seed, "arrivals")).start()
        timeline.do_at(1 / PER_SECOND, partial(self._sample, 1))
        timeline.run(until=self.until)
        return self.recorder

    def _all_at_once(self) -> None:
        now = self.timeline.seconds()
        for client in self.clients:
            self.recorder.offered[0] += 1
            client.call(0, now, critical=True, above=None)

    def _sample(self, index: int) -> None:
        recorder = self.recorder
        recorder.queued[index - 1] = sum(
            len(server.queue) for replicas in self.shards for server in replicas
        )
        if self._watch is not None:
            inner = [getattr(client, "engine", client) for client in self.clients]
            recorder.watched.append(self._watch(inner, self.timeline.seconds()))
        if index < recorder.tenths:
            when = (index + 1) / PER_SECOND
            self.timeline.do_at(when, partial(self._sample, index + 1))


class Arrivals(Moment):
    """Calls that arrive at random, one after the other: a Poisson process."""

    __slots__ = ("_again", "_clients", "_draw", "_load", "_world")

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._draw = rng.random
        self._clients = world.clients
        self._load = world.scenario.load
        self._again = (self._arrive(),)

    def start(self) -> None:
        """Have the first one arrive."""
        first = -math.log(1.0 - self._draw()) / self._load
        self._world.timeline.at(first, self, self._again)

    def _arrive(self) -> Callable[[Moment], None]:
        world, draw, log = self._world, self._draw, math.log
        timeline, recorder = world.timeline, world.recorder
        clients, count = self._clients, len(self._clients)
        offered, critical_offered = recorder.offered, recorder.critical_offered
        share, load = world.scenario.calls.critical, self._load
        shards = world.scenario.server.shards
        jobs = world.jobs
        seconds, at, until = timeline.seconds, timeline.at, world.scenario.duration

        def arrive(moment: Moment) -> None:
            now = seconds()
            if now >= until:
                return
            at(now - log(1.0 - draw()) / load, moment, self._again)
            index = int(now * PER_SECOND)
            offered[index] += 1
            critical = draw() < share
            if critical:
                critical_offered[index] += 1
            if jobs is not None:
                jobs.offer(now, critical=critical)
                return
            client = clients[int(draw() * count)]
            shard = int(draw() * shards) if shards > 1 else 0
            client.call(shard, now, critical=critical, above=None)

        return arrive


def channel_of(table: PolicyTable, target: Target) -> ChannelPolicy | None:
    """How channels to *target* connect; None: it is not gRPC."""
    return table.channel_for(target.name) if target.protocol == "grpc" else None


def targets_of(scenario: Scenario, table: PolicyTable) -> list[Target]:
    """What a policy knows each shard as.

    Raises:
        ValueError: the scenario's `calls.method` is no method.
    """
    found = parse_method(scenario.calls.method, table, target="simulated")
    count = scenario.server.shards
    return [
        Target(
            protocol=found.protocol,
            name=found.name if count == 1 else f"{found.name}-{shard}",
            service=found.service,
            method=found.method,
        )
        for shard in range(count)
    ]
