"""From gRPC's native errors to outcomes: the only place that reads a native status.

What a row of `table.py` claims by its text alone is believed only when somebody else
agrees: the channel's own state, Envoy's headers, or the policy
(`trust_transport_details`). Otherwise the call may have reached the server.
"""

import re
from typing import Any, NamedTuple

import grpc

from resilience.core.outcome import Outcome, Reached
from resilience.errors import Rejected
from resilience.report import report

from .connectivity import Witness
from .metadata import CALL_ID, SERVER_ID, pairs, shed_for
from .pushback import pushback
from .rows.row import Row
from .table import ANSWER, ATTEMPT_TIMEOUT, ROWS, ROWS_OF_ENVOY, row_for


MAX_MESSAGE = 256
"""Characters of details kept for logs and notes; details are not to be trusted."""
EMPTY = Outcome("INTERNAL", "transport", "maybe", message="OK without a message")
"""A status OK with no message behind it: a proxy cut the answer off."""
_MADE_BY_PYTHON = frozenset({"INTERNAL", "UNKNOWN", "CANCELLED"})
"""Codes of grpcio's own Python layer: serializers, interceptors, local cancellation."""
_PEER = re.compile(r"\b(?:ipv4:[0-9.]+:[0-9]+|ipv6:\S+?\]:[0-9]+|unix:[^:\s]+)")
_ENVOY = ("envoy", "istio-envoy")
"""Names by which Envoy signs; the second is Istio's."""
_ID_OF = {SERVER_ID: "server", CALL_ID: "server_call"}
_MAX_ID = 64
_EARLY_S = 0.01
_EARLY_RATIO = 0.05
"""An attempt's deadline may be met this much too early: grpcio keeps it on the wall
clock, and the server's copy of it runs from an earlier moment."""


class Attempt(NamedTuple):
    """What the adapter knows about the attempt that failed."""

    timeout_s: float | None
    """What it was given; None: no limit."""
    elapsed_s: float
    witness: Witness
    trusts_details: bool


class _Marks(NamedTuple):
    """What the metadata says about who made the status; all False: nothing."""

    overloaded: bool
    """Envoy sheds load, or limits the rate."""
    made_it: bool
    """The reply is Envoy's own: no application was behind it."""
    passed_it: bool
    """The status came from an application, with its headers."""
    began: bool
    """An answer had begun: whatever ends a call before that did not happen."""
    via: str
    """The proxy that signed the reply; empty: none did."""


class _Reading(NamedTuple):
    """A native error that has been read once."""

    code: str
    details: str
    trailing: Any
    marks: _Marks

    def row(self) -> Row:
        """What the table says of it."""
        marks = self.marks
        if marks.passed_it:
            return ANSWER
        rows = ROWS_OF_ENVOY if marks.made_it else ROWS
        row = row_for(self.code, self.details, rows)
        arrived = self.trailing and row.source == "core" and row.reached == "no"
        if arrived or (marks.began and _is_early(row)):
            # Our own side gives no trailing metadata, and nothing is refused after its
            # answer began: an application repeats what it was told itself.
            return ANSWER
        return row


def outcome_of(error: Any, attempt: Attempt) -> Outcome:  # noqa: PLR0911 - in order
    """What *error*, a finished native call or exception that is not OK, means.

    Never raises for what a server sent; never blocks.
    """
    if isinstance(error, Rejected):
        return Outcome(_code(error), "local", "no", message=clean(error.message))
    if report(error) is not None:
        # A protected channel inside has done what could be done; do not multiply it.
        return Outcome(_code(error), "local", "maybe", message=_message(error))
    if not isinstance(error, grpc.RpcError):
        return Outcome(
            type(error).__name__, "local", "maybe", message=clean(str(error))
        )
    read = _read(error)
    code, details = read.code, read.details
    if code == "" or (code in _MADE_BY_PYTHON and not debug_text(error)):
        name = code or type(error).__name__
        return Outcome(name, "local", "maybe", message=clean(details))
    if shed_for(read.trailing):
        return _shed(read)
    row = ATTEMPT_TIMEOUT if _is_own_timeout(code, attempt) else read.row()
    outcome = _from_row(row, read, attempt)
    asked = pushback(read.trailing)
    if asked is None:
        return outcome
    outcome = outcome._replace(pushback_s=asked[0], pushback_form=asked[1])
    return _as_overload(outcome) if asked[0] >= 0 else outcome


def _shed(read: _Reading) -> Outcome:
    """A layer further down refused a call, unsent: not the fault of who answers."""
    why = shed_for(read.trailing)
    message = clean(f"shed by a lower layer ({why}): {read.details}")
    ids = _ids(ANSWER, read)
    return Outcome(read.code, "local", "maybe", message=message, ids=ids, shed=True)


def explanation(error: Any) -> str:
    """Likely cause and remedy of a permanent *error*; empty when none is known."""
    row = _read(error).row()
    return f"likely cause: {row.cause}; remedy: {row.remedy}" if row.cause else ""


def clean(text: str) -> str:
    """*text* from outside, safe to print: escaped, and cut to `MAX_MESSAGE`."""
    kept = text[:MAX_MESSAGE]
    if not kept.isprintable():
        kept = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
            for c in kept
        )[:MAX_MESSAGE]
    return kept if len(text) <= MAX_MESSAGE else kept[: MAX_MESSAGE - 3] + "..."


def _message(error: Any) -> str:
    return clean(_text(error, "details"))


