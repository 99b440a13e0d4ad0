"""What both server interceptors do with a call that comes in.

Here it is decided what is adopted and from whom, what is dropped, what the caller is
told, and what is counted and logged. How grpcio runs handlers is not known here. What
fails here is counted and said: it never fails a call.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import grpc

from resilience import context as ambient
from resilience.core.hop import NO_MARKS, word_above
from resilience.core.served import Served, ServedReason
from resilience.inbound import Inbound, less_reserve
from resilience.report import report

from .errors import DETAILS, ErrorMap, details_of, message_of
from .metadata import CALL_ID, DO_NOT_REPEAT, SERVER_ID, SHED, marks, pairs
from .server_log import ServerLog


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.context import Criticality, Tokens
    from resilience.core.record import Mode
    from resilience.engine import PolicyEngine


_UP = (grpc.StatusCode.DEADLINE_EXCEEDED, "the caller's time was up before the start")
_GONE = (grpc.StatusCode.CANCELLED, "the caller had left before the start")


class Counts(NamedTuple):
    """What a server interceptor has seen since it was made."""

    served: int = 0
    """Calls that reached it, the dropped ones too."""
    failed: int = 0
    """Answered with another status than `OK`."""
    dropped_deadline: int = 0
    """Not begun: the caller's time was up."""
    dropped_gone: int = 0
    """Not begun: the caller had left."""
    late: int = 0
    """Finished after the caller had left: work for nobody."""
    cancelled: int = 0
    """Stopped, because the caller had left."""
    faults: int = 0
    """The interceptor's own; the calls went on without it."""


_COUNTED = {
    "dropped-deadline": "dropped_deadline",
    "dropped-gone": "dropped_gone",
    "late": "late",
    "cancelled": "cancelled",
    "failed": "failed",
}


class ServedCall:
    """One call that is being served. Owned by its handler's thread or task."""

    __slots__ = (
        "acts",
        "began",
        "budget_s",
        "criticality",
        "drop",
        "has_ended",
        "ids",
        "inbound",
        "intake",
        "method",
        "tokens",
    )

    criticality: Criticality | None
    """Sent by a trusted peer."""
    drop: ServedReason | None
    """Why the handler must not run; None: it may."""
    tokens: Tokens

    def __init__(
        self,
        intake: Intake,
        method: str,
        inbound: Inbound,
        budget_s: float | None,
        criticality: Criticality | None,
        ids: tuple[tuple[str, str], ...],
    ) -> None:
        self.intake = intake
        self.method = method
        self.inbound = inbound
        self.budget_s = budget_s
        """What the caller allowed when the call came; None: no deadline."""
        self.criticality = criticality
        self.ids = ids
        """What both ends log, as trailing metadata."""
        self.drop = None
        self.acts = True
        """False: mode observe, the call is only watched."""
        self.began = ambient.monotonic()
        self.has_ended = False

    def enter(self) -> None:
        """Let what follows in this context spend the caller's budget."""
        if self.acts and ambient.inbound.get() is not self.inbound:
            self.tokens = ambient.adopt(self.inbound, self.criticality)

    def exit(self) -> None:
        """Undo `enter`."""
        if ambient.inbound.get() is self.inbound:
            ambient.give_back(self.tokens)


