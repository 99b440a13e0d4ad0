"""grpcio servers, blocking and asyncio, whose handlers misbehave in every way."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import grpc.aio


LARGE = b"x" * 100
SMALL = 10
"""A limit in bytes that `LARGE` exceeds."""


class Gate:
    """Where handlers wait: `called` when one is there, `open` to let all pass."""

    def __init__(self) -> None:
        self.called = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        """Wait until the gate opens; never for ever."""
        self.called.set()
        self.open.wait(20)


def _handlers(gate: Gate) -> grpc.GenericRpcHandler:
    def hang(request: bytes, context: Any) -> bytes:
        gate.wait()
        return request

    def fault(request: bytes, context: Any) -> bytes:
        msg = "no such key"
        raise KeyError(msg)

    def relay(request: bytes, context: Any) -> None:
        code, details = request.decode().split(" ", 1)
        context.abort(grpc.StatusCode[code], details)

    answers = {
        "Put": lambda request, context: request,
        "Large": lambda request, context: LARGE,
        "Nothing": lambda request, context: None,
        "Hang": hang,
        "Fault": fault,
        "Relay": relay,
    }
    methods = {
        name: grpc.unary_unary_rpc_method_handler(answer)
        for name, answer in answers.items()
    }
    return grpc.method_handlers_generic_handler("shop.Cart", methods)


@contextlib.contextmanager
def server(
    *,
    tls: grpc.ServerCredentials | None = None,
    gate: Gate | None = None,
    options: tuple[tuple[str, Any], ...] = (),
    address: str = "127.0.0.1:0",
    **more: Any,
) -> Iterator[str]:
    """A blocking server; gives its address."""
    gate = gate or Gate()
    with futures.ThreadPoolExecutor(4) as pool:
        made = grpc.server(pool, options=options, **more)
        made.add_generic_rpc_handlers((_handlers(gate),))
        if tls is None:
            port = made.add_insecure_port(address)
        else:
            port = made.add_secure_port(address, tls)
        made.start()
        try:
            yield address if address.startswith("unix:") else f"127.0.0.1:{port}"
        finally:
            gate.open.set()
            made.stop(None).wait()


@contextlib.contextmanager
def aio_server(gate: Gate | None = None, **more: Any) -> Iterator[str]:
    """An asyncio server on a thread of its own; gives its address."""
    gate = gate or Gate()
    started: futures.Future[tuple[str, asyncio.Event]] = futures.Future()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_serve, args=(loop, gate, started, more))
    thread.start()
    address, stop = started.result(20)
    try:
        yield address
    finally:
        gate.open.set()
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def _serve(loop, gate, started, more) -> None:
    async def fault(request: bytes, context: Any) -> bytes:
        msg = "no such key"
        raise KeyError(msg)

    async def hang(request: bytes, context: Any) -> bytes:
        await asyncio.to_thread(gate.wait)
        return request

    async def run() -> None:
        stop = asyncio.Event()
        made = grpc.aio.server(**more)
        handlers = {"Fault": fault, "Hang": hang}
        methods = {
            name: grpc.unary_unary_rpc_method_handler(answer)
            for name, answer in handlers.items()
        }
        service = grpc.method_handlers_generic_handler("shop.Cart", methods)
        made.add_generic_rpc_handlers((service,))
        port = made.add_insecure_port("127.0.0.1:0")
        await made.start()
        started.set_result((f"127.0.0.1:{port}", stop))
        await stop.wait()
        await made.stop(None)

    with contextlib.closing(loop):
        loop.run_until_complete(run())
