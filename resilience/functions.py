"""Plain functions under a policy: `engine.call` and `engine.acall`.

The adapter for code that is neither gRPC nor botocore: exceptions become outcomes here
and nowhere else. A synchronous function cannot be cut short from outside; it is told
its time and finds it as the ambient deadline.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from resilience import report
from resilience.context import deadline
from resilience.core.call import Call
from resilience.core.command import Finish, StartAttempt
from resilience.core.outcome import OK, Outcome
from resilience.core.target import Target
from resilience.drivers import aio, threads
from resilience.drivers.host import Host
from resilience.errors import Rejected

T = TypeVar("T")
MESSAGE_CHARS = 256


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a protected function is told about the attempt it makes."""

    number: int
    """Starts at 1."""
    timeout_s: float | None
    """Seconds it may take; None: no limit."""


class _Result(Generic[T]):
    """The native results of one call, by attempt."""

    __slots__ = ("error", "value")

    value: T
    error: Exception | None


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


def outcome_of(error: Exception) -> Outcome:
    """What *error*, raised by a protected function, says."""
    code = type(error).__name__
    message = str(error).encode("unicode_escape").decode("ascii")[:MESSAGE_CHARS]
    if isinstance(error, Rejected):
        return Outcome(code, "local", "no", message=message)
    if report.report(error) is not None:
        # A protected call inside has done what could be done; do not multiply it.
        return Outcome(code, "local", "maybe", message=message)
    if isinstance(error, socket.gaierror):
        return Outcome(code, "transport", "no", ours=True, message=message)
    if isinstance(error, ConnectionRefusedError):
        return Outcome(code, "transport", "no", message=message)
    if isinstance(error, TimeoutError):
        return Outcome(code, "transport", "maybe", timed_out=True, message=message)
    if isinstance(error, ConnectionError):
        return Outcome(code, "transport", "maybe", message=message)
    return Outcome(code, "application", "maybe", message=message)


def _ambient(timeout_s: float | None) -> AbstractContextManager[None]:
    return nullcontext() if timeout_s is None else deadline(timeout_s)


def run(call: Call, fn: Callable[[Attempt], T], host: Host) -> T:
    """Call *fn* until the engine is satisfied; blocks."""
    result: _Result[T] = _Result()

    def attempt(command: StartAttempt) -> Outcome:
        try:
            with _ambient(command.timeout_s):
                result.value = fn(Attempt(command.number, command.timeout_s))
        except Exception as error:  # noqa: BLE001 - it is raised again at the end
            result.error = error
            return outcome_of(error)
        result.error = None
        return OK

    return _end(call, threads.run(call, attempt, host), result)


async def arun(call: Call, fn: Callable[[Attempt], Awaitable[T]], host: Host) -> T:
    """Await *fn* until the engine is satisfied; an attempt's timeout cancels it."""
    result: _Result[T] = _Result()

    async def attempt(command: StartAttempt) -> Outcome:
        try:
            async with asyncio.timeout(command.timeout_s):
                with _ambient(command.timeout_s):
                    made = fn(Attempt(command.number, command.timeout_s))
                    result.value = await made
        except Exception as error:  # noqa: BLE001 - it is raised again at the end
            result.error = error
            return outcome_of(error)
        result.error = None
        return OK

    return _end(call, await aio.run(call, attempt, host), result)


def _end(call: Call, finish: Finish, result: _Result[T]) -> T:
    rejection = finish.rejection
    if rejection is not None:
        refused = Rejected(
            rejection.message,
            reason=rejection.reason,
            scope=rejection.scope,
            retry_after_s=rejection.retry_after_s,
        )
        report.attach(refused, report.of_call(call, rejection.retry_after_s))
        raise refused
    error = result.error
    if error is None:
        return result.value
    report.attach(error, report.of_call(call))
    raise error
