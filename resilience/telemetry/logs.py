"""Log lines: one per failed attempt, and per call that was not a clean success.

Each line carries `key=value` text for people and the same as a dictionary, under
`resilience` in the record's `extra`, for JSON formatters. Identical lines of an outage
are folded. Names of the fields are made in `fields.py`.
"""

import logging
from typing import NamedTuple

from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
    Notice,
    Record,
)
from resilience.core.target import Target

from . import fields
from .folding import Folded, Folding


NOTICE_LEVELS = {
    "reload-failed": logging.ERROR,
    "timer": logging.ERROR,
    "control-file": logging.ERROR,
    "mode-changed": logging.WARNING,
    "drill": logging.WARNING,
}
"""Level by a notice's code; others are INFO."""
CALM = frozenset({"closed", "half-open", "ramp", "limiting", "recovering", "disabled"})
"""States of a breaker that let calls through; a change to another one is WARNING."""


class _Key(NamedTuple):
    """Lines are alike when all of this is the same."""

    level: int
    event: str
    target: str
    method: str
    code: str
    decision: str
    reason: str
    origin: str = ""


_OTHER = _Key(logging.INFO, "other lines", "other", "other", "other", "other", "other")


class LogSink:
    """Writes records to the standard library's logging. Safe to share between threads.

    Levels: failed call WARNING; attempt that is retried, recovered or cancelled call
    INFO; an answer from elsewhere INFO, none WARNING; breaker opened WARNING, other
    changes INFO; reload failure ERROR; decisions of mode observe INFO where they would
    change something, else DEBUG.

    A `NullHandler` is added, as for any library: a program that configured no logging
    sees nothing new on its terminal. What a log handler raises is passed on to the
    engine, which counts it and goes on with the call.

    Args:
        logger: None: the logger called `resilience`.
        said: identical lines written per interval, 5 unless given; the others are
            counted and folded into one line. Alike are target, method, code, decision,
            reason and, where a deadline ended the call, who set it.
        every_s: length of that interval, 10 seconds unless given. The folded line
            comes with the next record after it, or with `close`.
    """

    wants_successes = False
    """A clean success has no line, so the engine need not make its record."""

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        said: int = 5,
        every_s: float = 10.0,
    ) -> None:
        self._logger = logger or logging.getLogger("resilience")
        if not self._logger.handlers:
            self._logger.addHandler(logging.NullHandler())
        self._folding = Folding(_OTHER, said=said, every_s=every_s)

    def emit(self, record: Record) -> None:
        """Write what is worth a line; a clean success costs two comparisons."""
        folding = self._folding
        if record.now >= folding.due_at:
            self._write_folded(folding.take(record.now))
        if type(record) is CallEnded:
            is_first = record.attempts - record.hedges == 1
            if is_first and record.reason == "ok" and not _is_masked(record):
                return
            self._call(record)
        elif type(record) is AttemptEnded:
            if record.outcome.kind != "ok" and record.reason != "superseded":
                self._attempt(record)
        elif type(record) is Decided:
            self._decided(record)
        elif type(record) is Diverted:
            self._diverted(record)
        elif type(record) is BreakerChanged:
            calm = record.new in CALM
            level = logging.INFO if calm else logging.WARNING
            self._write(level, f"breaker {record.new}", fields.of_breaker(record))
        elif type(record) is Notice:
            level = NOTICE_LEVELS.get(record.code, logging.INFO)
            found: fields.Fields = {"code": record.code, "details": record.message}
            self._write(level, "notice", found)

    def close(self) -> None:
        """Write the lines that are folded still; the sink can be used on."""
        self._write_folded(self._folding.take(self._folding.due_at))

    def renew(self) -> None:
        """Make locks new, after a fork; lines counted so far are the parent's."""
        self._folding.renew()

    # -- lines -------------------------------------------------------------------

    def _attempt(self, ended: AttemptEnded) -> None:
        code, decision = ended.outcome.code, ended.decision
        event = "attempt failed"
        if self._is_said(event, ended, code, decision, logging.INFO):
            self._write(logging.INFO, event, fields.of_attempt(ended))

    def _call(self, ended: CallEnded) -> None:
        decision = fields.decision_of(ended)
        level = logging.WARNING
        if decision == "return":
            event, level = "call recovered", logging.INFO
        elif ended.reason == "cancelled":
            event, level = "call cancelled", logging.INFO
        elif decision == "reject":
            event = "call rejected"
        else:
            event = "call failed"
        # A recovered call's own code is always OK: what it recovered from tells more.
        code = ended.first_code if decision == "return" else ended.outcome.code
        if self._is_said(event, ended, code, decision, level):
            self._write(level, event, fields.of_call(ended))

    def _decided(self, decided: Decided) -> None:
        changes_nothing = decided.mechanism == "retry" and decided.decision == "fail"
        level = logging.DEBUG if changes_nothing else logging.INFO
        event = f"observed {decided.mechanism}"
        if self._is_said(event, decided, "", decided.decision, level):
            self._write(level, event, fields.of_decided(decided))

    def _diverted(self, diverted: Diverted) -> None:
        event = f"{diverted.mechanism} to {diverted.place}"
        level = logging.INFO if diverted.code == "OK" else logging.WARNING
        if self._is_said(event, diverted, diverted.code, diverted.mechanism, level):
            self._write(level, event, fields.of_diverted(diverted))

    def _is_said(
        self,
        event: str,
        record: AttemptEnded | CallEnded | Decided | Diverted,
        code: str,
        decision: str,
        level: int,
    ) -> bool:
        if not self._logger.isEnabledFor(level):
            return False
        target: Target = record.target
        key = _Key(
            level,
            event,
            target.name,
            target.full_method,
            code,
            decision,
            record.reason,
            fields.origin_of(record) if isinstance(record, CallEnded) else "",
        )
        return self._folding.is_said(key, record.now)

    def _write(self, level: int, event: str, found: fields.Fields) -> None:
        if self._logger.isEnabledFor(level):
            extra = {"resilience": {"event": event, **found}}
            text = fields.text_of(found)
            self._logger.log(level, "%s: %s", event, text, extra=extra)

    def _write_folded(self, folded: list[Folded[_Key]]) -> None:
        for key, lines, seconds in folded:
            found: fields.Fields = {
                "target": key.target,
                "method": key.method,
                "code": key.code,
                "decision": key.decision,
                "reason": key.reason,
                "folded": lines,
                "folded_s": seconds,
            }
            if key.origin:
                found["deadline_origin"] = key.origin
            extra = {"resilience": {"event": key.event, **found}}
            text = "%s: and %d more like this in the last %.3g s: %s"
            words = fields.text_of(found)
            self._logger.log(
                key.level, text, key.event, lines, seconds, words, extra=extra
            )


def _is_masked(ended: CallEnded) -> bool:
    """Did a hedge make good what failed? One that was merely faster did not."""
    return ended.hedges > 0 and ended.first_code != ended.outcome.code
