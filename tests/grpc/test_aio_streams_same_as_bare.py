"""The first law for asyncio streams: every method answers as the bare one."""

import asyncio

import grpc
import grpc.aio
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


def _open(channel, arity, request=b"a", **others):
    if arity == "unary_stream":
        return channel.unary_stream("/shop.Same/Us")(request, **others)
    if arity == "stream_stream":
        return channel.stream_stream("/shop.Same/Ss")([b"a", b"b"], **others)
    return channel.stream_unary("/shop.Same/Su")([b"a", b"b"], **others)


async def _tried(run):
    try:
        found = run()
        return await found if hasattr(found, "__await__") else found
    except grpc.aio.AioRpcError as error:
        return "AioRpcError", error.code(), error.details(), error.trailing_metadata()
    except asyncio.CancelledError:
        return "cancelled"
    except Exception as error:  # noqa: BLE001 - compared
        return type(error), str(error)


async def _finished(call, *, connects=True):
    """What each method of a call that is over says.

    A native call with streamed requests that is cancelled at once never ends a
    `wait_for_connection`; ours does.
    """
    waits = await _tried(call.wait_for_connection) if connects else None
    debug = await _tried(call.debug_error_string)
    return {
        "code": await _tried(call.code),
        "details": await _tried(call.details),
        "initial_metadata": await _tried(call.initial_metadata),
        "trailing_metadata": await _tried(call.trailing_metadata),
        "debug_error_string": bool(debug),  # its parts come in any order
        "cancel": await _tried(call.cancel),
        "cancelled": await _tried(call.cancelled),
        "done": await _tried(call.done),
        "time_remaining": call.time_remaining() is None,
        "wait_for_connection": waits,
    }


async def _iterated(call):
    return [each async for each in call], await _finished(call)


async def _read(call):
    found = [await call.read() for _ in range(4)]
    return found, await _finished(call), await _tried(call.read)


async def _cancelled_at_once(call):
    assert call.cancel()
    again = await _tried(call.__aiter__().__anext__)
    return again, await _finished(call, connects=False)


async def _cancelled_between(call):
    reading = aiter(call)
    first = await anext(reading)
    call.cancel()
    second = await _tried(lambda: anext(reading))
    return first, second, await _finished(call)


async def _headers_first(call):
    headers = await call.initial_metadata()
    return headers, [each async for each in call], await _finished(call)


async def _connected(call):
    await call.wait_for_connection()
    return [each async for each in call], await _finished(call)


async def _at_work(call):
    return call.done(), call.cancelled(), aiter(call) is aiter(call), call.cancel()


async def _called_back(call):
    told = []
    call.add_done_callback(lambda given: told.append(given is call))
    found = [each async for each in call]
    call.add_done_callback(lambda given: told.append(given is call))
    return found, told


async def _mixed(call):
    await call.read()
    return await _tried(lambda: aiter(call))


SCENES = {
    "iterated": _iterated,
    "read": _read,
    "cancelled": _cancelled_at_once,
    "cancelled between": _cancelled_between,
    "headers first": _headers_first,
    "connected": _connected,
    "at work": _at_work,
    "called back": _called_back,
    "mixed": _mixed,
}


@pytest.fixture(params=["enforce", "observe"])
def compared(request, address):
    """What a scene gives on a bare channel, and on ours."""

    async def compare(run):
        engine = resilience.PolicyEngine()
        engine.mode = request.param
        async with grpc.aio.insecure_channel(address) as bare:
            expected = await run(bare)
        async with grpc.aio.insecure_channel(address) as bare:
            ours = resilience.grpc.aio.intercept_channel(bare, engine, target="t")
            found = await run(ours)
        engine.close()
        return found, expected

    return compare


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("arity", ["unary_stream", "stream_stream"])
async def test_a_stream_answers_as_the_bare_one(compared, arity, scene):
    """Every method, at each stage of its life."""
    found, expected = await compared(
        lambda channel: SCENES[scene](_open(channel, arity))
    )
    assert found == expected


@pytest.mark.parametrize("cancels", [False, True])
async def test_a_call_of_streamed_requests_answers_as_the_bare_one(compared, cancels):
    """Every method of it, when it was cancelled and when it was not."""

    async def scene(channel):
        call = _open(channel, "stream_unary")
        if cancels:
            call.cancel()
        answer = await _tried(lambda: call)
        return answer, await _finished(call, connects=not cancels)

    found, expected = await compared(scene)
    assert found == expected


@pytest.mark.parametrize("style", ["read", "iterate"])
async def test_a_failing_stream_answers_as_the_bare_one(compared, style):
    """Messages come first, then the error."""

    async def scene(channel):
        call = _open(channel, "unary_stream", b"fail")
        take = call.read if style == "read" else aiter(call).__anext__
        messages = [await take(), await take()]
        return messages, await _tried(take), await _finished(call)

    found, expected = await compared(scene)
    assert found == expected


async def test_a_written_stream_answers_as_the_bare_one(compared):
    """`write`, `read` and `done_writing` by turns, and after the end."""

    async def scene(channel):
        call = channel.stream_stream("/shop.Same/Ss")()
        told = []
        for message in (b"a", b"b"):
            await call.write(message)
            told.append(await call.read())
        told += [await _tried(call.done_writing), await _tried(call.done_writing)]
        told.append((await _tried(lambda: call.write(b"c")))[0])
        told += [await call.read(), await _tried(lambda: call.write(b"c"))]
        return told, await _finished(call)

    found, expected = await compared(scene)
    assert found == expected


async def test_a_message_that_is_none_is_told_to_its_writer(compared):
    """A wrong type fails the write as natively, and nothing else of the call."""

    async def scene(channel):
        call = channel.stream_unary("/shop.Same/Su")()
        wrong = await _tried(lambda: call.write(7))
        await call.write(b"a")
        await call.write(b"b")
        await call.done_writing()
        return wrong[0], await call

    found, expected = await compared(scene)
    assert found == expected


async def test_a_deadline_passes_as_on_the_bare_one(compared):
    """The caller's own timeout ends the stream (bare, sometimes as INTERNAL)."""

    async def scene(channel):
        call = channel.stream_stream("/shop.Same/Ss")(timeout=0.1)
        await call.write(b"a")
        first = await call.read()
        return first, (await _tried(call.read))[0], await call.code()

    found, expected = await compared(scene)
    assert found[:2] == expected[:2]
    assert found[2] is grpc.StatusCode.DEADLINE_EXCEEDED
