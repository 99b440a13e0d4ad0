"""The asyncio server interceptor: as its blocking twin, and as bare to clients."""

import asyncio
import contextlib

import grpc
import grpc.aio
import pytest

from resilience.context import ambient_criticality, ambient_deadline, inbound, monotonic
from resilience.grpc.aio.server import server_interceptor


async def counted(ours):
    while not ours.counts().served:  # noqa: ASYNC110 - the server says no more
        await asyncio.sleep(0)


def seen_by(style, look):  # noqa: C901 - a list of all kinds
    """A handler of *style* that calls *look* in each of its steps."""
    if style == "coroutine":

        async def handler(request, context):
            await asyncio.sleep(0)
            look(context)
            return b"r"
    elif style == "generator":

        async def handler(request, context):
            for _ in range(3):
                await asyncio.sleep(0)
                look(context)
                yield b"r"
    elif style == "writer":

        async def handler(request, context):
            for _ in range(3):
                look(context)
                await context.write(b"r")
    elif style == "sync":

        def handler(request, context):
            look(context)
            return b"r"
    else:

        def handler(request, context):
            for _ in range(3):
                look(context)
                yield b"r"

    return handler


STYLES = [
    ("uu", "coroutine"),
    ("su", "coroutine"),
    ("us", "generator"),
    ("ss", "generator"),
    ("us", "writer"),
    ("ss", "writer"),
    ("uu", "sync"),
    ("su", "sync"),
    ("us", "sync generator"),
    ("ss", "sync generator"),
]


@pytest.mark.parametrize(("arity", "style"), STYLES)
async def test_the_inbound_deadline_is_the_ambient_one(
    serve_aio, end_aio, arity, style
):
    """In each step of any kind of handler, its calls may spend its caller's time."""
    found = []

    def look(context):
        left = ambient_deadline() - monotonic()
        found.append((left, context.time_remaining() - left))

    channel = await serve_aio(server_interceptor(), **{arity: seen_by(style, look)})

    got, code, *_ = await end_aio(channel, arity, timeout=20)

    assert grpc.StatusCode.OK is code
    assert len(got) == len(found)
    for left, reserve in found:
        assert 10 < left < 20
        assert 0.15 < reserve < 0.25


@pytest.mark.parametrize(("arity", "style"), STYLES)
async def test_nothing_of_a_call_is_left_behind(serve_aio, end_aio, arity, style):
    """The next call sees its own deadline, or none."""
    found = []

    def look(context):
        found.append(ambient_deadline())

    channel = await serve_aio(server_interceptor(), **{arity: seen_by(style, look)})

    await end_aio(channel, arity, timeout=20)
    count = len(found)
    for _ in range(5):
        await end_aio(channel, arity, timeout=None)

    assert None not in found[:count]
    assert {None} == set(found[count:])


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [(None, (0, None)), (lambda _: True, (3, "critical_plus"))],
)
async def test_marks_are_believed_from_trusted_peers_only(
    serve_aio, end_aio, trusted, expected
):
    """By default nobody is trusted."""
    found = []

    def look(context):
        found.append((inbound.get().previous_attempts, ambient_criticality.get()))

    ours = server_interceptor(trusted=trusted)
    channel = await serve_aio(ours, uu=seen_by("coroutine", look))

    await end_aio(
        channel,
        "uu",
        metadata=(
            ("x-retry-attempt", "1"),
            ("x-resilience-previous-attempts", "2"),
            ("x-resilience-criticality", "critical_plus"),
        ),
    )

    assert [expected] == found


