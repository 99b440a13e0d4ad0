"""Plain functions under a policy: `engine.call` and `engine.acall`.

The adapter for code that is neither gRPC nor botocore: exceptions become outcomes here
and nowhere else. A synchronous function cannot be cut short from outside; it is told
its time and finds it as the ambient deadline.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, Protocol, TypeVar, cast
from weakref import WeakSet

from resilience.context import (
    ambient_criticality,
    ambient_deadline,
    deadline,
    inbound,
)
from resilience.core.binding import Binding
from resilience.core.call import Call
from resilience.core.command import Finish, StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.core.record import CallEnded, Notice
from resilience.core.target import Facts, Idempotency, Target
from resilience.core.unanswered import is_unanswered, lacks_answer
from resilience.drivers import aio, threads
from resilience.drivers.host import Host
from resilience.errors import Rejected
from resilience.fallback import FailedCall, Fallbacks
from resilience.report import Report, attach, of_call, report


T = TypeVar("T")
MESSAGE_CHARS = 256
_SAYS: tuple[tuple[type[Exception], Outcome], ...] = (
    (socket.gaierror, Outcome("", "transport", "no", ours=True)),
    (ConnectionRefusedError, Outcome("", "transport", "no")),
    (TimeoutError, Outcome("", "transport", "maybe", timed_out=True)),
    (ConnectionError, Outcome("", "transport", "maybe")),
    (Exception, Outcome("", "application", "maybe")),
)
"""What kinds of exceptions say; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a protected function is told about the attempt it makes."""

    number: int
    """Starts at 1."""
    timeout_s: float | None
    """Seconds it may take; None: no limit."""


class Lender(Host, Protocol):
    """What runs here need of the engine. Safe to share between threads."""

    fallback: Fallbacks
    """The functions that a policy may name."""


class _Result(Generic[T]):
    """The native results of one call, by attempt."""

    __slots__ = ("error", "value")

    value: T
    error: Exception | None


@lru_cache(maxsize=1024)
def parse(name: str) -> Target:
    """The target called *name*: `app:service/operation`.

    Raises:
        ValueError: *name* has another form.
    """
    protocol, colon, rest = name.partition(":")
    service, slash, operation = rest.partition("/")
    if protocol != "app" or not (colon and slash and service and operation):
        msg = f"a call needs a name like 'app:rates/quote', got {name!r}"
        raise ValueError(msg)
    return Target(protocol="app", name=service, service=service, method=operation)


def facts(
    binding: Binding,
    idempotency: Idempotency,
    timeout: float | None,
    *,
    can_hedge: bool = False,
) -> Facts:
    """The facts of a call made here and now, in the caller's context."""
    ambient, criticality = ambient_deadline(), ambient_criticality.get()
    served = inbound.get()
    if served is None:
        made = Facts(idempotency, timeout, ambient, None, criticality)
        return made._replace(can_hedge=True) if can_hedge else made
    return Facts(
        declared=idempotency,
        timeout_s=timeout,
        deadline_at=ambient,
        inbound_at=None if ambient is None else served.deadline_at,
        criticality=criticality,
        previous_attempts=0 if served.has_ended else served.previous_attempts,
        can_hedge=can_hedge,
        level=served.level,
        passes_level=served.passes_level,
        is_probe=served.probes(binding.scope.key),
    )


_told: "WeakSet[Host]" = WeakSet()


def say_unhedged(host: Host, name: str) -> None:
    """Tell the sinks, once, that blocking functions are not hedged."""
    if host not in _told:
        _told.add(host)
        text = f"{name}: engine.call is never hedged, engine.acall is"
        host.emit((Notice("hedging", text, host.now()),))


def outcome_of(error: Exception, since: float = 0.0) -> Outcome:
    """What *error*, raised by a protected function since the moment *since*, says."""
    code = type(error).__name__
    message = _text_of(error)
    if isinstance(error, Rejected):
        return Outcome(code, "local", "no", message=message)
    inner = report(error)
    if inner is not None and inner.ended_at >= since:
        # A protected call inside has done what could be done; do not multiply it. An
        # older report is left from another call that ended in the same object.
        return Outcome(code, "local", "maybe", message=message)
    said = next(said for kind, said in _SAYS if isinstance(error, kind))
    return said._replace(code=code, message=message)


def _text_of(error: Exception) -> str:
    try:
        text = str(error)[:MESSAGE_CHARS]
    except Exception:  # noqa: BLE001 - a broken `__str__` must not replace its error
        return ""
    return text.encode("unicode_escape").decode("ascii")[:MESSAGE_CHARS]


