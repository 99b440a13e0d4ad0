"""A blocking channel around any channel, with the engine in all of its calls.

Everything that is not ours to do goes to the inner channel as it is: connectivity and
closing.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import grpc

from resilience.core.record import Notice
from resilience.drilling import live_drill
from resilience.engine import PolicyEngine

from .around import AroundChannel
from .connectivity import sync_witness
from .held import Holding
from .idempotency import Undeclared
from .multicallable import (
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)
from .options import native_retry_attempts
from .route import Route, target_of


SERIALIZER = "request_serializer"


def intercept_channel(
    channel: grpc.Channel,
    engine: PolicyEngine,
    *,
    target: str,
    channel_options: Sequence[tuple[str, Any]] | None = None,
) -> grpc.Channel:
    """Wrap *channel* so that its calls follow the policies of *engine*.

    Args:
        channel: any channel, already intercepted or instrumented ones too.
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it.
        channel_options: what the channel was made with; native retries found in it
            are reported once, with the attempts that both layers make together.

    Returns:
        A channel with the full interface of *channel*. Safe to share between threads.
    """
    report_native_retries(engine, target, channel_options)
    drill = live_drill()
    if drill is not None:
        from .drilled import FaultyChannel, MarkedChannel

        faulty = FaultyChannel(channel, drill, target)
        made = Channel(faulty, engine, target)
        return MarkedChannel(made, drill, target, engine)
    return Channel(channel, engine, target)


def report_native_retries(
    engine: PolicyEngine, target: str, options: Sequence[tuple[str, Any]] | None
) -> None:
    """Warn, and tell the sinks, when C-core's own retries would multiply ours."""
    for pattern, native in native_retry_attempts(options).items():
        policy = engine.bind(target_of(target, pattern)).policy
        ours = 1 if policy.retry is None else policy.retry.max_attempts
        if ours < 2:
            continue
        text = (
            f"target {target}, {pattern}: native retries make up to {native} attempts "
            f"for each of our {ours}, {native * ours} together; create the channel "
            "with resilience.grpc.channel_options()"
        )
        engine.emit((Notice("native-retries", text, engine.now()),))
        warnings.warn(text, RuntimeWarning, stacklevel=3)


class Channel(AroundChannel):
    """The channel that `intercept_channel` returns. Safe to share between threads."""

    def __init__(
        self, channel: grpc.Channel, engine: PolicyEngine, target: str
    ) -> None:
        super().__init__(channel)
        self._engine = engine
        self._target_name = target
        self._undeclared = Undeclared(engine, target)
        self._witness = sync_witness(channel)
        self._holding = Holding(channel)

    def unary_unary(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.UnaryUnaryMultiCallable:
        """The protected multicallable of a unary-unary *method*."""
        make = self._channel.unary_unary
        inner = make(method, *args, **others)

        def make_held() -> grpc.UnaryUnaryMultiCallable:
            held, rest = self._held(args, others)
            return make(method, *held, **rest)

        route = self._route(method, can_hedge=True)
        return UnaryUnaryMultiCallable(inner, route, self._holding, make_held)

    def unary_stream(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.UnaryStreamMultiCallable:
        """The protected multicallable of a unary-stream *method*."""
        args, others = self._held(args, others)
        inner = self._channel.unary_stream(method, *args, **others)
        route = self._route(method, streams=True)
        return UnaryStreamMultiCallable(inner, route, self._holding)

    def stream_unary(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.StreamUnaryMultiCallable:
        """The protected multicallable of a stream-unary *method*."""
        args, others = self._held(args, others)
        inner = self._channel.stream_unary(method, *args, **others)
        return StreamUnaryMultiCallable(inner, self._route(method), self._holding)

    def stream_stream(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.StreamStreamMultiCallable:
        """The protected multicallable of a stream-stream *method*."""
        args, others = self._held(args, others)
        inner = self._channel.stream_stream(method, *args, **others)
        route = self._route(method, streams=True)
        return StreamStreamMultiCallable(inner, route, self._holding)

    def _held(
        self, args: tuple[Any, ...], others: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The caller's arguments with a serializer that takes held requests, too."""
        serializer = self._holding.serializer
        if args:
            return (serializer(args[0]), *args[1:]), others
        given = others.get("request_serializer")
        held = serializer(given)
        return args, others if held is given else {**others, SERIALIZER: held}

    def _route(
        self, method: str, *, streams: bool = False, can_hedge: bool = False
    ) -> Route:
        return Route(
            self._engine,
            self._target_name,
            method,
            self._witness,
            self._undeclared,
            streams=streams,
            can_hedge=can_hedge,
        )
