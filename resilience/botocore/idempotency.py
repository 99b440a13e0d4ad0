"""What AWS declares about repeating an operation.

The order is the design's: the written table, the model's `readonly` and `idempotent`
flags, a token member, GET and HEAD, read verbs with their exceptions, else nothing.
A policy that names `idempotency` outranks all of it; that happens in the engine.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from resilience.core.target import Idempotency

from .idempotency_table import SPECIAL, Entry, Params, Special, written
from .tokens import TOKEN_NAMES


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
    ("cognito-identity", "GetId"): "makes an identity",
    ("cognito-identity", "GetOpenIdTokenForDeveloperIdentity"): "makes an identity",
    ("cognito-idp", "GetTokensFromRefreshToken"): "may use up the token it is given",
    ("cognito-idp", "GetUserAttributeVerificationCode"): "sends a message",
    ("iot", "ConfirmTopicRuleDestination"): "confirms, by GET",
}
"""Names or HTTP methods that look like reading and are not, with what they do."""

_WORDS = re.compile(r"[A-Z][a-z]+")
NONE = Entry("none", "nothing says that a repeat is harmless")


def declared(
    service: str,
    operation: str,
    model: Any = None,
    params: Params | None = None,
) -> tuple[Idempotency, str]:
    """What is known about repeating *operation*, and why.

    Args:
        service: botocore's service name, `s3`.
        operation: the operation's name, `PutObject`.
        model: botocore's `OperationModel`; None: only the table and the name decide.
        params: what the caller passed; conditions and tokens change the answer.
    """
    found = declaration(service, operation, model).of(params or {})
    return found.idempotency, found.reason


class Declaration(NamedTuple):
    """What an operation declares, found once for all its calls."""

    plain: Entry
    special: Special | None
    """Looks at the parameters first; None: they do not matter to the table."""
    tokens: tuple[str, ...]
    """Members that deduplicate when the caller fills them."""

    @property
    def is_fixed(self) -> bool:
        """Do all calls declare the same?"""
        return self.special is None and not self.tokens

    def of(self, params: Params) -> Entry:
        """What one call with *params* declares."""
        if self.special is not None:
            found = self.special(params)
            if found is not None:
                return found
        for name in self.tokens:
            if params.get(name):
                return Entry("keyed", f"the caller fills {name}")
        return self.plain


def declaration(service: str, operation: str, model: Any = None) -> Declaration:
    """What *operation* declares; arguments as for `declared`."""
    plain = _plain(service, operation, model)
    return Declaration(
        plain=plain,
        special=SPECIAL.get((service, operation)),
        tokens=_fillable_tokens(model) if plain.idempotency == "none" else (),
    )


def under_condition(found: Declaration) -> Entry | None:
    """What a call declares that carries a condition; None: the same as without."""
    special = found.special
    for params in ({"IfMatch": "e"}, {"ConditionExpression": "c"}):
        entry = None if special is None else special(params)
        if entry is not None and entry.idempotency == "none":
            return None if found.plain.idempotency == "none" else entry
    return None


def _plain(service: str, operation: str, model: Any) -> Entry:
    # botocore's own class hides these two flags, its raw model has them.
    flags = getattr(model, "_operation_model", {})
    token = _filled_token(model)
    keyed = Entry("keyed", f"botocore fills {token}")
    found = written(service, operation)
    if found is not None:
        return keyed if found.idempotency == "none" and token else found
    for flag in ("readonly", "idempotent"):
        if flags.get(flag):
            return Entry("safe", f"the model says {flag}")
    return keyed if token else _by_name(service, operation, _http_method(model))


def _by_name(service: str, operation: str, method: str) -> Entry:
    why_not = NOT_READ.get((service, operation))
    if why_not is not None:
        return Entry("none", why_not)
    if method in {"GET", "HEAD"}:
        return Entry("safe", f"HTTP {method}")
    verb = _first_words(operation)
    return Entry("safe", f"its verb reads: {verb}") if verb in READ_VERBS else NONE


def _first_words(operation: str) -> str:
    words = _WORDS.findall(operation)
    if words[:2] == ["Batch", "Get"]:
        return "BatchGet"
    if words[:1] == ["Batch"] and len(words) > 1:
        return words[1] if words[1] in READ_VERBS else "Batch"
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