def _read(error: Any) -> _Reading:
    trailing = _metadata(error, "trailing_metadata")
    marks = _marks(_metadata(error, "initial_metadata"), trailing)
    return _Reading(_code(error), _text(error, "details"), trailing, marks)


def _is_own_timeout(code: str, attempt: Attempt) -> bool:
    timeout_s = attempt.timeout_s
    if code != "DEADLINE_EXCEEDED" or timeout_s is None:
        return False
    return attempt.elapsed_s + max(_EARLY_S, _EARLY_RATIO * timeout_s) >= timeout_s


def _is_early(row: Row) -> bool:
    """Does *row* tell of an end before the server could answer at all?"""
    return row.reached == "no" and row.source != "server" and not row.unprocessed


def _from_row(row: Row, read: _Reading, attempt: Attempt) -> Outcome:
    marks = read.marks
    reached, unprocessed, ours = row.reached, row.unprocessed, row.ours
    if reached == "no" and not _is_confirmed(row, marks, attempt):
        # A goodbye that is not proven is no licence to repeat, but no evidence against
        # the target either: bare calls would go on, and so do ours.
        unprocessed = unprocessed and row.source == "core" and not marks.began
        reached, ours = "maybe", False
    outcome = Outcome(
        read.code,
        row.kind,
        reached,
        unprocessed=unprocessed,
        ours=ours,
        timed_out=row is ATTEMPT_TIMEOUT,
        throttled=row.throttled,
        message=clean(read.details),
        ids=_ids(row, read),
    )
    if marks.overloaded:
        reached = "no" if marks.made_it else "maybe"
        return outcome._replace(kind="overload", reached=reached, throttled=True)
    return outcome


def _ids(row: Row, read: _Reading) -> tuple[tuple[str, str], ...]:
    """Who was spoken to, and who signed the reply, as far as is known."""
    peer = _PEER.search(read.details) if row.source == "core" else None
    ids = [("peer", peer.group())] if peer else []
    if read.marks.via:
        ids.append(("via", clean(read.marks.via)[:_MAX_ID]))
    if read.trailing:
        ids += (
            (_ID_OF[name], clean(value)[:_MAX_ID])
            for name, value in pairs(read.trailing)
            if name in _ID_OF and isinstance(value, str)
        )
    return tuple(ids)


def _is_confirmed(row: Row, marks: _Marks, attempt: Attempt) -> bool:
    """May it be believed that the attempt was not acted upon?"""
    if row.source == "server":
        return True
    if marks.began:
        return False  # a stream that is refused after its answer began (RFC 9113 §8.7)
    if attempt.trusts_details or marks.made_it:
        return True
    if row.source == "proxy":
        return False
    state = attempt.witness()
    if row.unprocessed:
        # The connection that told us so is closing or gone; a relayed text comes over
        # one that is fine.
        return state in ("IDLE", "CONNECTING", "TRANSIENT_FAILURE")
    return state == "TRANSIENT_FAILURE"


def _as_overload(outcome: Outcome) -> Outcome:
    """An answer that names the time to come back at is about load."""
    if outcome.kind not in ("application", "transport"):
        return outcome
    if outcome.code == "RESOURCE_EXHAUSTED":
        reached: Reached = "no" if outcome.pushback_form == "exact" else "maybe"
        return outcome._replace(kind="overload", reached=reached, throttled=True)
    if outcome.code == "UNAVAILABLE" and not outcome.unprocessed:
        return outcome._replace(kind="overload", throttled=True)
    return outcome


def _marks(initial: Any, trailing: Any) -> _Marks:
    """Envoy signs each reply; one that an application made has the upstream's time.

    A status that follows an application's headers may still be Envoy's own reset, so
    only headers that came together with the status testify for the application. An
    Envoy that is told to suppress its headers cannot be told from its applications.
    """
    late, early = dict(pairs(trailing)), dict(pairs(initial))
    timed = "x-envoy-upstream-service-time"
    signed_by_envoy = late.get("server") in _ENVOY
    via = late.get("server", early.get("server", ""))
    return _Marks(
        overloaded="x-envoy-overloaded" in late or "x-envoy-ratelimited" in late,
        made_it=signed_by_envoy and timed not in late and not early,
        passed_it=timed in late,
        began=bool(early),
        via=via if isinstance(via, str) else "",
    )


def _code(error: Any) -> str:
    try:
        return str(error.code().name)
    except Exception:  # noqa: BLE001 - an RpcError without a status
        return ""


def _text(error: Any, name: str) -> str:
    try:
        return str(getattr(error, name)() or "")
    except Exception:  # noqa: BLE001 - not every RpcError has details
        return ""


def _metadata(error: Any, name: str) -> Any:
    state = getattr(error, "_state", None)
    if hasattr(state, name):
        # Of a stream, headers that came with the status are told after it, by the very
        # thread that tells us: to ask for them would wait for ever.
        return tuple(getattr(state, name) or ())
    try:
        return tuple(getattr(error, name)() or ())
    except Exception:  # noqa: BLE001 - not every RpcError has metadata
        return ()


def debug_text(error: Any) -> str:
    """C-core's own text; empty where Python made the status.

    A locally ended rendezvous waits for ever when it is asked (grpcio 1.85), so its
    state is read instead; of other futures nothing is asked.
    """
    if isinstance(error, Rejected):
        return ""
    state: Any = getattr(error, "_state", None)
    if hasattr(state, "debug_error_string"):
        return str(state.debug_error_string or "")
    if isinstance(error, grpc.Future):
        return "" if not hasattr(error, "debug_error_string") else "unasked"
    return _text(error, "debug_error_string")
