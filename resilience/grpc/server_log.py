"""What a server says about the calls it served badly: one line for each failure.

Goes to the logger `resilience.server`, with or without an engine. Like lines of an
outage are folded, as in the client's log. Never a payload or a metadata value.
"""

import logging
from typing import NamedTuple

from resilience.core.served import Served
from resilience.report import report
from resilience.telemetry.fields import Fields, text_of
from resilience.telemetry.folding import Folding


_FAULTS = frozenset(
    {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
)
"""Codes that say that the server failed; the others say what the caller did wrong."""
_EVENTS = {
    "failed": "served call failed",
    "late": "served call finished after its caller had left",
    "cancelled": "served call was cancelled",
    "dropped-deadline": "call dropped: its time was up",
    "dropped-gone": "call dropped: its caller had left",
}


class _Key(NamedTuple):
    level: int
    reason: str
    method: str
    code: str


_OTHER = _Key(logging.INFO, "failed", "other", "other")


class ServerLog:
    """The lines of one server interceptor. Safe to share between threads.

    Levels: WARNING where the server failed, INFO where the caller was at fault or is
    gone. Served calls that ended well have no line.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity
        self._logger = logging.getLogger("resilience.server")
        if not self._logger.handlers:
            self._logger.addHandler(logging.NullHandler())
        self._folding = Folding(_OTHER)

    def say(self, served: Served, error: BaseException | None, *, traced: bool) -> None:
        """Write the line of one call; *traced*: nobody else logs the traceback."""
        if served.now >= self._folding.due_at:
            self._say_folded(served.now)
        if served.reason == "ok":
            return
        is_fault = served.reason == "failed" and served.code in _FAULTS
        level = logging.WARNING if is_fault else logging.INFO
        key = _Key(level, served.reason, served.method, served.code)
        if not self._logger.isEnabledFor(level):
            return
        if not self._folding.is_said(key, served.now):
            return
        found = self._fields(served, error)
        event = _EVENTS.get(served.reason, served.reason)
        self._logger.log(
            level,
            "%s: %s",
            event,
            text_of(found),
            extra={"resilience": {"event": event, **found}},
            exc_info=error if traced and is_fault else None,
        )

    def fault(self, doing: str, error: BaseException) -> None:
        """The interceptor itself failed; the call went on without it."""
        text = "the server interceptor failed at %s, the call goes on: %r"
        self._logger.error(text, doing, error)

    def _fields(self, served: Served, error: BaseException | None) -> Fields:
        found: Fields = {
            "call_id": served.call_id,
            "server": self._identity,
            "method": served.method,
            "code": served.code,
            "reason": served.reason,
            "elapsed_s": served.elapsed_s,
        }
        if served.time_left_s is not None:
            found["time_left_s"] = served.time_left_s
        if served.previous_attempts:
            found["previous_attempts"] = served.previous_attempts
        if error is not None:
            found["error"] = type(error).__name__
            history = report(error)
            if history is not None:
                found["cause"] = history.call_id
        return found

    def _say_folded(self, now: float) -> None:
        for key, lines, seconds in self._folding.take(now):
            found: Fields = {
                "method": key.method,
                "code": key.code,
                "reason": key.reason,
                "folded": lines,
                "folded_s": seconds,
            }
            self._logger.log(
                key.level,
                "%s: and %d more like this in the last %.3g s: %s",
                _EVENTS.get(key.reason, key.reason),
                lines,
                seconds,
                text_of(found),
                extra={"resilience": {"event": key.reason, **found}},
            )
