"""What `idempotency: auto` comes to for one method, as far as can be told unsent.

AWS is asked through the botocore room, imported on use; gRPC and app are known only
where the call is made.
"""

import difflib
from typing import Any, Final, NamedTuple

from .method import Method


INSTALL: Final = "pip install 'resilience-middleware[aws]'"


class Declared(NamedTuple):
    """An answer and its reason."""

    idempotency: str
    """`safe`, `keyed`, `accept_duplicates`, `none`; `unknown`: not from here."""
    reason: str


def declared(method: Method) -> Declared:
    """Return what `auto` comes to for *method*, and why."""
    if method.protocol == "grpc":
        return Declared(
            "unknown",
            "the descriptor's idempotency_level decides where the call is made; "
            "without one it is none",
        )
    if method.protocol == "app":
        return Declared(
            "unknown", "engine.call(..., idempotency=...) decides; without it none"
        )
    if method.method == "*":
        return Declared("unknown", "it differs from operation to operation")
    return _aws(method)


def _aws(method: Method) -> Declared:
    try:
        from resilience.botocore import idempotency
    except ImportError:
        return Declared("unknown", f"the AWS table needs botocore: {INSTALL}")
    model, problem = _operation(method.service, method.method)
    if problem:
        return Declared("unknown", problem)
    return Declared(*idempotency.declared(method.service, method.method, model))


def keyed_by(method: Method) -> str:
    """Return what the policy's `keyed` comes to for an AWS *method*; empty: unknown."""
    if method.protocol != "aws" or method.method == "*":
        return ""
    try:
        from resilience.botocore import tokens
        from resilience.botocore.intents_applied import carries
    except ImportError:
        return ""  # `declared` says what is missing
    model, problem = _operation(method.service, method.method)
    if problem:
        return ""
    carrier = carries(method.service, method.method, tokens.token_of(model))
    if carrier:
        return f"keyed holds by {carrier}"
    found = declared(method)
    if found.idempotency in ("safe", "keyed"):
        return f"keyed asks for nothing here: {found.reason}"
    return (
        "nothing in its requests can carry a key: it is not repeated after it may "
        "have been executed"
    )


def only_reads(method: Method) -> bool | None:
    """Does an AWS *method* change nothing? None: that cannot be told from here."""
    if method.protocol != "aws" or method.method == "*":
        return None
    try:
        from resilience.botocore import failover_reads
    except ImportError:
        return None  # `declared` says what is missing
    model, problem = _operation(method.service, method.method)
    if problem:
        return None
    return failover_reads.only_reads(method.service, method.method, model)


def can_be_long(method: Method) -> bool:
    """Can a request of *method* ask to last (a long poll, a stream, a big body)?"""
    if method.protocol != "aws" or method.method == "*":
        return False
    try:
        from resilience.botocore import duration
    except ImportError:
        return False  # `declared` says what is missing
    model, problem = _operation(method.service, method.method)
    return not problem and duration.can_be_long(method.service, method.method, model)


def _operation(service: str, operation: str) -> tuple[Any, str]:
    """Return botocore's model of an operation, or what is wrong with its name."""
    import botocore.exceptions
    import botocore.session

    session = botocore.session.Session()
    try:
        model: Any = session.get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        close = difflib.get_close_matches(service, session.get_available_services(), 1)
        hint = f"; nearest: {close[0]}" if close else ""
        return None, f"botocore knows no service {service}{hint}"
    except botocore.exceptions.BotoCoreError as error:
        return None, f"botocore cannot read the model of {service}: {error}"
    names: list[str] = list(model.operation_names)
    if operation not in names:
        close = difflib.get_close_matches(operation, names, 1)
        hint = f"; nearest: {close[0]}" if close else ""
        return None, f"{service} has no operation {operation}{hint}"
    return model.operation_model(operation), ""
