"""Where a drill sits in a client: where requests leave for the wire, and around calls.

A fault takes the place of botocore's own HTTP session: after signing and all handlers,
inside everything that bounds an attempt. It is put there only while a drill is armed.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from resilience.context import ambient_deadline
from resilience.core.target import Target
from resilience.drilling import marks
from resilience.drilling.driving import drive
from resilience.drilling.flow import Send
from resilience.drilling.model import Fault
from resilience.drilling.seam import Seam, answered

from .drilled_answers import answer_for, break_off, error_for
from .flight import current
from .timeouts import READ
from .verify import _Raw


if TYPE_CHECKING:
    from .guard import Guard

WELL = 300
"""HTTP statuses below this are answers of an execution."""
_operation: ContextVar[Target | None] = ContextVar("resilience_drilled", default=None)
"""The operation that is under way here."""


def install(guard: "Guard", client: Any, seam: Seam) -> None:
    """Let *seam* at the calls of *client*, which *guard* protects."""
    engine = guard.registration.engine
    if engine is not None:
        seam.attach(engine)
    http = getattr(getattr(client, "_endpoint", None), "http_session", None)
    if http is None or "send" in vars(http):
        return
    if hasattr(guard, "acall"):
        from .aio.drilled import install as install_awaited

        install_awaited(guard, http, seam)
        return
    wire = Wire(http.send, guard, seam)
    vars(http)["send"] = wire.send
    native = guard.call

    def call(name: str, params: Mapping[str, Any], *more: Any, **named: Any) -> Any:
        with Marked(guard, seam, name, params):
            return native(name, params, *more, **named)

    vars(guard)["call"] = call


class Marked:
    """One call, from its beginning to its end. Owned by one thread or task."""

    def __init__(
        self, guard: "Guard", seam: Seam, name: str, params: Mapping[str, Any]
    ) -> None:
        service = guard._model.service_name
        self._seam = seam
        self._target = Target(
            protocol="aws", name=service, service=service, method=name
        )
        self._idempotency = idempotency(guard, name, params)

    def __enter__(self) -> Self:
        deadline = ambient_deadline()
        seam = self._seam
        left = None if deadline is None else deadline - seam.now()
        self._mark = seam.mark(self._target, self._idempotency, left)
        self._inner = _operation.set(self._target)
        if self._mark is not None:
            self._outer = marks.current.set(self._mark)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ValueError):  # a task that is closed from elsewhere
            _operation.reset(self._inner)
            if self._mark is not None:
                marks.current.reset(self._outer)
        if self._mark is not None:
            self._seam.ended(self._mark, "OK" if error is None else code_of(error))


def idempotency(guard: "Guard", name: str, params: Mapping[str, Any]) -> str:
    """What makes a repeat of the call harmless; `none` if nothing does."""
    engine = guard.registration.engine
    operation = guard._operations.get(name) or guard._operation(name)
    if engine is None or operation is None:
        return "none"
    bound = operation.bind(engine, params)
    facts = operation.facts(bound, params)
    return facts.idempotency(bound.binding.policy.idempotency)


def code_of(error: BaseException) -> str:
    """What *error* is called in figures: AWS's code, or its class."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        known = response.get("Error") or {}
        return str(known.get("Code") or type(error).__name__)[:80]
    return type(error).__name__


class Wire:
    """What sends the requests of one client. Safe to share between threads."""

    def __init__(self, send: Callable[..., Any], guard: "Guard", seam: Seam) -> None:
        self.bare = send
        self.seam = seam
        self._guard = guard

    def picked(self) -> tuple[Target | None, Fault | None]:
        """The operation under way, and the fault that this attempt meets."""
        target = _operation.get()
        return target, None if target is None else self.seam.pick(target)

    def limit_s(self, request: Any) -> float | None:
        """How long the answer to *request* may take; None: no limit."""
        context = getattr(request, "context", None) or {}
        read = context.get(READ, self._guard.read_timeout_s)
        limits = [read] if isinstance(read, (int, float)) else []
        flight = current.get()
        left = None if flight is None or not flight.acts else flight.limit.left()
        if left is not None:
            limits.append(left)
        return min(limits) if limits else None

    def status(self, fault: Fault) -> tuple[int, dict[str, str], bytes]:
        """The error answer that *fault* asks for."""
        return answer_for(self.seam, fault, self._guard._model)

    def send(self, request: Any) -> Any:
        """Send *request*, with the fault that it meets; as botocore's session.

        Raises:
            HTTPClientError: what botocore raises, or the fault's.
        """
        target, fault = self.picked()
        if target is None:
            return self.bare(request)
        if fault is None:
            response = self.bare(request)
            _count(target, response)
            return response
        return self._meet(request, target, fault)

    def _meet(self, request: Any, target: Target, fault: Fault) -> Any:
        seam, response, error = self.seam, None, None
        streams = bool(getattr(request, "stream_output", False))

        def sent(_: Send) -> bool:
            nonlocal response, error
            try:
                response = self.bare(request)
            except Exception as raised:  # noqa: BLE001 - botocore's own, raised again
                error = raised
                return False
            _count(target, response)
            return True

        flow = seam.flow(fault, self.limit_s(request), streams=streams)
        end = drive(seam, flow, sent, threading.Event())
        if error is not None:
            raise error
        if end == "native":
            return response
        if end == "cut" and response is not None and break_off(seam, fault, response):
            return response
        if response is not None and streams:
            response.raw.close()
        if end == "status":
            status, given, body = self.status(fault)
            return AWSResponse(request.url, status, headers(given), _Raw(body))
        raise error_for(seam, end, request)


def headers(given: Mapping[str, str]) -> HTTPHeaders:
    """*given* as botocore keeps headers."""
    made = HTTPHeaders()
    for name, value in given.items():
        made[name] = value
    return made


def _count(target: Target, response: Any) -> None:
    if response.status_code < WELL:
        answered(target)
