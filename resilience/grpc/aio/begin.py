"""How calls with streams begin, from multicallables and interceptors alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from resilience.context import waiting_caller

from .call import StreamUnaryCall
from .flight import StreamFlight
from .stream import StreamResponse


if TYPE_CHECKING:
    from .calls import Calls
    from .sending import StreamSending

Handle = TypeVar("Handle", bound=StreamResponse)


def begin_stream(
    kind: type[Handle], sending: StreamSending, calls: Calls, timeout: float | None
) -> Handle:
    """Start a call with a streamed answer; returns its handle, of *kind*.

    Raises:
        Exception: what gRPC raises at once, for instance on a closed channel.
    """
    route, served = sending.route, waiting_caller()
    call = route.engine.new_call(sending.binding, route.facts(timeout))
    flight = StreamFlight(call, sending, calls)
    made = kind(flight)
    flight.begin()
    if served is not None:
        served.adopt(made, calls.loop)
    return made


def begin_upload(
    sending: StreamSending, calls: Calls, timeout: float | None
) -> StreamUnaryCall:
    """Start a call with streamed requests and one answer; raises as the other."""
    route, served = sending.route, waiting_caller()
    call = route.engine.new_call(sending.binding, route.facts(timeout))
    made = StreamUnaryCall(call, sending, calls)
    made.begin()
    if served is not None:
        served.adopt(made, calls.loop)
    return made
