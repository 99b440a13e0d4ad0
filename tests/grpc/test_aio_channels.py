"""Asyncio channels from policy: as the blocking ones."""

import grpc
import grpc.aio
import pytest

import resilience.grpc
import resilience.grpc.aio


HEAD = 'version: 1\nedition: "2026.11"\nname: test\n'
BOUND_S = 20


@pytest.fixture
async def open_channel(make_engine):
    """`open_channel(address, "wait_for_ready: true")`: a channel from that section."""
    made = []

    def make(address, section="", *, rules="", **others):
        engine = make_engine(f"{HEAD}grpc: {{channel: {{{section}}}, {rules}}}")
        channel = resilience.grpc.aio.insecure_channel(
            address, engine, target="cart", **others
        )
        made.append(channel)
        return channel

    yield make
    for channel in made:
        await channel.close()


async def get(channel, request=b"x", **others):
    made = channel.unary_unary("/shop.Cart/Get")
    return await made(request, timeout=BOUND_S, **others)


async def test_calls_are_protected(open_channel, server):
    """A channel from policy is one that the engine protects."""
    server.script = [grpc.StatusCode.UNAVAILABLE]
    rules = (
        "all: {retry: {initial_backoff: 1ms, max_backoff: 2ms}}, "
        "methods: {shop.Cart/Get: {idempotency: safe}}"
    )
    channel = open_channel(server.address, rules=rules)

    assert b"x" == await get(channel)
    assert 2 == len(server.seen)


async def test_sizes_and_the_callers_options(open_channel, server):
    """A size of the policy holds until the caller gives that option itself."""
    given = [("grpc.max_receive_message_length", 200)]
    written = open_channel(server.address, "max_receive_size: 100B")
    overruled = open_channel(server.address, "max_receive_size: 100B", options=given)
    with pytest.raises(grpc.RpcError) as caught:
        await get(written, b"x" * 150)

    assert "RESOURCE_EXHAUSTED" == caught.value.code().name
    assert b"x" * 150 == await get(overruled, b"x" * 150)


async def test_round_robin_is_built_in(open_channel, server):
    """Without a word calls go to all addresses in turn."""
    other = type(server)()
    channel = open_channel(f"ipv4:{server.address},{other.address}")
    for _ in range(2000):
        await get(channel)
        if min(len(server.seen), len(other.seen)) >= 10:
            break
    counts = (len(server.seen), len(other.seen))
    await channel.close()
    other.stop()

    assert min(counts) >= 10


async def test_wait_for_ready(open_channel, refused_address):
    """Calls wait for a server that is not there yet, unless they say otherwise."""
    channel = open_channel(refused_address, "wait_for_ready: true")
    made = channel.unary_unary("/shop.Cart/Get")
    with pytest.raises(grpc.RpcError) as waited:
        await made(b"x", timeout=0.2)
    with pytest.raises(grpc.RpcError) as at_once:
        await made(b"x", timeout=BOUND_S, wait_for_ready=False)

    assert ("DEADLINE_EXCEEDED", "UNAVAILABLE") == (
        waited.value.code().name,
        at_once.value.code().name,
    )


async def test_secure_channel(make_engine):
    """The same with credentials."""

    async def echo(request, _):
        return request

    handler = grpc.unary_unary_rpc_method_handler(echo)
    generic = grpc.method_handlers_generic_handler("shop.Cart", {"Get": handler})
    local = grpc.aio.server()
    local.add_generic_rpc_handlers((generic,))
    port = local.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    await local.start()
    credentials = grpc.local_channel_credentials()
    async with resilience.grpc.aio.secure_channel(
        f"127.0.0.1:{port}", credentials, make_engine(), target="cart"
    ) as channel:
        answer = await get(channel)
    await local.stop(None)

    assert b"x" == answer


async def test_interceptors_see_each_attempt(open_channel, server):
    """The caller's interceptors run inside ours, once for each attempt."""
    seen = []

    class Note(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation, details, request):
            seen.append(details.method)
            return await continuation(details, request)

    server.script = [grpc.StatusCode.UNAVAILABLE]
    rules = "all: {idempotency: safe, retry: {initial_backoff: 1ms, max_backoff: 2ms}}"
    channel = open_channel(server.address, rules=rules, interceptors=[Note()])

    assert b"x" == await get(channel)
    assert 2 == len(seen)
