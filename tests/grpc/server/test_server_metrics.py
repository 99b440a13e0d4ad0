"""A cascade of deadlines as metrics show it: whose it was, how much of it was used."""

import threading

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.grpc.errors import ErrorMap
from resilience.grpc.server import server_interceptor
from resilience.telemetry import names
from tests.grpc.peers.clients import until
from tests.telemetry.measured import Meter


@pytest.mark.slow
def test_a_deadline_from_above(serve, make_engine):
    """The hop in the middle tells that the deadline which ended its call was not its.

    Its own served call shows the same time used up, from its caller's side.
    """
    told, meter = threading.Event(), Meter()

    def hang(request, context):
        context.add_callback(told.set)
        told.wait(10)
        return b"late"

    last = serve(server_interceptor(errors=ErrorMap()), uu=hang)
    with resilience.PolicyEngine(sinks=(meter.sink,)) as engine:
        channel = resilience.grpc.intercept_channel(last.channel, engine, target="last")
        to_last = channel.unary_unary("/shop.Cart/uu")
        interceptor = server_interceptor(engine, errors=ErrorMap())
        middle = serve(interceptor, uu=lambda request, _: to_last(request))
        with pytest.raises(grpc.RpcError):
            middle.channel.unary_unary("/shop.Cart/uu")(b"x", timeout=0.15)
        until(lambda: meter.points(names.SERVER_DEADLINE_USED.name))
        until(lambda: meter.points(names.DEADLINE_USED.name))
    [used] = meter.points(names.DEADLINE_USED.name)
    [served] = meter.points(names.SERVER_DEADLINE_USED.name)

    assert used.attributes[names.CODE] == "DEADLINE_EXCEEDED"
    assert used.attributes[names.DEADLINE_ORIGIN] == "inbound"
    assert used.sum > 0.9
    assert served.attributes[names.METHOD] == "shop.Cart/uu"
    assert served.sum > 0.9
