"""Who decides about the repeats of a client, and who else may repeat its calls.

It tells what can be seen in a client. A loop around the call itself (tenacity,
backoff, a hand-written one) cannot be seen from here by anybody.
"""

from collections.abc import Callable
from typing import Any

from .emitter import Slots, UnknownEmitter
from .takeover import OWN, foreign


CALL = "_make_api_call"
TRACERS = (
    "aws_xray_sdk.",
    "datadog",
    "ddtrace.",
    "elasticapm.",
    "moto.",
    "newrelic.",
    "opentelemetry.",
    "sentry_sdk.",
    "unittest.mock",
)
"""Libraries that wrap calls to look at them or to answer them, and repeat nothing."""


def strangers(client: Any) -> tuple[str, ...]:
    """Who else may repeat the calls of *client*, by what can be seen in it.

    Each is one line: handlers of `needs-retry` that are neither botocore's nor ours
    (they are asked beside the owner, so both repeat), and whatever has been put around
    `_make_api_call` of the client, its class or botocore's (it may call again). Known
    tracers and mocks are left out. What cannot be seen: loops around the call, in
    waiters of your own, in a proxy or the service itself.

    Args:
        client: a client of botocore's, registered or not.
    """
    try:
        handlers = foreign(Slots(client.meta.events))
    except UnknownEmitter:
        handlers = []
    answering = [f"{name} answers needs-retry" for name in handlers]
    wrapping = [
        f"{name} wraps {CALL}"
        for name in wrappers(client)
        if not name.startswith(TRACERS)
    ]
    return (*answering, *wrapping)


def wrappers(client: Any) -> list[str]:
    """What has been put around the calls of *client*, the outermost first."""
    places = [vars(client), *(vars(one) for one in type(client).__mro__)]
    found = []
    for place in places:
        if CALL not in place:
            continue
        name = _written_in(place[CALL])
        if not name.startswith(OWN):
            found.append(name)
    return found


def native_owner(client: Any) -> str:
    """The rule of botocore for the repeats of *client*, in words."""
    config = getattr(client.meta.config, "retries", None) or {}
    attempts = config.get("total_max_attempts")
    count = "" if attempts is None else f", {attempts} attempts"
    return f"botocore ({config.get('mode', 'legacy')} mode{count})"


def _written_in(function: Callable[..., Any]) -> str:
    """Module and name of a function, or of what a decorator put around it."""
    # wrapt keeps what it calls here; its proxy answers as the function inside does.
    inner = getattr(function, "_self_wrapper", function)
    inner = getattr(inner, "__func__", inner)
    # A copy by functools.wraps has the names of what it wraps; its code has its own.
    module = getattr(inner, "__globals__", {}).get("__name__")
    name = getattr(getattr(inner, "__code__", None), "co_qualname", None)
    return f"{module or type(inner).__module__}.{name or type(inner).__qualname__}"
