"""What is added to a call's metadata, and what is read there: the names live here.

Metadata is a sequence of pairs: repeated keys and their order are kept. When nothing is
added the caller's own object goes through. No value is ever recorded.
"""

import re
from collections.abc import Iterable
from typing import Any, cast

from resilience.context import CRITICALITIES, Criticality
from resilience.core.hop import NO_MARKS, Marks
from resilience.core.target import Facts


PREVIOUS_ATTEMPTS = "grpc-previous-rpc-attempts"
"""gRFC A6. C-core strips it while `grpc.enable_retries` is on, its default."""
RETRY_ATTEMPT = "x-retry-attempt"
"""Carries the same number where the other one is stripped (go-grpc-middleware)."""

INHERITED_ATTEMPTS = "x-resilience-previous-attempts"
"""Request: attempts made by the layers above, for a call that is part of a retry though
it may be a first attempt itself. Absent when there were none."""
CRITICALITY = "x-resilience-criticality"
"""Request: one of the four words. Absent for the default, `critical`."""
LEVEL = "x-resilience-level"
"""Request: the call's place inside its class, `0.` and four digits. Absent unless a
breaker limits, or a layer below has shed a call lately."""
PROBE = "x-resilience-probe"
"""Request: `1`, with an attempt that a limiting breaker lets through to see how things
are. Absent elsewhere."""
SHED = "x-resilience-shed"
"""Trailing metadata of a failure: a layer further down refused a call, unsent, and why
(one of `SHED_FOR`). It says nothing about the health of who answers."""
SHED_FOR = ("breaker-open", "limiter", "shed")
"""What refused: a breaker, a limiter, or one of these in a layer yet further down."""
SERVER_ID = "x-resilience-server"
"""Trailing metadata of the answer: who served the call."""
CALL_ID = "x-resilience-call"
"""Trailing metadata of the answer: the id under which the server logs the call."""
PUSHBACK = "grpc-retry-pushback-ms"
"""gRFC A6, trailing metadata: when to try again; below 0: not at all."""
DO_NOT_REPEAT = (PUSHBACK, "-1")
DEFAULT_CRITICALITY: Criticality = "critical"
MOST_ATTEMPTS = 1000
"""More previous attempts than this are not believed, from whomever."""
_LEVEL = re.compile(r"0\.[0-9]{1,9}", re.ASCII)


def marks(metadata: Any) -> Marks:
    """The marks in the metadata of an inbound call; what is malformed counts as none.

    Ask only for peers that are trusted.
    """
    own = inherited = 0
    criticality = level = None
    is_probe = False
    for key, value in pairs(metadata):
        if key in (PREVIOUS_ATTEMPTS, RETRY_ATTEMPT):
            own = max(own, _count(value))
        elif key == INHERITED_ATTEMPTS:
            inherited = max(inherited, _count(value))
        elif key == CRITICALITY and value in CRITICALITIES:
            criticality = cast("Criticality", value)
        elif key == LEVEL and isinstance(value, str) and _LEVEL.fullmatch(value):
            level = float(value)
        elif key == PROBE and value == "1":
            is_probe = True
    found = Marks(own + inherited, criticality, level, is_probe)
    return NO_MARKS if found == NO_MARKS else found


def shed_for(metadata: Any) -> str:
    """Why a layer further down has shed, by trailing *metadata*; empty: none did."""
    for key, value in pairs(metadata):
        if key == SHED and value in SHED_FOR:
            return str(value)
    return ""


def _count(value: Any) -> int:
    if not (isinstance(value, str) and value.isascii() and value.isdigit()):
        return 0
    return min(int(value), MOST_ATTEMPTS) if len(value) < 5 else 0


def values(metadata: Any, key: str) -> list[Any]:
    """All values of *key*, in order; none when there is no metadata."""
    return [value for name, value in pairs(metadata) if name == key]


def pairs(metadata: Any) -> Iterable[tuple[str, Any]]:
    """The pairs of any form of metadata that gRPC hands out; broken ones are left."""
    for pair in metadata or ():
        if isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], str):
            yield pair[0], pair[1]


def is_marked(facts: Facts) -> bool:
    """Has a call with *facts* marks to carry, whatever its policy says?"""
    return (
        facts.criticality not in (None, DEFAULT_CRITICALITY)
        or facts.previous_attempts > 0
        or facts.passes_level
        or facts.is_probe
    )


def for_attempt(
    metadata: Any,
    number: int,
    key_header: str,
    key: str | None,
    carried: Marks = NO_MARKS,
) -> Any:
    """The metadata of attempt *number*.

    Args:
        metadata: what the caller gave, not a one-shot iterator.
        number: of the attempt; starts at 1.
        key_header: where an idempotency key goes.
        key: the call's key; None: it has none.
        carried: the attempt's marks.

    Returns:
        *metadata* itself when nothing is added, else a tuple of pairs. What the caller
        has set is never set again.
    """
    added: list[tuple[str, str]] = []
    if number > 1:
        previous = str(number - 1)
        added += [(PREVIOUS_ATTEMPTS, previous), (RETRY_ATTEMPT, previous)]
    inherited = carried.previous_attempts - (number - 1)
    if inherited > 0:
        added.append((INHERITED_ATTEMPTS, str(inherited)))
    said = carried.criticality
    if said is not None and said != DEFAULT_CRITICALITY:
        added.append((CRITICALITY, said))
    if carried.level is not None:
        added.append((LEVEL, f"{min(carried.level, 0.9999):.4f}"))
    if carried.is_probe:
        added.append((PROBE, "1"))
    if key is not None:
        added.append((key_header, key))
    if not added:
        return metadata
    given = tuple(metadata or ())
    taken = {name for name, _ in pairs(given)}
    return given + tuple(pair for pair in added if pair[0] not in taken)
