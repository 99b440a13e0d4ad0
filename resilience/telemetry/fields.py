"""One record as flat fields and as `key=value` text, for log lines.

Values are escaped here once more: whatever a server sent stays on one line and moves
no terminal's cursor. No payload is in a record, so none is here.
"""

import json

from resilience.core.outcome import Outcome
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
)
from resilience.core.target import Target


Value = str | int | float | bool
Fields = dict[str, Value]

_BARE = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,*+@%#"
)


def text_of(fields: Fields) -> str:
    """*fields* as `key=value` words; a value that is no plain word is quoted."""
    return " ".join(f"{key}={_word(value)}" for key, value in fields.items())


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    return text if text and _BARE.issuperset(text) else json.dumps(text)


def of_attempt(ended: AttemptEnded) -> Fields:
    """What is known of one attempt that ended."""
    fields = _of_target(ended.call_id, ended.target)
    fields["attempt"] = ended.number
    fields.update(_of_outcome(ended.outcome))
    fields["elapsed_s"] = ended.elapsed_s
    if ended.time_left_s is not None:
        fields["time_left_s"] = ended.time_left_s
    fields["decision"] = ended.decision
    fields["reason"] = ended.reason
    fields["wait_s"] = ended.wait_s
    fields["mode"] = ended.mode
    return fields


def of_call(ended: CallEnded) -> Fields:
    """What is known of a call that ended."""
    fields = _of_target(ended.call_id, ended.target)
    fields["attempts"] = ended.attempts
    if ended.hedges:
        fields["hedges"] = ended.hedges
    if ended.free_attempts:
        fields["free_attempts"] = ended.free_attempts
    if ended.first_code != ended.outcome.code:
        fields["first_code"] = ended.first_code
    fields.update(_of_outcome(ended.outcome))
    fields["elapsed_s"] = ended.elapsed_s
    if ended.timeout_s is not None:
        fields["time_left_s"] = ended.timeout_s - ended.elapsed_s
    if origin := origin_of(ended):
        fields["deadline_origin"] = origin
    fields["decision"] = decision_of(ended)
    fields["reason"] = ended.reason
    fields["wait_s"] = ended.wait_s
    fields["idempotency"] = ended.idempotency
    fields["ambiguous"] = ended.ambiguous
    fields["mode"] = ended.mode
    return fields


def of_decided(decided: Decided) -> Fields:
    """What would have been done, had the mechanism been enforced."""
    fields = _of_target(decided.call_id, decided.target)
    fields["mechanism"] = decided.mechanism
    fields["decision"] = decided.decision
    fields["reason"] = decided.reason
    fields["wait_s"] = decided.wait_s
    if decided.message:
        fields["details"] = decided.message
    fields["mode"] = "observe"
    return fields


def of_diverted(diverted: Diverted) -> Fields:
    """Who was asked for the answer of a call that failed, and what came of it."""
    fields = _of_target(diverted.call_id, diverted.target)
    fields["mechanism"] = diverted.mechanism
    fields["place"] = diverted.place
    fields["code"] = diverted.code
    fields["reason"] = diverted.reason
    fields["elapsed_s"] = diverted.elapsed_s
    return fields


def of_breaker(changed: BreakerChanged) -> Fields:
    """A breaker's change of state, and on what evidence."""
    fields: Fields = {"scope": changed.scope, "old": changed.old, "new": changed.new}
    if changed.evidence:
        fields["evidence"] = changed.evidence
    if changed.until is not None:
        fields["for_s"] = changed.until - changed.now
    return fields


def origin_of(ended: CallEnded) -> str:
    """Who set the deadline that the call ended by; empty: none ended it."""
    is_late = ended.reason == "deadline" or ended.outcome.timed_out
    if not is_late and ended.outcome.code != "DEADLINE_EXCEEDED":
        return ""
    return ended.deadline_origin


def decision_of(ended: CallEnded) -> str:
    """`return`, `fail`, or `reject` where nothing was sent."""
    if ended.outcome.kind == "ok":
        return "return"
    if ended.attempts == 0 and ended.reason != "cancelled":
        return "reject"
    return "fail"


def _of_target(call_id: str, target: Target) -> Fields:
    return {
        "call_id": call_id,
        "protocol": target.protocol,
        "target": target.name,
        "method": target.full_method,
    }


def _of_outcome(outcome: Outcome) -> Fields:
    fields: Fields = {
        "code": outcome.code,
        "kind": outcome.kind,
        "reached": outcome.reached,
    }
    if outcome.message:
        fields["details"] = outcome.message
    if outcome.pushback_s is not None:
        fields["pushback_s"] = outcome.pushback_s
    for name, value in outcome.ids:
        # `request_id`, `host_id`, `peer`; an unexpected name replaces nothing.
        fields.setdefault(name, value)
    return fields