def _told_of(command: StartAttempt, timeout: float | None) -> Attempt:
    # Where nothing is enforced the engine has no time of its own to give: the function
    # hears what its caller said, as it would without us.
    given = command.timeout_s
    return Attempt(command.number, timeout if given is None else given)


def _ambient(timeout_s: float | None) -> AbstractContextManager[None]:
    return nullcontext() if timeout_s is None else deadline(timeout_s)


def run(
    call: Call,
    fn: Callable[[Attempt], T],
    host: Lender,
    timeout: float | None = None,
    fallback: str = "",
) -> T:
    """Call *fn* until the engine is satisfied; blocks.

    *timeout* is the caller's own, told to *fn* where nothing is enforced. The function
    that *host* knows as *fallback* answers where *fn* did not; empty: none does.
    """
    result: _Result[T] = _Result()

    def attempt(command: StartAttempt) -> Outcome:
        since = host.now()
        try:
            with _ambient(command.timeout_s):
                result.value = fn(_told_of(command, timeout))
        except Exception as error:  # noqa: BLE001 - it is raised again at the end
            result.error = error
            return outcome_of(error, since)
        result.error = None
        return OK

    found = _error(call, threads.run(call, attempt, host), result)
    if found is None:
        return result.value
    error, is_open = found
    try:
        if not (fallback and is_open):
            raise error
        value: T = host.fallback.answer(fallback, *_failed(call, error))
        return value
    finally:
        del error, found  # no cycle of error, traceback and this frame


async def arun(
    call: Call,
    fn: Callable[[Attempt], Awaitable[T]],
    host: Lender,
    timeout: float | None = None,  # noqa: ASYNC109 - only told, never enforced here
    fallback: str = "",
) -> T:
    """Await *fn* until the engine is satisfied; an attempt's timeout cancels it.

    *timeout* is the caller's own, told to *fn* where nothing is enforced; *fallback* as
    for `run`.
    """
    import asyncio  # who awaits has it; `import resilience` does without

    results: dict[int, _Result[T]] = {}

    async def attempt(command: StartAttempt) -> Outcome:
        since = host.now()
        result: _Result[T] = _Result()
        results[command.number] = result
        try:
            async with asyncio.timeout(command.timeout_s):
                with _ambient(command.timeout_s):
                    made = fn(_told_of(command, timeout))
                    result.value = await made
        except Exception as error:  # noqa: BLE001 - it is raised again at the end
            result.error = error
            return outcome_of(error, since)
        result.error = None
        return OK

    if call.is_hedged:
        from resilience.drivers import aio_hedged  # most processes do without

        finish = await aio_hedged.run(call, attempt, host)
    else:
        finish = await aio.run(call, attempt, host)
    result = results.get(finish.number) or _Result()
    if not hasattr(result, "error"):
        # The engine's timer was a moment faster than asyncio's, or nothing was sent.
        result.error = TimeoutError()
    found = _error(call, finish, result)
    if found is None:
        return result.value
    error, is_open = found
    try:
        if not (fallback and is_open):
            raise error
        value: T = await host.fallback.aanswer(fallback, *_failed(call, error))
        return value
    finally:
        del error, found  # no cycle of error, traceback and this frame


def _error(
    call: Call, finish: Finish, result: _Result[T]
) -> tuple[Exception, bool] | None:
    """What the caller gets instead of a value, and may a fallback answer it?"""
    rejection, ended = finish.rejection, call.ended
    if rejection is not None:
        refused = Rejected(
            rejection.message,
            reason=rejection.reason,
            scope=rejection.scope,
            retry_after_s=rejection.retry_after_s,
        )
        attach(refused, of_call(call, rejection.retry_after_s))
        return refused, ended is not None and is_unanswered(ended)
    error = result.error
    if error is None:
        return None
    inner = report(error)
    is_open = ended is not None and is_unanswered(ended)
    if inner is not None and inner.ended_at >= call.arrived_at:
        is_open = _was_unanswered(inner)
    attach(error, of_call(call))
    return error, is_open


def _was_unanswered(inner: Report) -> bool:
    """Did a protected call inside end without an answer?"""
    sent = len(inner.attempts)
    if not sent:
        return lacks_answer("local", "", inner.reason, sent=0)
    last = inner.attempts[-1]
    return lacks_answer(last.kind, last.code, inner.reason, sent=sent)


def _failed(call: Call, error: Exception) -> tuple[FailedCall, CallEnded]:
    ended = cast("CallEnded", call.ended)
    name = ended.target.full_method
    return FailedCall(name=name, target=ended.target, error=error), ended
