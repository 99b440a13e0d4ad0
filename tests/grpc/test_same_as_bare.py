"""The first law on the wire: under `PolicyEngine()` a channel behaves as a bare one."""

import functools

import grpc
import grpc.aio
import pytest

import resilience
import resilience.grpc


GET = "/shop.Cart/Get"


def _raise(*_):
    msg = "no"
    raise ValueError(msg)


def _result(run):
    """What *run* returned or raised, in a form that can be compared."""
    try:
        return _plain(run())
    except grpc.RpcError as error:
        return "error", type(error), _status(error)
    except Exception as error:  # noqa: BLE001 - compared
        return "exception", type(error), str(error)


def _plain(value):
    if isinstance(value, tuple) and len(value) == 2 and hasattr(value[1], "code"):
        return value[0], type(value[1]), _status(value[1])
    return value


def _status(call):
    return (
        call.code(),
        call.details(),
        tuple(call.initial_metadata() or ()),
        tuple(call.trailing_metadata() or ()),
        bool(call.debug_error_string()),  # older ones hold the time of day
    )


OPERATIONS = {
    "call": lambda channel: channel.unary_unary(GET)(b"a"),
    "with_call": lambda channel: channel.unary_unary(GET).with_call(b"a"),
    "future": lambda channel: channel.unary_unary(GET).future(b"a").result(),
    "metadata": lambda channel: channel.unary_unary(GET)(
        b"a", metadata=[("k", "1"), ("k", "2")]
    ),
    "one-shot metadata": lambda channel: channel.unary_unary(GET)(
        b"a", metadata=iter([("k", "1")])
    ),
    "bad metadata": lambda channel: channel.unary_unary(GET)(b"a", metadata=5),
    "bad metadata, future": lambda channel: channel.unary_unary(GET).future(
        b"a", metadata=5
    ),
    "bad serializer": lambda channel: channel.unary_unary(
        GET, request_serializer=_raise
    )(b"a"),
    "bad serializer, future": lambda channel: channel.unary_unary(
        GET, request_serializer=_raise
    ).future(b"a"),
    "bad deserializer": lambda channel: channel.unary_unary(
        GET, response_deserializer=_raise
    ).with_call(b"a"),
    "less than no time": lambda channel: channel.unary_unary(GET)(b"a", timeout=-1),
    "a timeout that is none": lambda channel: channel.unary_unary(GET)(
        b"a", timeout="soon"
    ),
    "gzip": lambda channel: channel.unary_unary(GET)(
        b"a" * 999, compression=grpc.Compression.Gzip
    ),
    "wait for ready": lambda channel: channel.unary_unary(GET)(
        b"a", wait_for_ready=True
    ),
    "no such method": lambda channel: channel.unary_unary("/shop.Cart/None")(b"a"),
    "no slash": lambda channel: channel.unary_unary("nothing")(b"a"),
    "call credentials without TLS": lambda channel: channel.unary_unary(GET)(
        b"a", credentials=grpc.access_token_call_credentials("t")
    ),
    "a positional timeout": lambda channel: channel.unary_unary(GET)(b"a", 5.0),
    "registered": lambda channel: channel.unary_unary(GET, _registered_method=True)(
        b"a"
    ),
    "unary_stream": lambda channel: list(channel.unary_stream("/shop.Cart/List")(b"a")),
    "stream_unary": lambda channel: channel.stream_unary("/shop.Cart/Sum")(
        iter([b"a", b"b"])
    ),
    "stream_stream": lambda channel: list(
        channel.stream_stream("/shop.Cart/Chat")(iter([b"a", b"b"]))
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wrapped_channel_does_what_a_bare_one_does(server, name):
    """Results, errors and call objects are those of a bare channel."""
    operation = OPERATIONS[name]
    engine = resilience.PolicyEngine(sinks=())

    with grpc.insecure_channel(server.address) as bare:
        expected = _result(lambda: operation(bare))
        expected_seen, server.seen[:] = server.seen[:], []
        wrapped = resilience.grpc.intercept_channel(bare, engine, target="cart")
        actual = _result(lambda: operation(wrapped))

    assert expected == actual
    assert [seen.request for seen in expected_seen] == [
        seen.request for seen in server.seen
    ]
    assert [seen.metadata for seen in expected_seen] == [
        seen.metadata for seen in server.seen
    ]


def test_a_closed_channel_refuses_as_grpc_does(server):
    """Calls after `close()` raise grpc's own `ValueError`."""
    engine = resilience.PolicyEngine(sinks=())

    def after_close(channel, entry):
        method = getattr(channel.unary_unary(GET), entry)
        channel.close()
        return method(b"a")

    for entry in ("__call__", "with_call", "future"):
        bare = grpc.insecure_channel(server.address)
        wrapped = resilience.grpc.intercept_channel(
            grpc.insecure_channel(server.address), engine, target="cart"
        )

        assert _result(functools.partial(after_close, bare, entry)) == _result(
            functools.partial(after_close, wrapped, entry)
        )


AIO_OPERATIONS = {
    "call": {},
    "metadata": {"metadata": (("k", "1"), ("k", "2"))},
    "aio metadata": {"metadata": grpc.aio.Metadata(("k", "1"), ("l", "2"))},
    "bad metadata": {"metadata": 5},
    "bad pairs": {"metadata": [1]},
    "less than no time": {"timeout": -1},
    "a timeout that is none": {"timeout": "soon"},
    "gzip": {"compression": grpc.Compression.Gzip},
    "wait for ready": {"wait_for_ready": True},
    "no such method": {"method": "/shop.Cart/None"},
    "credentials without TLS": {"credentials": grpc.access_token_call_credentials("t")},
}


async def _aio_result(channel, method=GET, **options):
    try:
        call = channel.unary_unary(method)(b"a", **options)
    except Exception as error:  # noqa: BLE001 - compared
        return "at once", type(error), str(error)
    try:
        response = await call
    except grpc.RpcError as error:
        response = type(error), error.code(), error.details()
    except Exception as error:  # noqa: BLE001 - compared
        return "when awaited", type(error)
    return (
        response,
        await call.code(),
        await call.details(),
        tuple(await call.initial_metadata()),
        tuple(await call.trailing_metadata()),
        bool(await call.debug_error_string()),
        call.done(),
        call.cancelled(),
    )


@pytest.mark.parametrize("name", AIO_OPERATIONS)
async def test_a_wrapped_asyncio_channel_does_what_a_bare_one_does(server, name):
    """Results, errors and call objects are those of a bare channel."""
    options = AIO_OPERATIONS[name]
    engine = resilience.PolicyEngine(sinks=())

    async with grpc.aio.insecure_channel(server.address) as bare:
        expected = await _aio_result(bare, **options)
        expected_seen, server.seen[:] = server.seen[:], []
        wrapped = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
        actual = await _aio_result(wrapped, **options)

    assert expected == actual
    assert [seen.metadata for seen in expected_seen] == [
        seen.metadata for seen in server.seen
    ]


async def test_the_other_asyncio_arities_work(server, engine):
    """Streams go through a wrapped asyncio channel as through a bare one."""

    async def requests():
        yield b"a"
        yield b"b"

    async with grpc.aio.insecure_channel(server.address) as bare:
        channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
        listed = [m async for m in channel.unary_stream("/shop.Cart/List")(b"a")]
        summed = await channel.stream_unary("/shop.Cart/Sum")(requests())
        chat = channel.stream_stream("/shop.Cart/Chat")(requests())
        chatted = [m async for m in chat]

    assert [b"a"] * 3 == listed
    assert summed == b"ab"
    assert [b"a", b"b"] == chatted


async def test_a_closed_asyncio_channel_refuses_as_grpc_does(server, engine):
    """A call on a closed channel raises when it is made, not when it is awaited."""
    bare = grpc.aio.insecure_channel(server.address)
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    method = channel.unary_unary(GET)
    await channel.close()

    with pytest.raises(grpc.aio.UsageError, match="closed"):
        method(b"a")
