"""Behind the asyncio interceptor, clients see what they see without it."""

import grpc
import pytest

from resilience.grpc.aio.server import server_interceptor
from resilience.grpc.errors import ErrorMap


async def returns(request, context):
    return b"r"


async def raises(request, context):
    raise ValueError(7)


async def returns_none(request, context):
    return None


async def sets_code(request, context):
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("gone")
    context.set_trailing_metadata((("a", "1"), ("a", "2"), ("b-bin", b"\x00")))
    return b"r"


async def aborts(request, context):
    await context.send_initial_metadata((("early", "1"),))
    await context.abort(grpc.StatusCode.DATA_LOSS, "lost")


async def aborts_with_metadata(request, context):
    context.set_trailing_metadata((("replaced", "1"),))
    await context.abort(grpc.StatusCode.DATA_LOSS, "lost", (("a", "1"),))


async def sets_and_raises(request, context):
    context.set_code(grpc.StatusCode.OUT_OF_RANGE)
    raise ValueError(7)


def sync_returns(request, context):
    return b"r"


def sync_raises(request, context):
    raise ValueError(7)


def sync_aborts(request, context):
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


async def yields(request, context):
    yield b"1"
    yield b"2"


async def yields_and_raises(request, context):
    yield b"1"
    raise ValueError(7)


async def yields_and_aborts(request, context):
    yield b"1"
    await context.abort(grpc.StatusCode.DATA_LOSS, "lost")


async def writes(request, context):
    await context.write(b"1")
    await context.write(b"2")


async def writes_and_raises(request, context):
    await context.write(b"1")
    raise ValueError(7)


def sync_yields(request, context):
    yield b"1"
    yield b"2"


def sync_yields_and_raises(request, context):
    yield b"1"
    raise ValueError(7)


ONE = [
    returns,
    raises,
    returns_none,
    sets_code,
    aborts,
    aborts_with_metadata,
    sets_and_raises,
    sync_returns,
    sync_raises,
    sync_aborts,
]
MANY = [
    yields,
    yields_and_raises,
    yields_and_aborts,
    writes,
    writes_and_raises,
    sync_yields,
    sync_yields_and_raises,
]


@pytest.mark.parametrize("errors", [None, ErrorMap()], ids=["plain", "mapped"])
@pytest.mark.parametrize(
    ("arity", "handler"),
    [(a, h) for a in ("uu", "su") for h in ONE]
    + [(a, h) for a in ("us", "ss") for h in MANY],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_clients_see_what_they_see_without_us(
    serve_aio, end_aio, arity, handler, errors
):
    """Whatever kind of handler answers, it does so as ever."""
    bare = await serve_aio(**{arity: handler})
    ours = await serve_aio(server_interceptor(errors=errors), **{arity: handler})

    assert await end_aio(bare, arity) == await end_aio(ours, arity)
