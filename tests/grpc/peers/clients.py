"""One call in any arity and style, steered by the same few words.

A test written with these runs unchanged on blocking calls, futures and asyncio. All
words block, for `WAIT_S` at most; asyncio has a loop on a thread of its own.
"""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent import futures
from time import monotonic
from typing import Any, NamedTuple

import grpc
import grpc.aio

import resilience.grpc
import resilience.grpc.aio
from resilience import PolicyEngine

from .attempts import WAIT_S


STYLES = ("blocking", "future", "asyncio")
STEERED = ("future", "asyncio")
"""Styles whose calls are steered while they run."""


def ways(
    arities: Sequence[str], styles: Sequence[str] = STYLES
) -> list[tuple[str, str]]:
    """Every arity in every style; streamed answers have no blocking form."""
    return [
        (arity, style)
        for arity in arities
        for style in styles
        if not (arity.endswith("stream") and style == "blocking")
    ]


TARGET = "core"
_POLICY = """
version: 1
edition: "2026.11"
name: core
all:
  idempotency: safe
  breaker: off
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 1ms, max_backoff: 2ms,
          retry_on: [default, ABORTED]}
grpc:
  all:
"""


def core_policy(more: str = "") -> str:
    """Three quick attempts, after `ABORTED`, too; *more*: lines of the same section."""
    lines = more.splitlines() or ["idempotency: safe"]
    return _POLICY + "".join(f"    {line}\n" for line in lines)


class End(NamedTuple):
    """How a call ended."""

    messages: list[bytes]
    """Answers that were read, before and now."""
    code: str
    details: str
    error: Any
    """What the caller caught; None: nothing."""


