"""What surrounds a call: deadline, idempotency key, criticality, the call we serve.

Each is a context manager over a context variable: they nest, asyncio tasks and copied
contexts inherit them, plain threads do not (`resilience.propagate` carries them there).
Reading one costs a dictionary look-up.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Literal

from resilience.inbound import Inbound


Criticality = Literal["critical_plus", "critical", "sheddable_plus", "sheddable"]
CRITICALITIES: tuple[Criticality, ...] = (
    "critical_plus",
    "critical",
    "sheddable_plus",
    "sheddable",
)
LONGEST_S = 1e9
"""From here on a length means "no deadline": grpcio reports 9.2e18 for none, and
fails a call at once whose timeout overflows (grpc#26236)."""

monotonic: Callable[[], float] = time.monotonic
"""The clock of `deadline`; `resilience.testing` puts a virtual one here."""
deadline_at: ContextVar[float | None] = ContextVar("resilience_deadline", default=None)
"""The ambient deadline on `time.monotonic()`; read it with `ambient_deadline`."""
inbound: ContextVar[Inbound | None] = ContextVar("resilience_inbound", default=None)
"""The call that we serve, set by the server interceptors."""
ambient_key: ContextVar[str | None] = ContextVar("resilience_key", default=None)
ambient_criticality: ContextVar[Criticality | None] = ContextVar(
    "resilience_criticality", default=None
)


def ambient_deadline() -> float | None:
    """The moment by which calls must have ended, monotonic; None: there is none.

    What a handler left behind when it finished (a task, a thread) is bound no more by
    the deadline of a caller who has his answer.
    """
    moment = deadline_at.get()
    if moment is not None:
        served = inbound.get()
        if served is not None and served.has_ended and moment == served.deadline_at:
            return None
    return moment


def waiting_caller() -> Inbound | None:
    """The call that we serve, while its caller waits; None: he left, or nobody called.

    Ask before an outgoing call is begun, and have that call adopted afterwards: then
    one that he left in between is cancelled, and one begun later is let be.
    """
    served = inbound.get()
    return None if served is None or served.has_left else served


@contextmanager
def deadline(seconds: float) -> Generator[None]:
    """Give everything inside one budget of *seconds*; a nested one can only shorten.

    Args:
        seconds: length in seconds, at least 0; a billion or more means no deadline.

    Raises:
        ValueError: *seconds* is negative or not a number.
    """
    if not seconds >= 0:
        msg = f"a deadline needs seconds >= 0, got {seconds!r}"
        raise ValueError(msg)
    outer = ambient_deadline()
    moment = monotonic() + seconds if seconds < LONGEST_S else None
    if moment is None or (outer is not None and outer < moment):
        moment = outer
    token = deadline_at.set(moment)
    try:
        yield
    finally:
        deadline_at.reset(token)


@contextmanager
def idempotency_key(key: str) -> Generator[None]:
    """Use *key* for the `keyed` calls inside, the same over all their attempts.

    One key names one intent: use a new one for each write.

    Raises:
        ValueError: *key* is empty, longer than 255 characters, or not printable ASCII
            (it travels in headers).
    """
    if not key or len(key) > 255 or not (key.isascii() and key.isprintable()):
        msg = f"an idempotency key is 1-255 printable ASCII characters, got {key!r}"
        raise ValueError(msg)
    token = ambient_key.set(key)
    try:
        yield
    finally:
        ambient_key.reset(token)


@contextmanager
def criticality(level: Criticality) -> Generator[None]:
    """Mark the calls inside; the least critical are shed first.

    Raises:
        ValueError: *level* is none of the four words.
    """
    if level not in CRITICALITIES:
        msg = f"criticality is one of {', '.join(CRITICALITIES)}, got {level!r}"
        raise ValueError(msg)
    token = ambient_criticality.set(level)
    try:
        yield
    finally:
        ambient_criticality.reset(token)


@contextmanager
def serving(call: Inbound, criticality: Criticality | None = None) -> Generator[None]:
    """Let what is inside spend the budget of *call*, which we serve.

    Its deadline replaces the one around it: who serves is not who called.
    """
    tokens = adopt(call, criticality)
    try:
        yield
    finally:
        give_back(tokens)


Tokens = tuple[
    Token[Inbound | None], Token[float | None], Token[Criticality | None] | None
]


def adopt(call: Inbound, criticality: Criticality | None = None) -> Tokens:
    """Begin what `serving` does; for those who cannot use a `with` block."""
    marked = None if criticality is None else ambient_criticality.set(criticality)
    return inbound.set(call), deadline_at.set(call.deadline_at), marked


def give_back(tokens: Tokens) -> None:
    """End what `adopt` began, in the same context; in another one nothing changes."""
    served, moment, marked = tokens
    try:
        if marked is not None:
            ambient_criticality.reset(marked)
        deadline_at.reset(moment)
        inbound.reset(served)
    except ValueError:
        return  # a generator that was closed from elsewhere: its context is gone


@contextmanager
def detached() -> Generator[None]:
    """Work that must not end with the call that we serve (a background refresh, say).

    Inside there is no ambient deadline, nothing is cancelled when the caller leaves,
    and the attempts he made before do not count. Criticality and key stay.
    """
    served = inbound.set(None)
    moment = deadline_at.set(None)
    try:
        yield
    finally:
        deadline_at.reset(moment)
        inbound.reset(served)
