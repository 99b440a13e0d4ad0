"""How one attempt ended, in the engine's words.

Adapters translate native results into outcomes; only `classify.py` decides what an
outcome means for a retry or a breaker. No payload is ever part of an outcome.
"""

from typing import Literal, NamedTuple


Kind = Literal["ok", "transport", "overload", "application", "permanent", "local"]
"""What sort of end it was; the table in the design gives examples of each."""

Reached = Literal["no", "maybe", "yes"]
"""May the server have acted on the attempt?"""

PushbackForm = Literal["exact", "hint", "clamped"]
"""How a wait that the server asked for is used: to the letter (gRPC), with added
jitter (`Retry-After`, RetryInfo), or clamped to backoff..backoff + 5 s (AWS)."""


class Outcome(NamedTuple):
    """The end of one attempt. Immutable; safe to share between threads."""

    code: str
    """`OK`, a gRPC code, an AWS error code, or an exception's class name."""
    kind: Kind = "ok"
    reached: Reached = "yes"
    elapsed_s: float | None = None
    """Seconds the attempt took; None: the engine takes start to end."""
    pushback_s: float | None = None
    """Wait the server asked for, in seconds; negative: do not try again."""
    pushback_form: PushbackForm = "exact"
    unprocessed: bool = False
    """Proven not acted upon by the peer (GOAWAY, REFUSED_STREAM): repeat at once."""
    ours: bool = False
    """The fault lies on this side (DNS, no route, local TLS): not the target's."""
    timed_out: bool = False
    """The attempt's own timeout ended it."""
    throttled: bool = False
    """This caller was told to slow down."""
    message: str = ""
    """Details as text, escaped and cut by the adapter; for logs and reports."""
    ids: tuple[tuple[str, str], ...] = ()
    """Identifiers that the server gave (`request_id`, `host_id`, `peer`)."""
    retryable: bool = False
    """An application's answer which says itself that another try may succeed (a
    conflict that passes, a trait in the service's model)."""
    shed: bool = False
    """Of `local`: a layer further down refused it, unsent, and said so."""


OK = Outcome("OK")
"""The outcome of a healthy attempt; one shared object."""
TIMED_OUT = Outcome(
    "DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True, message="attempt timeout"
)
"""An attempt that the engine's own timer ended."""
GONE = Outcome("CANCELLED", "local", "maybe", message="cancelled by the caller")
"""The caller cancelled while an attempt was under way."""
SUPERSEDED = Outcome("CANCELLED", "local", "maybe", message="a rival was faster")
"""An attempt that lost to another one of its call, or to that one's fatal status."""
GONE_WAITING = GONE._replace(reached="no")
"""The caller cancelled while none was."""