class Intake:
    """The settings and counters of one interceptor. Safe to share between threads."""

    def __init__(
        self,
        engine: PolicyEngine | None,
        trusted: Callable[[Any], bool] | None,
        errors: ErrorMap | None,
        identity: str | None,
    ) -> None:
        if identity is None:
            identity = socket.gethostname()
        self.identity = "".join(c for c in identity if c.isascii() and c.isprintable())
        self._engine = engine
        self._trusted = trusted
        self._errors = errors
        self._log = ServerLog(self.identity)
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(Counts._fields, 0)

    def counts(self) -> Counts:
        """What was counted so far."""
        with self._lock:
            return Counts(**self._counts)

    def mode(self) -> Mode:
        """The engine's, asked for every call; without an engine: `enforce`."""
        engine = self._engine
        if engine is None:
            return "enforce"
        engine.look()
        return engine.mode

    def arrived(self, method: str, context: Any, *, is_gone: bool) -> ServedCall | None:
        """A call has come; None: let the handler have it as it is."""
        try:
            mode = self.mode()
            if mode == "bypass":
                return None
            call = self._served_call(method, context)
            if call.budget_s is not None and call.budget_s <= 0:
                call.drop = "dropped-deadline"
            elif is_gone:
                call.drop = "dropped-gone"
            if mode == "observe":
                self._observe(call)
        except Exception as error:  # noqa: BLE001 - it never fails a call
            self.fault("arrival", error)
            return None
        else:
            return call

    def _served_call(self, method: str, context: Any) -> ServedCall:
        budget_s = context.time_remaining()
        if budget_s is not None and budget_s >= ambient.LONGEST_S:
            budget_s = None  # 9.2e18 stands for none (grpc#26236)
        carried = marks(context.invocation_metadata())
        if carried is not NO_MARKS and not self._is_trusted(context):
            carried = NO_MARKS
        call_id = os.urandom(8).hex()
        deadline_at = None
        if budget_s is not None:
            deadline_at = ambient.monotonic() + less_reserve(budget_s)
        served = Inbound(
            deadline_at=deadline_at,
            previous_attempts=carried.previous_attempts,
            call_id=call_id,
            level=carried.level,
            is_probe=carried.is_probe,
        )
        ids: tuple[tuple[str, str], ...] = ((CALL_ID, call_id),)
        if self.identity:
            ids = ((SERVER_ID, self.identity), *ids)
        name = method.removeprefix("/")
        return ServedCall(self, name, served, budget_s, carried.criticality, ids)

    def _is_trusted(self, context: Any) -> bool:
        try:
            return self._trusted is not None and bool(self._trusted(context))
        except Exception as error:  # noqa: BLE001 - whoever cannot be judged is not
            self.fault("trusted", error)
            return False

    def _observe(self, call: ServedCall) -> None:
        """Nothing is adopted, dropped or told; a drop that would be is counted."""
        call.acts = False
        drop, call.drop = call.drop, None
        if drop is not None:
            self._count(_COUNTED[drop])
            self._log.say(_record(call, drop, ""), None, traced=False)

    def ended(
        self,
        call: ServedCall,
        reason: ServedReason,
        code: str,
        error: BaseException | None,
        *,
        traced: bool,
    ) -> None:
        """The call is over, exactly once: count it, record it, say it."""
        if call.has_ended:
            return
        call.has_ended = True
        call.inbound.end()
        try:
            self._count("served")
            counted = _COUNTED.get(reason)
            if counted is not None:
                self._count(counted)
            record = _record(call, reason, code)
            self._log.say(record, error, traced=traced)
            if self._engine is not None:
                self._engine.emit((cast("Any", record),))
        except Exception as fault:  # noqa: BLE001 - it never fails a call
            self.fault("end", fault)

    def refusal(self, call: ServedCall, context: Any) -> tuple[grpc.StatusCode, str]:
        """The status of a call that is dropped; counts it."""
        self.tell(context, call.ids)
        drop = call.drop or "dropped-gone"
        status = _UP if drop == "dropped-deadline" else _GONE
        self.ended(call, drop, status[0].name, None, traced=False)
        return status

    def mapped(
        self, call: ServedCall, error: BaseException, context: Any
    ) -> tuple[grpc.StatusCode, str] | None:
        """The status that stands for *error*; its details go to *context*.

        None: there is no map or no entry, or the handler has set a code itself.
        """
        errors = self._errors
        if errors is None or not call.acts or not isinstance(error, Exception):
            return None
        if isinstance(error, grpc.aio.AbortError):
            return None
        try:
            if code_of(context) is not None:
                return None
            failure = errors.failure_of(error)
            if failure is None:
                return None
            details = details_of(failure, errors.domain)
            if details is not None:
                self.tell(context, ((DETAILS, details),))
            return failure.code, message_of(failure)
        except Exception as fault:  # noqa: BLE001 - the error stays as it is
            self.fault("error map", fault)
            return None

    def tell(self, context: Any, added: tuple[tuple[str, Any], ...]) -> None:
        """Add to the trailing metadata; what the handler has set is not set again."""
        try:
            read = getattr(context, "trailing_metadata", None)
            if read is None:
                return  # a synchronous handler on an asyncio server: cannot be read
            given = tuple(read() or ())
            known = tuple(pairs(given))
            if len(known) != len(given):
                return  # not what it should be: gRPC has its own answer to that
            taken = {name for name, _ in known}
            more = tuple(pair for pair in added if pair[0] not in taken)
            if more:
                context.set_trailing_metadata(given + more)
        except Exception as error:  # noqa: BLE001 - it never fails a call
            self.fault("trailing metadata", error)

    def tell_end(
        self, call: ServedCall, context: Any, error: BaseException | None
    ) -> None:
        """Add what the caller should know of the end of *call*."""
        if not call.acts:
            return
        told = () if error is None else told_of(error)
        self.tell(context, (*call.ids, *told))

    def fault(self, doing: str, error: BaseException) -> None:
        """Something here failed: count it, say it, go on."""
        try:
            self._count("faults")
            self._log.fault(doing, error)
        except Exception:  # noqa: BLE001, S110 - a log handler may be what fails
            pass

    def _count(self, what: str) -> None:
        with self._lock:
            self._counts[what] += 1


def _record(call: ServedCall, reason: ServedReason, code: str) -> Served:
    now = ambient.monotonic()
    elapsed_s, budget_s = now - call.began, call.budget_s
    return Served(
        call_id=call.inbound.call_id,
        method=call.method,
        code=code,
        reason=reason,
        elapsed_s=elapsed_s,
        budget_s=budget_s,
        time_left_s=None if budget_s is None else budget_s - elapsed_s,
        previous_attempts=call.inbound.previous_attempts,
        criticality=call.criticality or "",
        now=now,
    )


def told_of(error: BaseException) -> tuple[tuple[str, str], ...]:
    """What the caller hears about *error*, which the handler failed with.

    Not to repeat what a call of ours has given up, and whether that was shed. It counts
    when the handler raised that very error, or another one because of it; an abort from
    inside its `except` block too.
    """
    cause = error.__context__ if is_abort(error) else error.__cause__
    for found in (error, cause):
        history = None if found is None else report(found)
        if history is None:
            continue
        word = word_above(history.reason, sent=len(history.attempts))
        if word == "shed":
            return DO_NOT_REPEAT, (SHED, history.reason)
        if word:
            return (DO_NOT_REPEAT,)
    return ()


def is_abort(error: BaseException) -> bool:
    """Is *error* what `context.abort` raises? grpcio's own plain `Exception`."""
    if isinstance(error, grpc.aio.AbortError):
        return True
    return type(error) is Exception and not error.args


def code_of(context: Any) -> str | None:
    """The name of the status that the handler has set; None: it set none, or OK."""
    try:
        code = context.code()
    except Exception:  # noqa: BLE001 - not every context can say
        return None
    if code is None or code == 0 or code is grpc.StatusCode.OK:
        return None
    if isinstance(code, grpc.StatusCode):
        return str(code.name)
    names = {int(known.value[0]): str(known.name) for known in grpc.StatusCode}
    return names.get(code, "UNKNOWN")
