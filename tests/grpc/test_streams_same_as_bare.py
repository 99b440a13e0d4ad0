"""The first law for streams: every method of a call object answers as the bare one."""

import grpc
import pytest

import resilience
import resilience.grpc


def _serve(request, context):
    context.send_initial_metadata((("i", "1"), ("i", "2")))
    context.set_trailing_metadata((("t", "1"), ("t", "2")))
    for _ in range(2):
        yield request if isinstance(request, bytes) else next(request)
    if request == b"fail":
        context.abort(grpc.StatusCode.DATA_LOSS, "lost")


@pytest.fixture
def address(server):
    """A server whose streams have metadata, and may fail."""
    handlers = {
        "Us": grpc.unary_stream_rpc_method_handler(_serve),
        "Ss": grpc.stream_stream_rpc_method_handler(_serve),
        "Su": grpc.stream_unary_rpc_method_handler(
            lambda requests, context: b"".join(_serve(requests, context))
        ),
    }
    generic = grpc.method_handlers_generic_handler("shop.Same", handlers)
    server._server.add_generic_rpc_handlers((generic,))
    return server.address


def _open(channel, arity, **others):
    if arity == "unary_stream":
        return channel.unary_stream("/shop.Same/Us")(b"a", **others)
    if arity == "stream_stream":
        return channel.stream_stream("/shop.Same/Ss")(iter([b"a", b"b"]), **others)
    return channel.stream_unary("/shop.Same/Su").future(iter([b"a", b"b"]), **others)


def _tried(run):
    try:
        return run()
    except grpc.RpcError as error:
        status = (error.code(), error.details()) if hasattr(error, "code") else ()
        return "RpcError", status
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), str(error)


def _metadata(found):
    return tuple((key, value) for key, value in found or ())


def _callbacks(call):
    """What becomes of callbacks that are added after the end."""
    told = []
    is_taken = call.add_callback(lambda: told.append("called"))
    call.add_done_callback(lambda given: told.append(given is call))
    return is_taken, told


def _finished(call):
    """What each method of a call that is over says."""
    return {
        "code": _tried(call.code),
        "details": _tried(call.details),
        "initial_metadata": _tried(lambda: _metadata(call.initial_metadata())),
        "trailing_metadata": _tried(lambda: _metadata(call.trailing_metadata())),
        "cancel": _tried(call.cancel),
        "cancelled": _tried(call.cancelled),
        "done": _tried(call.done),
        "running": _tried(call.running),
        "is_active": _tried(call.is_active),
        "result": _tried(lambda: call.result(timeout=10)),
        "exception": type(_tried(lambda: call.exception(timeout=10))).__mro__[-2:],
        "traceback": type(_tried(lambda: call.traceback(timeout=10))),
        "repr": repr(call).partition(" of RPC")[2].partition("debug_error")[0],
    }


def _read_to_the_end(call):
    list(call)
    again = _tried(lambda: next(call)), _tried(lambda: next(call))
    return _finished(call), again, _callbacks(call)


def _cancelled_at_once(call):
    assert call.cancel()
    told = _finished(call)
    del told["initial_metadata"]  # they may have come before, on either channel
    return told


def _cancelled_between(call):
    first = next(call)
    call.cancel()
    return first, _finished(call), _tried(lambda: next(call))


def _headers_first(call):
    return _metadata(call.initial_metadata()), list(call), _finished(call)


def _at_work(call):
    found = call.is_active(), call.done(), call.running(), call.time_remaining() is None
    list(call)
    return found


SCENES = {
    "read": _read_to_the_end,
    "cancelled": _cancelled_at_once,
    "cancelled between": _cancelled_between,
    "headers first": _headers_first,
    "at work": _at_work,
}


def _compared(address, run):
    """What *run* gives on a bare channel, and on ours."""
    engine = resilience.PolicyEngine()
    with grpc.insecure_channel(address) as bare:
        expected = run(bare)
    with grpc.insecure_channel(address) as bare:
        found = run(resilience.grpc.intercept_channel(bare, engine, target="t"))
    engine.close()
    return found, expected


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
def test_a_stream_answers_as_the_bare_one(address, arity, scene):
    """Every method, at each stage of its life."""
    found, expected = _compared(
        address, lambda channel: SCENES[scene](_open(channel, arity))
    )
    assert found == expected


@pytest.mark.parametrize("run", [_finished, _cancelled_at_once])
def test_a_future_of_streamed_requests_answers_as_the_bare_one(address, run):
    """Every method of it, when it was cancelled and when it was not."""

    def scene(channel):
        call = _open(channel, "stream_unary")
        if run is _finished:
            call.result(timeout=10)
        return run(call)

    found, expected = _compared(address, scene)
    assert found == expected


def test_a_failing_stream_answers_as_the_bare_one(address):
    """Messages come first, then the error, which is the call itself."""

    def scene(channel):
        call = channel.unary_stream("/shop.Same/Us")(b"fail")
        messages = [next(call), next(call)]
        with pytest.raises(grpc.RpcError) as raised:
            next(call)
        return messages, raised.value is call, _finished(call)

    found, expected = _compared(address, scene)
    assert found == expected
