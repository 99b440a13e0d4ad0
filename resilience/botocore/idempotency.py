"""What AWS declares about repeating an operation.

The order is the design's: the written table, the model's `readonly` and `idempotent`
flags, a token member, GET and HEAD, read verbs with their exceptions, else nothing.
A policy that names `idempotency` outranks all of it; that happens in the engine.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from resilience.core.target import Idempotency

from .idempotency_table import SPECIAL, Entry, Params, written


Flags = Mapping[str, Any]
"""The raw model of one operation: botocore's own class hides these two flags."""

READ_VERBS = frozenset(
    {
        "BatchGet",
        "Check",
        "Count",
        "Describe",
        "Discover",
        "Estimate",
        "Filter",
        "Get",
        "Head",
        "List",
        "Lookup",
        "Preview",
        "Query",
        "Scan",
        "Search",
        "Select",
        "Simulate",
        "Validate",
        "View",
    }
)
"""First words of names that only read, whatever HTTP method carries them."""

NOT_READ: Mapping[tuple[str, str], str] = {
    ("iot", "ConfirmTopicRuleDestination"): "confirms by GET",
    ("deadline", "AssumeFleetRoleForWorker"): "assumes a role by GET",
    ("stepfunctions", "GetActivityTask"): "takes a task off the queue",
    ("sso-oidc", "CreateToken"): "uses a one-time code",
    ("cognito-identity", "GetId"): "makes an identity",
    ("cognito-identity", "GetOpenIdTokenForDeveloperIdentity"): "makes an identity",
    ("cognito-idp", "GetUserAttributeVerificationCode"): "sends a message",
    ("signin", "CreateOAuth2Token"): "uses a one-time code",
}
"""Names or HTTP methods that look like reading and are not, with what they do."""

TOKEN_NAMES = frozenset(
    {
        "CallerReference",
        "ClientRequestToken",
        "ClientToken",
        "CreatorRequestId",
        "IdempotencyToken",
        "clientRequestToken",
        "clientToken",
        "idempotencyToken",
    }
)
"""Members that deduplicate when the caller fills them; botocore fills only those that
the model marks."""

_WORDS = re.compile(r"[A-Z][a-z]+")
NONE = Entry("none", "nothing says that a repeat is harmless")


def declared(
    service: str,
    operation: str,
    model: Any = None,
    params: Params | None = None,
    *,
    flags: Flags | None = None,
) -> tuple[Idempotency, str]:
    """What is known about repeating *operation*, and why.

    Args:
        service: botocore's service name, `s3`.
        operation: the operation's name, `PutObject`.
        model: botocore's `OperationModel`; None: only the table and the name decide.
        params: what the caller passed; conditions and tokens change the answer.
        flags: the operation's raw model, for `readonly` and `idempotent`.
    """
    return declaration(service, operation, model, flags)(params or {})


def declaration(
    service: str, operation: str, model: Any, flags: Flags | None
) -> Callable[[Params], tuple[Idempotency, str]]:
    """The same for many calls: what holds for all is found once.

    Returns:
        A function of a call's parameters.
    """
    plain = _plain(service, operation, model, flags or {})
    special = SPECIAL.get((service, operation))
    tokens = _fillable_tokens(model) if plain.idempotency == "none" else ()

    def of(params: Params) -> tuple[Idempotency, str]:
        if special is not None:
            found = special(params)
            if found is not None:
                return found.idempotency, found.reason
        for name in tokens:
            if params.get(name):
                return "keyed", f"the caller fills {name}"
        return plain.idempotency, plain.reason

    return of


def _plain(service: str, operation: str, model: Any, flags: Flags) -> Entry:
    found = written(service, operation)
    token = _filled_token(model)
    if found is not None:
        if found.idempotency == "none" and token:
            return Entry("keyed", f"botocore fills {token}")
        return found
    if flags.get("readonly"):
        return Entry("safe", "the model says readonly")
    if flags.get("idempotent"):
        return Entry("safe", "the model says idempotent")
    if token:
        return Entry("keyed", f"botocore fills {token}")
    why_not = NOT_READ.get((service, operation))
    if why_not:
        return Entry("none", why_not)
    method = _http_method(model)
    verb = _first_words(operation)
    if method in {"GET", "HEAD"} and verb != "Confirm":
        return Entry("safe", f"HTTP {method}")
    if verb in READ_VERBS:
        return Entry("safe", f"its verb reads: {verb}")
    return NONE


def _first_words(operation: str) -> str:
    words = _WORDS.findall(operation)
    if words[:2] == ["Batch", "Get"]:
        return "BatchGet"
    return words[0] if words else operation


def _http_method(model: Any) -> str:
    return "" if model is None else str(model.http.get("method", ""))


def _filled_token(model: Any) -> str:
    """The member that botocore fills itself, once per call; empty: there is none."""
    members = [] if model is None else model.idempotent_members
    return str(members[0]) if members else ""


def _fillable_tokens(model: Any) -> tuple[str, ...]:
    shape = None if model is None else model.input_shape
    if shape is None:
        return ()
    return tuple(name for name in shape.members if name in TOKEN_NAMES)
