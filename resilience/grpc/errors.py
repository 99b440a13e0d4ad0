"""Which status stands for an exception that a handler raised, as a table.

Used by the server interceptors, when they are given one. The status of somebody else's
server is never passed on as ours: what was wrong with our request to him is our fault,
not our caller's. Rich details follow google.rpc's error model; its messages are
imported when the first one is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from resilience.context import inbound
from resilience.errors import Rejected
from resilience.report import report


DETAILS = "grpc-status-details-bin"
"""Trailing metadata: a serialized `google.rpc.Status`."""
MAX_MESSAGE = 1000
"""Characters of a message that are sent."""

_Code = grpc.StatusCode
E = TypeVar("E", bound=BaseException)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The status that a handler's exception becomes."""

    code: grpc.StatusCode
    """Anything but `OK`."""
    message: str = ""
    """Sent to the caller: say nothing that he should not read."""
    reason: str = ""
    """`ErrorInfo.reason`, in UPPER_SNAKE_CASE; empty: no `ErrorInfo` is sent."""
    domain: str = ""
    """`ErrorInfo.domain`; empty: the map's."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """`ErrorInfo.metadata`."""
    retry_after_s: float | None = None
    """`RetryInfo`: when it makes sense to ask again; None: nothing is said."""
    quota: tuple[tuple[str, str], ...] = ()
    """`QuotaFailure`: subject and description of each violation."""
    fields: tuple[tuple[str, str], ...] = ()
    """`BadRequest`: path and description of each field that is wrong."""

    def __post_init__(self) -> None:
        if self.code is _Code.OK:
            msg = "a failure has a code other than OK"
            raise ValueError(msg)


Entry = Callable[[Any], "Failure | None"]


class ErrorMap:
    """Exceptions and the statuses that stand for them; the nearest class counts.

    An exception without an entry ends as grpcio ends it, `UNKNOWN`. Built in are our
    own `Rejected`, `TimeoutError`, and `grpc.RpcError` of calls that the handler made.
    Fill it before the server starts; then it is safe to share between threads.

    Args:
        domain: `ErrorInfo.domain` where an entry names none, `shop.example.com`.
        built_in: False: only what is added counts.
    """

    def __init__(self, *, domain: str = "", built_in: bool = True) -> None:
        self.domain = domain
        self._entries: dict[type[BaseException], Entry] = {}
        if built_in:
            self._entries.update(_BUILT_IN)

    def add(
        self,
        kind: type[E],
        status: grpc.StatusCode | Callable[[E], Failure | None],
        *,
        reason: str = "",
    ) -> ErrorMap:
        """Map exceptions of *kind*, and of its subclasses that have no entry.

        Args:
            kind: a subclass of `Exception`. An older entry for it is replaced.
            status: a code, sent with the exception's own text; or a function that
                makes the `Failure` of one exception, None: ask the next base class.
            reason: `ErrorInfo.reason`, where *status* is a code.

        Raises:
            TypeError: *kind* is no subclass of `Exception`.
            ValueError: *status* is `OK`.
        """
        if not issubclass(kind, Exception):
            msg = f"only subclasses of Exception can be mapped, got {kind!r}"
            raise TypeError(msg)
        if isinstance(status, _Code):
            plain = Failure(code=status, reason=reason)

            def to_code(error: BaseException) -> Failure:
                return Failure(code=plain.code, message=str(error), reason=reason)

            self._entries[kind] = to_code
        else:
            self._entries[kind] = status
        return self

    def failure_of(self, error: BaseException) -> Failure | None:
        """What *error* becomes; None: it has no entry. Raises what an entry raises."""
        for kind in type(error).__mro__:
            entry = self._entries.get(kind)
            found = None if entry is None else entry(error)
            if found is not None:
                return found
        return None


def details_of(failure: Failure, domain: str = "") -> bytes | None:
    """*failure* as a serialized `google.rpc.Status`; None: there are no details.

    Raises:
        ImportError: googleapis-common-protos, which comes with grpcio-status, is not
            there.
    """
    if not (
        failure.reason
        or failure.retry_after_s is not None
        or failure.quota
        or failure.fields
    ):
        return None
    from google.rpc import error_details_pb2 as rich
    from google.rpc import status_pb2

    code: Any = failure.code.value
    made = status_pb2.Status(code=code[0], message=message_of(failure))
    if failure.reason:
        info = rich.ErrorInfo(
            reason=failure.reason,
            domain=failure.domain or domain,
            metadata=dict(failure.metadata),
        )
        made.details.add().Pack(info)
    if failure.retry_after_s is not None:
        wait = rich.RetryInfo()
        wait.retry_delay.FromMilliseconds(max(0, round(failure.retry_after_s * 1000)))
        made.details.add().Pack(wait)
    if failure.quota:
        quota = rich.QuotaFailure()
        for subject, description in failure.quota:
            quota.violations.add(subject=subject, description=description)
        made.details.add().Pack(quota)
    if failure.fields:
        request = rich.BadRequest()
        for name, description in failure.fields:
            request.field_violations.add(field=name, description=description)
        made.details.add().Pack(request)
    serialized: bytes = made.SerializeToString()
    return serialized


def message_of(failure: Failure) -> str:
    """What is sent as the status' details."""
    return failure.message[:MAX_MESSAGE]


# -- built in --------------------------------------------------------------------------

_REJECTIONS = {
    "deadline": _Code.DEADLINE_EXCEEDED,
    "cancelled": _Code.CANCELLED,
    "limiter": _Code.RESOURCE_EXHAUSTED,
    "retry-budget": _Code.RESOURCE_EXHAUSTED,
}
"""Codes by the reason of a rejection; the others mean that a dependency is down."""
_DOWNSTREAM = {
    "DEADLINE_EXCEEDED": _Code.DEADLINE_EXCEEDED,
    "UNAVAILABLE": _Code.UNAVAILABLE,
    # His quota is not our caller's: to him, we cannot serve for now.
    "RESOURCE_EXHAUSTED": _Code.UNAVAILABLE,
}
"""What the status of a call that the handler made means to our caller; all others mean
that we are at fault."""


def _of_rejected(error: Rejected) -> Failure:
    reason = error.reason
    return Failure(
        code=_REJECTIONS.get(reason, _Code.UNAVAILABLE),
        message=f"a call to a dependency was not sent: {reason}",
        reason="DEPENDENCY_REJECTED",
        metadata={"reason": reason},
        retry_after_s=error.retry_after_s,
    )


def _of_rpc_error(error: Any) -> Failure | None:
    try:
        name = str(error.code().name)
    except Exception:  # noqa: BLE001 - an RpcError without a status: grpcio's own
        return None
    served, history = inbound.get(), report(error)
    code = _DOWNSTREAM.get(name, _Code.INTERNAL)
    if name == "CANCELLED" and served is not None and served.has_left:
        code = _Code.CANCELLED
    return Failure(
        code=code,
        message=f"a call to a dependency failed: {name}",
        reason="DEPENDENCY_FAILED",
        metadata={"code": name},
        retry_after_s=None if history is None else history.retry_after_s,
    )


def _of_timeout(_: TimeoutError) -> Failure:
    return Failure(
        code=_Code.DEADLINE_EXCEEDED,
        message="a dependency did not answer in time",
        reason="DEPENDENCY_TIMED_OUT",
    )


_BUILT_IN: dict[type[BaseException], Entry] = {
    Rejected: _of_rejected,
    grpc.RpcError: _of_rpc_error,
    TimeoutError: _of_timeout,
}
