"""A blocking channel around another one: what is nobody's business but the inner one's.

Connectivity, closing and every name that grpc's interface does not have go to the inner
channel as they are; only what makes calls differs from layer to layer.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc


class AroundChannel(grpc.Channel):
    """A channel around another one. Safe to share between threads."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        # Tools that look behind the interface find what the inner channel has.
        if name == "_channel":
            raise AttributeError(name)
        return getattr(self._channel, name)

    def subscribe(
        self,
        callback: Callable[[grpc.ChannelConnectivity], None],
        *args: Any,
        **others: Any,
    ) -> None:
        """Hear about the inner channel's connectivity."""
        self._channel.subscribe(callback, *args, **others)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Hear no more."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Close the inner channel: calls in flight end as `CANCELLED`."""
        self._channel.close()

    def __enter__(self) -> Self:
        self._channel.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        answer: bool | None = self._channel.__exit__(kind, error, trace)
        return answer
