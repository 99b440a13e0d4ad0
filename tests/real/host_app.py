"""A web application whose workers share one host's state, for gunicorn.

Each request makes calls: `/good` some that end well, `/bad` some that fail, `/` none.
The answer says who answered, its place on the host, how many it sees, and whether its
breaker lets everything pass.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable

import resilience
from resilience.errors import Rejected


POLICY = """
version: 1
name: workers
state: host
all:
  attempt_timeout: 1s
  retry: off
  breaker: {kind: adaptive, scope: [target]}
"""
ENGINE = resilience.PolicyEngine.from_text(POLICY)
"""Made when this is imported: before the fork where gunicorn preloads."""


def fail(_: object) -> None:
    """What a dead backend does."""
    raise ConnectionRefusedError


def calls(attempt: Callable[[object], object], count: int = 5) -> None:
    """Some calls to one backend."""
    for _ in range(count):
        with contextlib.suppress(ConnectionRefusedError, Rejected):
            ENGINE.call("app:rates/quote", attempt)
        time.sleep(0.005)


def seen() -> dict[str, object]:
    """What this process sees of its host."""
    snapshot = ENGINE.snapshot()
    states = [
        breaker["state"]
        for scope in snapshot["scopes"]
        for breaker in scope["breakers"]
    ]
    member = ENGINE._sharing._host._member
    return {
        "pid": os.getpid(),
        "slot": None if member is None else member.slot,
        "processes": snapshot["processes"],
        "states": states,
    }


if os.environ.get("RESILIENCE_TEST_CALLS_FIRST"):
    calls(lambda _: 1)  # the master takes a place before it forks


def application(
    environ: dict[str, str], start_response: Callable[..., object]
) -> Iterable[bytes]:
    """WSGI."""
    calls(fail if environ["PATH_INFO"] == "/bad" else lambda _: 1)
    body = json.dumps(seen()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
