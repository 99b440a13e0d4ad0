"""Does OpenTelemetry's own gRPC instrumentation stand between us and the wire?

Any of its switches may have put it there, and it has no public way to tell: the
attributes that are read here are pinned by tests. Not finding it costs a span too many,
never a call.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from types import FunctionType, MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterable

_CLIENT = "opentelemetry.instrumentation.grpc._client"
_KIND = "OpenTelemetryClientInterceptor"
_LINKS = ("_interceptor", "_interceptors", "_base_callable", "_thunk", "_inner")
"""By what multicallables keep what they pass calls to."""
_MAX_LOOKS = 200


def is_loaded() -> bool:
    """Has anybody made one of its interceptors, so that calls may meet one?"""
    return _CLIENT in sys.modules


def inside(entry: Any, path: str) -> Any:
    """Its interceptor that calls of *entry* go through; None: they meet none.

    Args:
        entry: a native entry point, or what an interceptor was given to go on with.
        path: `/package.Service/Method`, which its filter may leave out.
    """
    kind = getattr(sys.modules.get(_CLIENT), _KIND, None)
    if kind is None:
        return None
    waiting = deque([entry])
    for _ in range(_MAX_LOOKS):
        if not waiting:
            break
        looked_at = waiting.popleft()
        if isinstance(looked_at, kind):
            return looked_at if _takes(looked_at, path) else None
        waiting.extend(_behind(looked_at))
    return None


def _takes(interceptor: Any, path: str) -> bool:
    condition = interceptor._filter
    info = SimpleNamespace(full_method=path, method=path, timeout=None)
    return condition is None or bool(condition(info))


def _behind(found: Any) -> Iterable[Any]:
    """What calls that go to *found* may go to next."""
    if isinstance(found, MethodType):
        return (found.__self__,)
    if isinstance(found, functools.partial):
        return found.args
    if isinstance(found, FunctionType):
        return _captured(found)
    if isinstance(found, list):
        return found
    if isinstance(found, str | bytes | int | float | tuple | None):
        return ()
    links = [getattr(found, name, None) for name in _LINKS]
    channel = getattr(found, "_channel", None)
    return [link for link in (*links, channel) if link is not None]


def _captured(function: FunctionType) -> list[Any]:
    cells = []
    for cell in function.__closure__ or ():
        try:
            cells.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    return cells
