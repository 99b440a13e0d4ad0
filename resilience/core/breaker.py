"""What every circuit breaker is asked, and what it answers. Safe to share.

Two kinds behind one interface: `classic` with its windows and states, and `adaptive`,
which admits a fraction. A permit carries the generation it was given in, so a late
result never moves a newer state.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

from .classify import Evidence
from .policy import BreakerPolicy
from .record import BreakerChanged


State = Literal[
    "closed",
    "limiting",
    "open",
    "recovering",
    "half-open",
    "ramp",
    "forced-open",
    "disabled",
    "shadow",
]
"""`limiting` and `recovering` are the adaptive kind's, `half-open` and `ramp` the
classic one's. The last three are set by hand: `disabled` lets all through and counts
nothing, `shadow` counts but never rejects."""


class Permit(NamedTuple):
    """Leave to send one attempt. Give it back exactly once, through `done`."""

    generation: int
    probe: int
    """Number of the probe; 0: not a probe."""


class Refusal(NamedTuple):
    """No leave to send."""

    state: State
    retry_at: float | None
    """When asking again makes sense, monotonic; None: not before somebody acts."""
    message: str


class Caller(Protocol):
    """Who asks for leave."""

    @property
    def level(self) -> float:
        """Its place among others, from 0.0 (shed first) to below 1.0; it stays."""
        ...

    @property
    def is_marked(self) -> bool:
        """Does it belong to a probe of a layer above, and may be this breaker's?"""
        ...


class Breaker(Protocol):
    """One scope's breaker. Safe to share between threads."""

    policy: BreakerPolicy
    scope: str
    state: State
    changes: list[BreakerChanged]
    """Changes not yet collected by `drain`."""

    def renew(self) -> None:
        """Make locks and leases new, after a fork."""
        ...

    def admit(
        self,
        now: float,
        rng: Callable[[], float],
        deadline: float | None = None,
        *,
        caller: Caller | None = None,
        repeat: bool = False,
    ) -> Permit | Refusal:
        """Ask for leave to send one attempt.

        Args:
            now: monotonic seconds.
            rng: uniform numbers on [0, 1).
            deadline: the call's; a probe's lease never outlives it.
            caller: whose level of criticality decides; None: drawn here.
            repeat: another attempt of a call that was counted before.
        """
        ...

    @property
    def allows_retries(self) -> bool:
        """Whether retries and hedges may add load now."""
        ...

    def will_refuse(self, moment: float) -> bool:
        """Is it sure by now to refuse at *moment*, if nobody acts by hand?"""
        ...

    def succeeded(
        self,
        permit: Permit,
        elapsed_s: float,
        now: float,
        rng: Callable[[], float],
    ) -> bool:
        """Count a plain success of a closed breaker: `done` for most healthy calls.

        False: nothing was counted, `done` has to.
        """
        ...

    def done(
        self,
        permit: Permit,
        evidence: Evidence,
        elapsed_s: float,
        now: float,
        rng: Callable[[], float],
        *,
        hint_s: float | None = None,
        long: bool = False,
    ) -> None:
        """Give a permit back with what the attempt showed.

        Args:
            permit: what `admit` gave; a second return of a probe counts as late.
            evidence: see `classify.evidence`; neutral ones leave no sample.
            elapsed_s: seconds from start to end.
            now: monotonic seconds.
            rng: uniform numbers on [0, 1).
            hint_s: a wait the server asked for.
            long: the request asked to last: never slow.
        """
        ...

    def move(self, state: State, now: float, until: float | None = None) -> None:
        """Put the breaker into *state* by hand."""
        ...

    def drain(self) -> tuple[BreakerChanged, ...]:
        """Collect the changes since the last time; each is given out once."""
        ...

    def snapshot(self, now: float) -> dict[str, object]:
        """State and evidence as plain data for `engine.snapshot()`."""
        ...


class Counted(Protocol):
    """What breakers of every kind show."""

    scope: str
    state: State
    since: float
    """When it got into its state; 0: it never had another."""
    openings: int
    rejected: int
    own_faults: int


def shown(one: Counted, now: float, *, kind: str, **more: object) -> dict[str, object]:
    """*one* as plain data, with what only its *kind* has."""
    return {
        "scope": one.scope,
        "kind": kind,
        "state": one.state,
        "since_s": round(max(0.0, now - one.since), 3) if one.since else None,
        "openings": one.openings,
        "rejected": one.rejected,
        "own_faults": one.own_faults,
        **more,
    }