class Source:
    """Streamed requests for both worlds: messages, and events to be waited for."""

    def __init__(self, *items: bytes | threading.Event) -> None:
        self.given = 0
        """Messages that were handed out."""
        self.most = 0
        """Readers that were inside at the same time, at most."""
        self.entered = threading.Condition()
        """Notified each time a message is asked for."""
        self.asked = 0
        self._items = list(items)
        self.inside = 0
        """Readers that wait for a message."""

    def _enter(self) -> None:
        with self.entered:
            self.asked += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.entered.notify_all()

    def _leave(self) -> None:
        with self.entered:
            self.inside -= 1

    def wait_until_asked(self, count: int) -> None:
        """Wait until a message was asked for *count* times."""
        with self.entered:
            assert self.entered.wait_for(lambda: self.asked >= count, WAIT_S)

    def __iter__(self) -> Iterator[bytes]:
        return _Blocking(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._awaited()

    async def _awaited(self) -> AsyncIterator[bytes]:
        reading = iter(self)
        while True:
            # Only what waits needs a thread: order among tasks stays as it is.
            if self._items and isinstance(self._items[0], bytes):
                found = next(reading, None)
            else:
                found = await asyncio.to_thread(next, reading, None)
            if found is None:
                return
            yield found

    def next(self) -> bytes:
        """The next message; waits for the events before it."""
        self._enter()
        try:
            while self._items:
                item = self._items.pop(0)
                if isinstance(item, bytes):
                    self.given += 1
                    return item
                assert item.wait(WAIT_S)
            raise StopIteration
        finally:
            self._leave()


class _Blocking:
    def __init__(self, source: Source) -> None:
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._source.next()


class Running:
    """A call that was begun."""

    def next(self) -> bytes | None:
        """The next answer; None: there is none any more."""
        raise NotImplementedError

    def end(self) -> End:
        """Read what is left, to the end."""
        raise NotImplementedError

    def cancel(self) -> bool:
        """Cancel it."""
        raise NotImplementedError

    def headers(self) -> list[tuple[str, str]]:
        """The initial metadata, once they are there."""
        raise NotImplementedError

    def drop(self) -> Callable[[], Any]:
        """Forget the call's handle; returns a weak reference to what carries it."""
        raise NotImplementedError


class _Called(Running):
    """A blocking call on a thread of its own."""

    def __init__(self, call: Callable[[], bytes]) -> None:
        self._end: futures.Future[End] = futures.Future()
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    def _run(self, call: Callable[[], bytes]) -> None:
        try:
            end = End([call()], "OK", "", None)
        except grpc.RpcError as error:
            end = End([], error.code().name, error.details(), error)
        except BaseException as error:
            self._end.set_exception(error)
            raise
        self._end.set_result(end)

    def end(self) -> End:
        return self._end.result(WAIT_S)


class _Handled(Running):
    """A future, or a stream of blocking grpc."""

    def __init__(self, call: Any, *, streams: bool) -> None:
        self._call = call
        self._streams = streams
        self._messages: list[bytes] = []

    def next(self) -> bytes | None:
        message = next(self._call, None)
        if message is not None:
            self._messages.append(message)
        return message

    def end(self) -> End:
        call, caught = self._call, None
        try:
            if self._streams:
                while self.next() is not None:
                    pass
            else:
                self._messages.append(call.result(timeout=WAIT_S))
        except (grpc.RpcError, grpc.FutureCancelledError) as error:
            caught = error
        return End(self._messages, call.code().name, call.details(), caught)

    def cancel(self) -> bool:
        return self._call.cancel()

    def headers(self) -> list[tuple[str, str]]:
        return [tuple(pair) for pair in self._call.initial_metadata()]

    def drop(self) -> Callable[[], Any]:
        carried = weakref.ref(self._call._flight)
        del self._call
        return carried


class _Awaited(Running):
    """A call on a loop that runs elsewhere."""

    def __init__(self, run: Callable[[Any], Any], make: Callable[[], Any]) -> None:
        self._run = run
        self._messages: list[bytes] = []
        self._call = run(_calling(make))

    def next(self) -> bytes | None:
        message = self._run(self._call.read())
        if message is grpc.aio.EOF:
            return None
        self._messages.append(message)
        return message

    def end(self) -> End:
        return self._run(self._ending())

    async def _ending(self) -> End:
        call, caught = self._call, None
        try:
            if hasattr(call, "read"):
                while (message := await call.read()) is not grpc.aio.EOF:
                    self._messages.append(message)
            else:
                self._messages.append(await call)
        except (grpc.RpcError, asyncio.CancelledError) as error:
            caught = error
        code, details = await call.code(), await call.details()
        return End(self._messages, code.name, details, caught)

    def cancel(self) -> bool:
        return self._run(_calling(self._call.cancel))

    def headers(self) -> list[tuple[str, str]]:
        return [tuple(pair) for pair in self._run(self._call.initial_metadata())]

    def drop(self) -> Callable[[], Any]:
        return self._run(self._dropping())

    async def _dropping(self) -> Callable[[], Any]:
        carried = weakref.ref(getattr(self._call, "_flight", self._call))
        del self._call
        return carried


async def _calling(call: Callable[[], Any]) -> Any:
    return call()


class Client:
    """Makes calls of one style on one channel."""

    def __init__(
        self,
        style: str,
        address: str,
        engine: PolicyEngine,
        *,
        tls: Any = None,
        layers: Sequence[Any] = (),
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        """Open a channel.

        Args:
            style: one of `STYLES`.
            address: of the server.
            engine: whose policies are followed.
            tls: channel credentials; None: plaintext.
            layers: interceptors of that style below ours.
            options: of the channel, beside those that leave retries to us.
        """
        self.style = style
        self._options = [*resilience.grpc.channel_options(), *options]
        self.engine = engine
        self._tls, self._layers = tls, layers
        self._address = address
        self._stack = contextlib.ExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channel: Any = self._open()

    def _open(self) -> Any:
        if self.style == "asyncio":
            loop = self._loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever)
            thread.start()
            self._stack.callback(loop.close)
            self._stack.callback(thread.join)
            self._stack.callback(loop.call_soon_threadsafe, loop.stop)
            channel = self._run(self._open_aio())
            self._stack.callback(lambda: self._run(channel.close()))
            return channel
        if self._tls is None:
            bare = grpc.insecure_channel(self._address, self._options)
        else:
            bare = grpc.secure_channel(self._address, self._tls, self._options)
        self._stack.enter_context(bare)
        bare = grpc.intercept_channel(bare, *self._layers) if self._layers else bare
        return resilience.grpc.intercept_channel(bare, self.engine, target=TARGET)

    async def _open_aio(self) -> Any:
        given = {"options": self._options, "interceptors": list(self._layers)}
        if self._tls is None:
            bare = grpc.aio.insecure_channel(self._address, **given)
        else:
            bare = grpc.aio.secure_channel(self._address, self._tls, **given)
        wrap = resilience.grpc.aio.intercept_channel
        return wrap(bare, self.engine, target=TARGET)

    def close(self) -> None:
        """Close the channel, and end the loop."""
        self._stack.close()

    def _run(self, work: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def begin(self, arity: str, *requests: Any, **given: Any) -> Running:
        """Begin a call; *requests* may be one `Source`."""
        method = getattr(self._channel, arity)(f"/shop.{arity}/Do")
        request: Any = requests[0]
        if arity.startswith("stream"):
            is_source = isinstance(request, Source)
            request = request if is_source else Source(*requests)
        if self.style == "asyncio":
            return _Awaited(self._run, lambda: method(request, **given))
        if isinstance(request, Source):
            request = iter(request)
        if arity.endswith("stream"):
            return _Handled(method(request, **given), streams=True)
        if self.style == "future":
            return _Handled(method.future(request, **given), streams=False)
        return _Called(lambda: method(request, **given))

    def call(self, arity: str, *requests: Any, **given: Any) -> End:
        """Make a call to its end."""
        return self.begin(arity, *requests, **given).end()


def until(condition: Callable[[], Any]) -> None:
    """Wait for what another thread is about to do."""
    end = monotonic() + WAIT_S
    while not condition():
        assert monotonic() < end, "it did not happen"
        threading.Event().wait(0.002)
