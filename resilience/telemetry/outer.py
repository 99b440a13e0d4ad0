"""What the context around a call says: traced already, or not to be traced at all.

A span of OpenTelemetry's own instrumentation, of gRPC or of botocore, is told by what
it says of itself; no library is asked.
"""

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

SCOPE = "opentelemetry.instrumentation.grpc"
"""Who such spans say has made them."""
AWS_SCOPE = "opentelemetry.instrumentation.botocore"
"""The same for AWS; services of their own add their name to it."""

_taken: "weakref.WeakSet[Any]" = weakref.WeakSet()


def take(span: "Span", method: str) -> bool:
    """Was *span*, the current one, made for the very call of *method*?

    Each stands for one call: asked again, for a call made inside the first or while
    its stream is read (it stays current then), the answer is no.

    Args:
        span: the current one, of any tracer.
        method: `package.Service/Method`.
    """
    scope = getattr(span, "instrumentation_scope", None)
    if scope is None or scope.name != SCOPE or not span.is_recording():
        return False
    if getattr(span, "name", "").removeprefix("/") != method.removeprefix("/"):
        return False
    kind = getattr(span, "kind", None)
    if getattr(kind, "name", "") != "CLIENT" or span in _taken:
        return False
    _taken.add(span)
    return True


def take_aws(span: "Span", operation: str) -> bool:
    """The same for a call of AWS's *operation*, which has one such span at most."""
    scope = getattr(span, "instrumentation_scope", None)
    if scope is None or not str(scope.name).startswith(AWS_SCOPE):
        return False
    attributes: Mapping[str, Any] = getattr(span, "attributes", None) or {}
    if not span.is_recording() or attributes.get("rpc.method") != operation:
        return False
    if span in _taken:
        return False
    _taken.add(span)
    return True


def is_suppressed(context: "Context") -> bool:
    """Has somebody (an exporter) asked not to be traced?"""
    from opentelemetry.context import get_value

    return bool(get_value(_suppress_key(), context))


def suppressed(context: "Context") -> "Context":
    """*context*, in which instrumentations stand aside."""
    from opentelemetry.context import set_value

    return set_value(_suppress_key(), value=True, context=context)


def _suppress_key() -> str:
    """Private, and imported by OpenTelemetry's own packages all the same."""
    from opentelemetry import context

    return context._SUPPRESS_INSTRUMENTATION_KEY  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] # see above
