"""The model of a drill file: what may be written, where, and what it means.

Built like the policy's model: strict, closed, every time with a unit. Each fault says
whom it hits, what share of their calls, from when and for how long: none of these has
a built-in value.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from resilience.policy.durations import DurationError, parse
from resilience.policy.mechanisms import Part
from resilience.policy.scalars import Count, Length, RatioAbove0, Version, refuse


MOST_PER_SECOND = 10_000


def _moment(value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"0+(\.0+)?[a-z]*", value.strip()):
        return 0.0
    try:
        return parse(value)
    except DurationError as error:
        refuse(error.code, error.message, error.hint)


def _rate(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        refuse("not-a-number", "calls in a second, a number above 0")
    if not 0 < value <= MOST_PER_SECOND:
        text = f"a number above 0, at most {MOST_PER_SECOND:,}, goes here"
        refuse("out-of-range", text)
    return float(value)


def _expiry(value: object) -> datetime:
    text = 'a moment with its zone goes here, such as "2026-11-30T18:00:00Z"'
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            refuse("not-a-moment", text)
    else:
        refuse("not-a-moment", text)
    if found.tzinfo is None:
        refuse("not-a-moment", text, "end it with `Z` for UTC")
    return found.astimezone(UTC)


def _function(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(
        r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value
    ):
        refuse("not-a-function", "a function is written `package.module:function`")
    return value


_TEXT = WithJsonSchema({"type": "string"})
Moment: TypeAlias = Annotated[float, PlainValidator(_moment), _TEXT]
"""A length that may be 0: `0s`."""
Rate: TypeAlias = Annotated[
    float, PlainValidator(_rate), WithJsonSchema({"type": "number"})
]
Expiry: TypeAlias = Annotated[datetime, PlainValidator(_expiry), _TEXT]
Function: TypeAlias = Annotated[str, PlainValidator(_function), _TEXT]
Kind: TypeAlias = Literal["status", "delay", "lost", "cut", "refuse"]
OF_KIND: dict[str, tuple[str, ...]] = {
    "status": ("code", "http_status", "message", "pushback", "where"),
    "delay": ("delay", "where"),
    "lost": ("answer",),
    "cut": ("messages", "bytes"),
    "refuse": (),
}
"""Which keys of a fault belong to which kind; the others belong to all."""


class Load(Part):
    """How `run` is called, however long the calls take."""

    rate: Rate = 20.0
    """Calls begun in a second, evenly."""
    most_at_once: Count = 64
    """Calls under way at once; a further one waits, and its wait counts as latency."""


class Fault(Part):
    """What goes wrong, with whose calls, how often, when and for how long."""

    kind: Kind
    """`status`: an error answer. `delay`: the call or its answer is late. `lost`: the
    server executes the call and its answer is lost. `cut`: the connection breaks
    midway. `refuse`: no connection."""
    ratio: RatioAbove0
    """Share of the attempts it hits, 0.0 to 1.0: `0.05` is five in a hundred."""
    lasts: Length
    """How long."""
    at: Moment = 0.0
    """When it begins, from the drill's start."""
    targets: list[str] = Field(default_factory=list)
    """Whom it hits: names given to `intercept_channel`, AWS services (`s3`)."""
    methods: list[str] = Field(default_factory=list)
    """Of those, which methods: `shop.Cart/AddItem`, `shop.Cart/*`, `s3.PutObject`,
    `s3.*`; not written: all."""
    where: Literal["before", "after"] = "before"
    """Of `status` and `delay`: before the server has the call, or after it executed."""
    delay: Length | None = None
    """Of `delay`: how late."""
    code: str = ""
    """Of `status`: a gRPC code (`UNAVAILABLE`) or an AWS error code (`SlowDown`)."""
    http_status: Annotated[int, Field(ge=300, le=599)] = 503
    """Of `status` on AWS: the HTTP status."""
    message: str = ""
    """Of `status`: its text; the drill's name is added to it."""
    pushback: Length | None = None
    """Of `status`: the wait that the answer asks for."""
    answer: Literal["reset", "silence"] = "reset"
    """Of `lost`: the connection is reset, or nothing comes until the attempt's own
    timeout (or the fault's end)."""
    messages: Count = 1
    """Of `cut` in a gRPC stream: messages that still arrive."""
    bytes: Count = 1
    """Of `cut` in a streamed AWS body: bytes that still arrive."""

    @property
    def ends(self) -> float:
        """When it is over, in seconds from the drill's start."""
        return self.at + self.lasts


class Drill(Part):
    """A drill: faults, the load under which they happen, and what is to hold."""

    version: Version = Field(default=...)
    """Version of this format: 1."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,63}$")]
    """Stands in every error that the drill makes, and in logs."""
    title: str = ""
    """One line for people."""
    seed: int = 1
    """Of the draws by which calls are hit."""
    duration: Length
    """The whole drill; what is before the first fault is the baseline, what is after
    the last one shows the recovery."""
    warm_up: Moment = 0.0
    """Left out of all figures, at the drill's start: what is slow once only."""
    expires: Expiry | None = None
    """From this moment on nothing is injected, whoever is started with it."""
    run: Function | None = None
    """What makes the calls: a function, plain or async, called once for each."""
    command: list[str] = Field(default_factory=list)
    """What makes the calls: a program, in a process of its own."""
    setup: Function | None = None
    """Called before the drill begins: what starts and connects there takes none of its
    time. Of `run` only."""
    verify: Function | None = None
    """Called at the end; what it returns, a mapping of names and numbers, is added to
    the figures (duplicates counted where they happen)."""
    load: Load = Load()
    """How `run` is called."""
    deadline: Length | None = None
    """How long one call may take; longer ones are overruns. Not written: its own
    timeout or deadline, where it has one."""
    window: Length = 1.0
    """Recovery is told by windows of this length."""
    faults: list[Fault] = Field(min_length=1, max_length=100)
    """What goes wrong."""
    stop_when: list[str] = Field(default_factory=list)
    """The drill stops at once when one of these holds: `success < 0.5`. Judged over
    the newest window."""
    expect: list[str] = Field(default_factory=list)
    """What must hold at the end: `success >= 0.99`, `recovery <= 2s`."""

    @property
    def faults_begin(self) -> float:
        """When the first fault begins, in seconds from the drill's start."""
        return min(fault.at for fault in self.faults)

    @property
    def faults_end(self) -> float:
        """When the last fault is over."""
        return max(fault.ends for fault in self.faults)