@pytest.mark.parametrize(
    ("arity", "style"), [("uu", "coroutine"), ("us", "generator"), ("us", "writer")]
)
async def test_a_caller_that_leaves_stops_the_handler(
    serve_aio, start_aio, arity, style
):
    """Cancellation reaches the handler as ever, then what it had begun is stopped."""
    ours = server_interceptor()
    begun, stopped = asyncio.Event(), asyncio.Event()
    found = []

    async def wait():
        found.append(inbound.get())
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async def coroutine(request, context):
        await wait()

    async def generator(request, context):
        await wait()
        yield b"r"

    handler = generator if style == "generator" else coroutine
    channel = await serve_aio(ours, **{arity: handler})
    call = start_aio(channel, arity, timeout=60)
    reading = asyncio.ensure_future(call if arity == "uu" else call.read())
    async with asyncio.timeout(10):
        await begun.wait()

        call.cancel()

        await stopped.wait()
        await counted(ours)
    with contextlib.suppress(asyncio.CancelledError):
        await reading
    assert found[0].has_left
    assert (1, 1) == (ours.counts().served, ours.counts().cancelled)


async def test_what_finishes_after_its_caller_left_is_counted(serve_aio, start_aio):
    """A handler that swallows its cancellation and goes on works for nobody."""
    ours = server_interceptor()
    begun = asyncio.Event()

    async def stubborn(request, context):
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return b"r"

    channel = await serve_aio(ours, uu=stubborn)
    call = start_aio(channel, "uu", timeout=60)
    async with asyncio.timeout(10):
        await begun.wait()
        call.cancel()
        await counted(ours)

    assert 1 == ours.counts().late


async def fails(request, context):
    raise ValueError(7)


async def test_both_ends_have_the_same_id(serve_aio, start_aio, caplog):
    """Each answer names the server and the id under which the server logs the call."""
    channel = await serve_aio(server_interceptor(identity="pod-7"), uu=fails)

    with caplog.at_level("WARNING", "resilience.server"):
        call = start_aio(channel, "uu")
        with contextlib.suppress(grpc.RpcError):
            await call

    told = dict(tuple(await call.trailing_metadata()))
    (line,) = [r for r in caplog.records if r.name == "resilience.server"]
    assert "pod-7" == told["x-resilience-server"]
    assert told["x-resilience-call"] == line.resilience["call_id"]


@pytest.mark.slow
@pytest.mark.parametrize("arity", ["uu", "us"])
async def test_work_whose_time_is_up_is_not_begun(serve_aio, end_aio, arity):
    """A call whose deadline passed before its handler could start never runs."""
    ran = []

    class Late(grpc.aio.ServerInterceptor):
        """As a loop that was too busy: the call comes to us after its end."""

        async def intercept_service(self, continuation, details):
            handler = await continuation(details)
            name = "unary_unary" if arity == "uu" else "unary_stream"
            inner = getattr(handler, name)

            async def wait(context):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

            async def later(request, context):
                await wait(context)
                return await inner(request, context)

            async def later_all(request, context):
                await wait(context)
                async for response in inner(request, context):
                    yield response

            made = later if arity == "uu" else later_all
            return handler._replace(**{name: made})

    ours = server_interceptor()
    style = "coroutine" if arity == "uu" else "generator"
    channel = await serve_aio(Late(), ours, **{arity: seen_by(style, ran.append)})

    _, code, *_ = await end_aio(channel, arity, timeout=0.1)
    async with asyncio.timeout(10):
        await counted(ours)

    assert grpc.StatusCode.DEADLINE_EXCEEDED is code
    assert [] == ran
    assert 1 == ours.counts().dropped_deadline


@pytest.mark.parametrize("mode", ["bypass", "observe"])
async def test_an_engine_that_does_not_act_leaves_calls_alone(
    serve_aio, start_aio, make_engine, mode
):
    """In bypass and observe nothing is adopted and nothing is told."""
    engine = make_engine()
    engine.mode = mode
    found = []

    def look(context):
        found.append((inbound.get(), ambient_deadline()))

    ours = server_interceptor(engine)
    channel = await serve_aio(ours, uu=seen_by("coroutine", look))
    call = start_aio(channel, "uu")
    await call

    assert [(None, None)] == found
    assert () == tuple(await call.trailing_metadata())
    assert (0 if mode == "bypass" else 1) == ours.counts().served
