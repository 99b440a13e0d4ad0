"""What surrounds a call: deadline, idempotency key, criticality.

Each is a context manager over a context variable: they nest, asyncio tasks and copied
contexts inherit them, plain threads do not. Reading one costs a dictionary look-up.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal


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
"""The ambient deadline on `time.monotonic()`."""
ambient_key: ContextVar[str | None] = ContextVar("resilience_key", default=None)
ambient_criticality: ContextVar[Criticality | None] = ContextVar(
    "resilience_criticality", default=None
)


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
    outer = deadline_at.get()
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
def detached() -> Generator[None]:
    """Work that must not inherit the caller's budget (a background refresh, say)."""
    token = deadline_at.set(None)
    try:
        yield
    finally:
        deadline_at.reset(token)
