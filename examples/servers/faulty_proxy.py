"""An HTTP proxy that fails on schedule: `python -m examples.servers.faulty_proxy`.

It stands between an AWS client and a real endpoint (moto). Faults by share: `error`
(500 before execution), `drop` (connection closed before execution), `lose` (executed,
then the connection is closed: a lost answer), `stall` (held, then executed).

A second port controls it: /counts, /shares and /outage (JSON), /release, /reset.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .faults import draw
from .http_wire import Request, answer, forward, read_request
from .ports import HOST


FAULTS = ("error", "drop", "lose", "stall")
S3_VERBS = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject"}


def operation(request: Request) -> str:
    """`service.Operation` of a request, as far as faults and counts need it."""
    target = request.header("x-amz-target")
    if target:
        service, _, name = target.partition(".")
        return f"{service.partition('_')[0].lower()}.{name}"
    path = request.path.partition("?")[0].strip("/")
    if "/" not in path:
        return f"s3.{request.verb}-bucket"
    return f"s3.{S3_VERBS.get(request.verb, request.verb)}"


def internal_error(request: Request) -> bytes:
    """The 500 that S3 or DynamoDB would send."""
    if request.header("x-amz-target"):
        kind = "com.amazonaws.dynamodb.v20120810#InternalServerError"
        body = json.dumps({"__type": kind, "message": "try again"}).encode()
        headers = {"Content-Type": "application/x-amz-json-1.0"}
    else:
        body = (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
            b"<Message>We encountered an internal error. Please try again.</Message>"
            b"<RequestId>EXAMPLE</RequestId><HostId>EXAMPLE</HostId></Error>"
        )
        headers = {"Content-Type": "application/xml", "x-amz-request-id": "EXAMPLE"}
    shown = b"" if request.verb == "HEAD" else body
    return answer("500 Internal Server Error", headers, shown)


class FaultyProxy:
    """The proxy. Owned by one event loop."""

    def __init__(
        self, upstream_port: int, seed: int, shares: dict[str, float], stall_s: float
    ) -> None:
        self.shares = shares
        """Fault to share of all requests, 0.0-1.0."""
        self.stall_s = stall_s
        self.outage = ""
        """A fault that every request meets until it is lifted; empty: none."""
        self.counts: Counter[str] = Counter()
        """`operation what` to requests: `received`, `executed` and each fault."""
        self._upstream_port = upstream_port
        self._seed = seed
        self._seen: Counter[str] = Counter()
        self._held = 0
        self._released = asyncio.Event()

    def release(self) -> None:
        """Execute what is held now, instead of later."""
        self._released.set()
        self._released = asyncio.Event()

    def reset(self) -> None:
        """Forget all counts and repetitions, and lift an outage."""
        self.outage = ""
        self.counts.clear()
        self._seen.clear()

    async def connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one client connection until it ends or a fault ends it."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while request := await read_request(reader, writer):
                reply = await self._reply(request)
                if reply is None:
                    break
                writer.write(reply)
                await writer.drain()
        writer.transport.abort()

    async def _reply(self, request: Request) -> bytes | None:
        name = operation(request)
        fault = self.outage or self._draw(name, request)
        self._count(name, "received", fault)
        if fault == "drop":
            return None
        if fault == "error":
            return internal_error(request)
        self._held += fault == "stall"
        try:
            if fault == "stall":
                await self._hold()
            reply = await forward(request, HOST, self._upstream_port)
        finally:
            self._held -= fault == "stall"
        self._count(name, "executed")
        return None if fault == "lose" else reply

    async def _hold(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.stall_s):
                await self._released.wait()

    def _draw(self, name: str, request: Request) -> str:
        content = hashlib.blake2b(request.body, digest_size=8).hexdigest()
        subject = f"{name} {request.path} {content}"
        self._seen[subject] += 1
        return draw(self.shares, self._seed, subject, self._seen[subject])

    def _count(self, name: str, *words: str) -> None:
        self.counts.update(f"{name} {word}" for word in words if word)

    async def control(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one control request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = await read_request(reader, writer)
            if request:
                writer.write(self._controlled(request))
                await writer.drain()
        writer.close()

    def _controlled(self, request: Request) -> bytes:
        given = json.loads(request.body) if request.body else None
        actions: dict[str, Callable[[Any], None]] = {
            "/counts": lambda _: None,
            "/reset": lambda _: self.reset(),
            "/release": lambda _: self.release(),
            "/shares": self._set_shares,
            "/outage": self._set_outage,
        }
        if request.path not in actions:
            return answer("404 Not Found", {"Connection": "close"}, b"")
        actions[request.path](given)
        body = json.dumps({**self.counts, "held": self._held}).encode()
        headers = {"Content-Type": "application/json", "Connection": "close"}
        return answer("200 OK", headers, body)

    def _set_shares(self, given: dict[str, float]) -> None:
        self.shares = {fault: float(given.get(fault, 0)) for fault in FAULTS}

    def _set_outage(self, given: str) -> None:
        self.outage = given if given in FAULTS else ""


async def serve(proxy: FaultyProxy, port: int, control_port: int) -> None:
    """Serve on loopback until SIGTERM or SIGINT."""
    await asyncio.start_server(proxy.control, HOST, control_port)
    await asyncio.start_server(proxy.connection, HOST, port)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    await done.wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description="An HTTP proxy that fails.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--upstream-port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stall-s", type=float, default=8.0)
    for fault in FAULTS:
        parser.add_argument(f"--{fault}", type=float, default=0.0, metavar="SHARE")
    flags = parser.parse_args(argv)
    shares = {fault: float(getattr(flags, fault)) for fault in FAULTS}
    draw(shares, flags.seed)  # refuses impossible shares before the first request
    proxy = FaultyProxy(flags.upstream_port, flags.seed, shares, flags.stall_s)
    asyncio.run(serve(proxy, flags.port, flags.control_port))


if __name__ == "__main__":
    main()
