"""The model of a scenario file: what may be written, where, and what it means.

Built like the policy's model: strict, closed, every time with a unit. Values that are
not written are those that the published comparisons have in common.
"""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from resilience.policy.durations import DurationError, parse
from resilience.policy.mechanisms import Part
from resilience.policy.scalars import (
    Count,
    Length,
    Ratio,
    RatioAbove0,
    Version,
    is_off,
    refuse,
)


def _moment(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"0+(\.0+)?[a-z]*", value.strip()):
        return 0.0
    try:
        return parse(value)
    except DurationError as error:
        refuse(error.code, error.message, error.hint)


def _bound(value: object) -> int | None:
    if is_off(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        refuse("not-a-count", "a whole number of calls, or `off` for no bound")
    return value


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse("not-a-number", "a number above 0 goes here")
    if not 0 < value <= 1_000_000:
        refuse("out-of-range", "a number above 0, at most 1,000,000, goes here")
    return float(value)


Moment: TypeAlias = Annotated[
    float, PlainValidator(_moment), WithJsonSchema({"type": "string"})
]
"""A length that may be 0: `0s`."""
Bound: TypeAlias = Annotated[
    int | None, PlainValidator(_bound), WithJsonSchema({"type": ["integer", "string"]})
]
Positive: TypeAlias = Annotated[
    float, PlainValidator(_positive), WithJsonSchema({"type": "number"})
]


class Calls(Part):
    """The calls that clients make."""

    method: str = "app:simulated/call"
    """What a policy knows them as: `shop.Cart/GetCart`, `s3.GetObject`, `app:a/b`."""
    attempt_timeout: Length = 1.0
    """One attempt, where the policy says nothing."""
    deadline: Length = 4.0
    """A whole call, where the policy says nothing."""
    critical: Ratio = 0.4
    """Share of calls that are `critical`; the others are `sheddable`."""
    idempotency: Literal["safe", "keyed", "accept_duplicates", "none"] = "safe"
    """What the protocol declares."""


class Service(Part):
    """How long one request occupies a worker."""

    kind: Literal["exponential", "lognormal", "constant"] = "exponential"
    """The distribution."""
    mean: Length = 0.02
    """Its mean."""
    deviation: Length = 0.002
    """Its standard deviation; for `lognormal` only."""
    straggler_ratio: Ratio = 0.0
    """Share of requests that take `straggler_factor` times as long."""
    straggler_factor: Positive = 10.0
    """How much longer those take."""


class Server(Part):
    """One server, or one replica of it: workers in front of one queue."""

    workers: Count = 20
    """Requests served at once; capacity is workers / mean service time."""
    service: Service = Service()
    """How long each takes."""
    queue: Bound = None
    """Requests that may wait, first come first served; `off`: without bound."""
    reject_cost: Moment = 0.0
    """What refusing a request costs a worker, where the queue is full."""
    drops_expired: bool = False
    """Does a request whose client gave up leave the queue without being served?"""
    round_trip: Moment = 0.002
    """There and back on the network."""
    replicas: Count = 1
    """How many of these share the load."""
    balance: Literal["round_robin", "two_choices"] = "round_robin"
    """How a client picks a replica: in turn, or the one with fewer of its own
    requests under way out of two drawn."""
    shards: Count = 1
    """How many of these there are, each with its own part of the calls and a target of
    its own (`simulated-0`, ...)."""
    accepts: Positive | None = None
    """Connections accepted in a second; further ones are refused. Not written: all."""


class Fault(Part):
    """What goes wrong, when, for how long."""

    kind: Literal["refuse", "crash", "silent", "capacity", "errors", "slow"]
    """`refuse`: connections are refused. `crash`: what is under way breaks off, too.
    `silent`: no replies. `capacity`: only `factor` of the workers. `errors`: `ratio` of
    the answers are errors. `slow`: service takes `factor` times as long."""
    at: Moment = 0.0
    """When it begins."""
    lasts: Length | None = None
    """How long; not written: to the end of the run."""
    factor: Positive = 1.0
    """Of `capacity` and `slow`."""
    ratio: Ratio = 0.0
    """Of `errors`."""
    cold_start: Length | None = None
    """Afterwards capacity grows from `cold_factor` to 1 in this time."""
    cold_factor: Ratio = 0.2
    """Share of capacity that a cold start begins with."""
    shards: list[int] | None = None
    """Numbers, from 0, of the shards it hits; not written: all."""
    replicas: list[int] | None = None
    """Numbers, from 0, of the replicas it hits; not written: all."""


class Topology(Part):
    """Who makes the calls."""

    hosts: Count = 10
    """Machines."""
    processes: Count = 100
    """Processes on each, with an engine each."""

    @property
    def name(self) -> str:
        """As people write it: hosts x processes."""
        return f"{self.hosts}x{self.processes}"


class Writes(Part):
    """Calls are writes, each of them a job that is delivered to a worker."""

    lost: Ratio = 0.0
    """Share of requests that never arrive."""
    unanswered: Ratio = 0.0
    """Share of requests whose reply is lost, after the commit."""
    late: Ratio = 0.0
    """Share of requests that nobody answers and that commit all the same, later."""
    late_by: Length = 1.5
    """How much later."""
    killed: Ratio = 0.0
    """Share of deliveries whose worker may be killed in the middle."""
    killed_within: Length = 0.1
    """The kill comes somewhere in this time; workers that are done by then live."""
    delivered_again: Length = 1.0
    """After this the job of a killed worker is delivered to another one."""
    honours_keys: bool = True
    """Does the server commit each key once? Ours sends the job's where the calls are
    `keyed`."""


class SafeLoad(Part):
    """A search: the highest load from which the fault heals in time."""

    loads: list[RatioAbove0] = Field(min_length=1, max_length=100)
    """Loads to try, as shares of capacity, ascending."""
    heals_within: Length = 10.0
    """Recovery at most this long after the fault's end counts as healed."""


class Scenario(Part):
    """A scenario of `resilience simulate`."""

    version: Version = Field(default=...)
    """Version of this format: 1."""
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,63}$")]
    """Short name; the built-in ones are called by it."""
    title: str = ""
    """One line for people."""
    kind: Literal["calls", "reconnect"] = "calls"
    """`calls`: arrivals at random, `load` a second. `reconnect`: every process makes
    one call at the start, and another one after each that fails."""
    again_after: Length = 1.0
    """Of `reconnect`: the pause before that other call, half to one and a half times
    this."""
    load: Positive = 800.0
    """Calls offered in a second by all clients together."""
    duration: Length = 90.0
    """Virtual time of a run."""
    warm_up: Moment = 0.0
    """Left out of the figures where no fault has an end."""
    topologies: list[Topology] = Field(
        default_factory=lambda: [Topology()], min_length=1, max_length=20
    )
    """Each is a run of its own."""
    state_lag: Length = 0.1
    """After this, processes of a host see what one of them has learnt."""
    calls: Calls = Calls()
    """The calls."""
    layers: Count = 1
    """Services in a chain, each a client of the next; only the last does work."""
    server: Server = Server()
    """The last service."""
    writes: Writes | None = None
    """Count what is committed twice; needs one layer and one shard."""
    faults: list[Fault] = Field(default_factory=list)
    """What goes wrong."""
    safe_load: SafeLoad | None = None
    """Repeat the runs over loads and find the highest that is safe."""
    policy: dict[str, Any] = Field(default_factory=dict)
    """Overlay of a policy file: what this scenario itself asks of ours. The policy
    under test goes over it."""
    against: list[str] = Field(default_factory=list)
    """Policies to compare with where the command line names none."""
