"""An asyncio channel around any channel, with the engine in all of its calls.

Everything that is not ours to do goes to the inner channel as it is. Closing adds one
thing: calls that wait between two attempts, which the inner channel does not know.
"""

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio

from resilience.drilling import live_drill
from resilience.engine import PolicyEngine
from resilience.grpc.channel import report_native_retries
from resilience.grpc.connectivity import aio_witness
from resilience.grpc.held import Holding
from resilience.grpc.idempotency import Undeclared
from resilience.grpc.route import Route

from .around import AroundChannel
from .call import deserializer
from .calls import Calls
from .multicallable import (
    StreamStreamMultiCallable,
    StreamUnaryMultiCallable,
    UnaryStreamMultiCallable,
    UnaryUnaryMultiCallable,
)


def intercept_channel(
    channel: grpc.aio.Channel,
    engine: PolicyEngine,
    *,
    target: str,
    channel_options: Sequence[tuple[str, Any]] | None = None,
) -> grpc.aio.Channel:
    """Wrap *channel* so that its calls follow the policies of *engine*.

    Args:
        channel: any asyncio channel, already intercepted or instrumented ones too.
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it.
        channel_options: what the channel was made with; native retries found in it
            are reported once, with the attempts that both layers make together.

    Returns:
        A channel with the full interface of *channel*. Owned by its event loop.
    """
    report_native_retries(engine, target, channel_options)
    drill = live_drill()
    if drill is not None:
        from .drilled import FaultyChannel, MarkedChannel

        faulty = FaultyChannel(channel, drill, target)
        made = Channel(faulty, engine, target)
        return MarkedChannel(made, drill, target, engine)
    return Channel(channel, engine, target)


class Channel(AroundChannel):
    """The channel that `intercept_channel` returns. Owned by one event loop."""

    def __init__(
        self, channel: grpc.aio.Channel, engine: PolicyEngine, target: str
    ) -> None:
        super().__init__(channel)
        self._engine = engine
        self._target_name = target
        self._undeclared = Undeclared(engine, target)
        self._witness = aio_witness(channel)
        self._holding = Holding(channel)
        self._calls = Calls(engine, getattr(channel, "_loop", None))

    def unary_unary(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.aio.UnaryUnaryMultiCallable:
        """The protected multicallable of a unary-unary *method*."""
        args, others = self._held(args, others, answers=True)
        inner = self._channel.unary_unary(method, *args, **others)
        route = self._route(method, can_hedge=True)
        return UnaryUnaryMultiCallable(inner, route, self._calls, self._holding)

    def unary_stream(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.aio.UnaryStreamMultiCallable:
        """The protected multicallable of a unary-stream *method*."""
        args, others = self._held(args, others)
        inner = self._channel.unary_stream(method, *args, **others)
        route = self._route(method, streams=True)
        return UnaryStreamMultiCallable(inner, route, self._calls, self._holding)

    def stream_unary(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.aio.StreamUnaryMultiCallable:
        """The protected multicallable of a stream-unary *method*."""
        args, others = self._held(args, others, answers=True)
        inner = self._channel.stream_unary(method, *args, **others)
        route = self._route(method)
        return StreamUnaryMultiCallable(inner, route, self._calls, self._holding)

    def stream_stream(
        self, method: str, *args: Any, **others: Any
    ) -> grpc.aio.StreamStreamMultiCallable:
        """The protected multicallable of a stream-stream *method*."""
        args, others = self._held(args, others)
        inner = self._channel.stream_stream(method, *args, **others)
        route = self._route(method, streams=True)
        return StreamStreamMultiCallable(inner, route, self._calls, self._holding)

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

    def _held(
        self, args: Any, others: dict[str, Any], *, answers: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """What multicallables are made with: serializers that know what we keep."""
        holding = self._holding
        if not holding.is_plain:
            return args, others
        args, others = list(args), dict(others)
        for place, name, wrap in (
            (0, "request_serializer", holding.serializer),
            (1, "response_deserializer", deserializer if answers else None),
        ):
            if wrap is None:
                continue
            if len(args) > place:
                args[place] = wrap(args[place])
            else:
                others[name] = wrap(others.get(name))
        return args, others

    async def close(self, grace: float | None = None) -> None:
        """Close the inner channel; attempts have *grace* seconds to end.

        Calls between two attempts are cancelled at once: a closed channel takes none.
        """
        self._calls.close()
        await self._channel.close(grace)
        self._calls.cancel_all()
