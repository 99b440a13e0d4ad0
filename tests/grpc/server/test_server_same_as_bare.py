"""Behind the server interceptor, clients see what they see without it."""

import grpc
import pytest

from resilience.grpc.errors import ErrorMap
from resilience.grpc.server import server_interceptor


OURS = {"x-resilience-server", "x-resilience-call"}


def returns(request, context):
    return b"r"


def raises(request, context):
    raise ValueError(7)


def returns_none(request, context):
    return None


def sets_code(request, context):
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    context.set_trailing_metadata((("a", "1"), ("a", "2"), ("b-bin", b"\x00")))
    return b"r"


def aborts(request, context):
    context.send_initial_metadata((("early", "1"),))
    context.set_trailing_metadata((("a", "1"),))
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def aborts_ok(request, context):
    context.abort(grpc.StatusCode.OK, "")


class Status(grpc.Status):
    code = grpc.StatusCode.ABORTED
    details = "status"
    trailing_metadata = (("s", "1"),)


def aborts_with_status(request, context):
    context.abort_with_status(Status())


def sets_and_raises(request, context):
    context.set_code(grpc.StatusCode.OUT_OF_RANGE)
    raise ValueError(7)


def suppresses_abort(request, context):
    try:
        context.abort(grpc.StatusCode.ABORTED, "no")
    except Exception:  # noqa: BLE001 - as some applications do
        return b"r"


HANDLERS = [
    returns,
    raises,
    returns_none,
    sets_code,
    aborts,
    aborts_ok,
    aborts_with_status,
    sets_and_raises,
    suppresses_abort,
]


def yields(request, context):
    yield b"1"
    yield b"2"


def yields_and_raises(request, context):
    yield b"1"
    raise ValueError(7)


def yields_and_aborts(request, context):
    yield b"1"
    context.set_trailing_metadata((("a", "1"), ("a", "2")))
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def returns_an_iterator(request, context):
    return iter([b"1", b"2"])


def returns_no_iterator(request, context):
    return [b"1"]


STREAMS = [
    yields,
    yields_and_raises,
    yields_and_aborts,
    returns_an_iterator,
    returns_no_iterator,
    raises,
    aborts,
]


def seen(got, call):
    """All that a client sees of a call, but for what we add."""
    trailing = tuple(
        (pair.key, pair.value)
        for pair in call.trailing_metadata() or ()
        if pair.key not in OURS
    )
    initial = tuple((pair.key, pair.value) for pair in call.initial_metadata() or ())
    return got, call.code(), call.details(), initial, trailing


@pytest.mark.parametrize("errors", [None, ErrorMap()], ids=["plain", "mapped"])
@pytest.mark.parametrize("handler", HANDLERS, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("arity", ["uu", "su"])
def test_one_response(serve, arity, handler, errors):
    """A handler that answers once does so as ever."""
    bare = serve(**{arity: handler})
    ours = serve(server_interceptor(errors=errors), **{arity: handler})

    assert seen(*bare.call(arity)) == seen(*ours.call(arity))


@pytest.mark.parametrize("errors", [None, ErrorMap()], ids=["plain", "mapped"])
@pytest.mark.parametrize("handler", STREAMS, ids=lambda handler: handler.__name__)
@pytest.mark.parametrize("arity", ["us", "ss"])
def test_a_stream_of_responses(serve, arity, handler, errors):
    """A handler that answers with a stream does so as ever."""
    bare = serve(**{arity: handler})
    ours = serve(server_interceptor(errors=errors), **{arity: handler})

    assert seen(*bare.call(arity)) == seen(*ours.call(arity))


def test_a_missing_method_is_missing(serve):
    """What no handler serves is not ours either."""
    bare, ours = serve(uu=returns), serve(server_interceptor(), uu=returns)

    ends = []
    for server in (bare, ours):
        with pytest.raises(grpc.RpcError) as caught:
            server.channel.unary_unary("/shop.Cart/Nothing")(b"x", timeout=10)
        ends.append(seen(None, caught.value))

    assert ends[0] == ends[1]
