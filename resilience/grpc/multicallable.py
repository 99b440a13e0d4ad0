"""Blocking multicallables: one call each time they are called.

They are thin: each finds the live binding, says what the call sends, and hands both to
`blocking.py`, `future.py` or `stream.py`.
"""

from collections.abc import Callable
from typing import Any

import grpc

from resilience.context import ambient_criticality, deadline_at, inbound
from resilience.core.binding import Binding
from resilience.core.hedged import hedges
from resilience.core.target import Facts

from . import hedged
from .blocking import Blocking, BlockingStreaming, carry
from .future import CallFuture, begin, launch
from .held import Holding
from .route import Route, is_native
from .sending import AS_GIVEN, Given, Sending
from .stream import ResponseStream, StreamFlight
from .streaming import Streaming, may_repeat


class UnaryUnaryMultiCallable(grpc.UnaryUnaryMultiCallable):
    """One unary-unary method. Safe to share between threads."""

    __slots__ = ("_held", "_holding", "_inner", "_make_held", "_route")

    def __init__(
        self,
        inner: grpc.UnaryUnaryMultiCallable,
        route: Route,
        holding: Holding,
        make_held: Callable[[], grpc.UnaryUnaryMultiCallable],
    ) -> None:
        self._inner = inner
        self._route = route
        self._holding = holding
        self._make_held = make_held
        self._held: grpc.UnaryUnaryMultiCallable | None = None

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; as the native multicallable in all else.

        Raises:
            grpc.RpcError: the native error of the attempt that counts, or
                `GrpcRejected`; `resilience.report` gives its history.
        """
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner, request, given, pair=False)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; returns the response and the native call."""
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner.with_call, request, given, pair=True)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and return at once; attempts and waits need no thread."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if is_native(binding, timeout):
            sending = Sending(route, binding, self._inner.future, request, given)
            return sending.launch(AS_GIVEN)
        return self._launch(binding, route.facts(timeout), request, given)

    def _launch(
        self, binding: Binding, facts: Facts, request: Any, given: Given
    ) -> CallFuture:
        method = self._inner.future
        if may_repeat(binding):
            if self._held is None:
                self._held = self._make_held()
            method, request = self._held.future, self._holding.hold(request)
        sending = Sending(self._route, binding, method, request, given)
        sending.call = self._route.engine.new_call(binding, facts)
        return launch(sending.call, sending)

    def _block(
        self, method: Callable[..., Any], request: Any, given: Given, *, pair: bool
    ) -> Any:
        """Carry one call to its end. Written flat: each frame costs a healthy call."""
        route = self._route
        binding = route.last
        if route.is_watched or binding.epoch != route.engine.epoch:
            binding = route.binding()
        if binding.hedging_acts and not is_native(binding, given[0]):
            facts = route.facts(given[0])
            if hedges(binding, facts):
                future = self._launch(binding, facts, request, given)
                return hedged.carry(future, route, binding, request, pair=pair)
            native = Blocking(route, binding, method, request, given)
            native.pair = pair
            return carry(native, facts)
        native = Blocking(route, binding, method, request, given)
        timeout = given[0]
        if timeout is not None or binding.mode == "bypass":
            if is_native(binding, timeout):
                return native.launch(AS_GIVEN)
            facts = route.facts(timeout)
        elif deadline_at.get() is None and inbound.get() is None:
            is_plain = ambient_criticality.get() is None
            facts = route.plain if is_plain else route.facts(None)
        else:
            facts = route.facts(None)
        native.pair = pair
        return carry(native, facts)


class _Method:
    """What the multicallables of one method share. Safe to share between threads."""

    def __init__(self, inner: Any, route: Route, holding: Holding) -> None:
        self._inner = inner
        self._route = route
        self._holding = holding


class StreamUnaryMultiCallable(_Method, grpc.StreamUnaryMultiCallable):
    """One stream-unary method. Safe to share between threads."""

    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; raises as unary-unary calls do."""
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner, request_iterator, given, pair=False)

    def with_call(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Call the method and block; returns the response and the native call."""
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        return self._block(self._inner.with_call, request_iterator, given, pair=True)

    def future(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and return at once; attempts and waits need no thread."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        method = self._inner.future
        sending = Streaming(
            route, binding, method, request_iterator, given, self._holding
        )
        if is_native(binding, timeout):
            return sending.launch(AS_GIVEN)
        sending.call = route.engine.new_call(binding, route.facts(timeout))
        return launch(sending.call, sending)

    def _block(
        self, method: Callable[..., Any], requests: Any, given: Given, *, pair: bool
    ) -> Any:
        route = self._route
        binding = route.binding()
        native = BlockingStreaming(
            route, binding, method, requests, given, self._holding
        )
        if is_native(binding, given[0]):
            return native.launch(AS_GIVEN)
        native.pair = pair
        return carry(native, route.facts(given[0]))


class UnaryStreamMultiCallable(_Method, grpc.UnaryStreamMultiCallable):
    """One unary-stream method. Safe to share between threads."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and return its stream at once."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        if is_native(binding, timeout):
            sending = Sending(route, binding, self._inner, request, given)
            return sending.launch(AS_GIVEN)
        if may_repeat(binding):
            request = self._holding.hold(request)
        sending = Sending(route, binding, self._inner, request, given)
        sending.call = call = route.engine.new_call(binding, route.facts(timeout))
        return begin(ResponseStream(StreamFlight(call, sending)))


class StreamStreamMultiCallable(_Method, grpc.StreamStreamMultiCallable):
    """One stream-stream method. Safe to share between threads."""

    def __call__(
        self,
        request_iterator: Any,
        timeout: float | None = None,
        metadata: Any = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        """Start the call and return its stream at once."""
        route = self._route
        binding = route.binding()
        given = (timeout, metadata, credentials, wait_for_ready, compression)
        sending = Streaming(
            route, binding, self._inner, request_iterator, given, self._holding
        )
        if is_native(binding, timeout):
            return sending.launch(AS_GIVEN)
        sending.call = call = route.engine.new_call(binding, route.facts(timeout))
        return begin(ResponseStream(StreamFlight(call, sending)))
