"""Fallbacks of gRPC calls with one answer: who answers when no server did.

The native error stays what status and metadata are read from; only the answer is the
fallback's. Futures, streams and calls through grpcio's own hooks have no fallback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilience.core.unanswered import is_unanswered
from resilience.fallback import FailedCall

from .streaming import Streaming


if TYPE_CHECKING:
    from resilience.core.binding import Binding
    from resilience.core.call import Call
    from resilience.core.record import CallEnded

    from .blocking import Blocking, BlockingStreaming
    from .route import Route
    from .sending import Sending


def failed_call(
    call: Call, error: Exception, request: Any
) -> tuple[FailedCall, CallEnded] | None:
    """What the fallback of *call* is told; None: it is not asked."""
    ended = call.ended
    if ended is None or not is_unanswered(ended):
        return None
    target = ended.target
    name = target.full_method
    return FailedCall(name=name, target=target, error=error, request=request), ended


def answer(native: Blocking | BlockingStreaming, call: Call, error: Exception) -> Any:
    """What the caller of *native*, which failed, gets; raises as `answer_to`."""
    request = None if isinstance(native, Streaming) else native._request
    route, binding = native.route, native.binding
    return answer_to(route, binding, request, call, error, pair=native.pair)


def answer_to(
    route: Route,
    binding: Binding,
    request: Any,
    call: Call,
    error: Exception,
    *,
    pair: bool,
) -> Any:
    """What the caller who sent *request* gets for *call*, which failed.

    Raises:
        Exception: *error*: there is no fallback, or it did not answer.
    """
    name = binding.policy.fallback
    asked = failed_call(call, error, request) if name else None
    if asked is None:
        raise error
    value = route.engine.fallback.answer(name, *asked)
    # The native error is a call, too: it tells the status.
    return (value, error) if pair else value


async def aanswer(sending: Sending, call: Call, error: Exception, request: Any) -> Any:
    """What who awaits *call*, which failed, gets; raises as `answer`."""
    name = sending.binding.policy.fallback
    asked = failed_call(call, error, request) if name else None
    if asked is None:
        raise error
    return await sending.route.engine.fallback.aanswer(name, *asked)
