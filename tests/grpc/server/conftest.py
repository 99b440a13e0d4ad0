"""Servers with handlers of the test's own, and bare channels to them."""

import contextlib
from concurrent import futures

import grpc
import grpc.aio
import pytest


OURS = {"x-resilience-server", "x-resilience-call"}
MAKERS = {
    "uu": grpc.unary_unary_rpc_method_handler,
    "us": grpc.unary_stream_rpc_method_handler,
    "su": grpc.stream_unary_rpc_method_handler,
    "ss": grpc.stream_stream_rpc_method_handler,
}


class Behind:
    """A server with one handler behind the interceptor, and a bare channel to it."""

    def __init__(self, interceptors, **handlers):
        self._server = grpc.server(
            futures.ThreadPoolExecutor(8), interceptors=interceptors
        )
        made = {name: MAKERS[name](handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("shop.Cart", made),)
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()
        # What C-core would strip reaches the server so.
        options = [("grpc.enable_retries", 0)]
        self.channel = grpc.insecure_channel(self.address, options=options)

    def call(self, arity="uu", request=b"x", **others):
        """The end of one call: what came, and the call object."""
        if arity in ("uu", "us"):
            made = getattr(
                self.channel, {"uu": "unary_unary", "us": "unary_stream"}[arity]
            )
        else:
            made = getattr(
                self.channel, {"su": "stream_unary", "ss": "stream_stream"}[arity]
            )
            request = iter([request, request])
        method = made(f"/shop.Cart/{arity}")
        others.setdefault("timeout", 10)
        if arity in ("uu", "su"):
            try:
                response, call = method.with_call(request, **others)
            except grpc.RpcError as error:
                return None, error
            return response, call
        call = method(request, **others)
        got = []
        with contextlib.suppress(grpc.RpcError):
            got.extend(call)
        return got, call

    def stop(self):
        self.channel.close()
        self._server.stop(None).wait()


@pytest.fixture
def serve():
    """`serve(interceptor, uu=handler, ...)`: a running server."""
    made = []

    def make(*interceptors, **handlers):
        made.append(Behind(interceptors, **handlers))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
async def serve_aio():
    """Makes a channel to a running asyncio server with the given handlers."""
    made = []

    async def make(*interceptors, **handlers):
        server = grpc.aio.server(interceptors=interceptors)
        methods = {name: MAKERS[name](handler) for name, handler in handlers.items()}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("shop.Cart", methods),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        options = [("grpc.enable_retries", 0)]
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options)
        made.append((channel, server))
        return channel

    yield make
    for channel, server in made:
        await channel.close()
        await server.stop(None)


def _start(channel, arity, **others):
    others.setdefault("timeout", 10)
    path = f"/shop.Cart/{arity}"
    if arity == "uu":
        return channel.unary_unary(path)(b"x", **others)
    if arity == "us":
        return channel.unary_stream(path)(b"x", **others)
    if arity == "su":
        return channel.stream_unary(path)(iter(()), **others)
    return channel.stream_stream(path)(iter(()), **others)


async def _end(channel, arity, **others):
    """All that a client sees of one call, but for what we add."""
    call = _start(channel, arity, **others)
    got = []
    with contextlib.suppress(grpc.RpcError):
        if arity in ("uu", "su"):
            got.append(await call)
        else:
            async for response in call:
                got.append(response)  # noqa: PERF401 - what came before it failed
    trailing = tuple(
        (key, value) for key, value in await call.trailing_metadata() if key not in OURS
    )
    initial = tuple(await call.initial_metadata() or ())
    return got, await call.code(), await call.details(), initial, trailing


@pytest.fixture
def start_aio():
    """Starts a call of an arity on an asyncio channel."""
    return _start


@pytest.fixture
def end_aio():
    """Makes such a call; all that a client sees of it, but for what we add."""
    return _end
