"""An asyncio channel around another one: what is only the inner one's business.

Connectivity, closing and every name that grpc's interface does not have go to the inner
channel as they are; only what makes calls differs from layer to layer.
"""

from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio


class AroundChannel(grpc.aio.Channel):
    """A channel around another one. Owned by one event loop."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def __getattr__(self, name: str) -> Any:
        # Tools that look behind the interface find what the inner channel has.
        if name == "_channel":
            raise AttributeError(name)
        return getattr(self._channel, name)

    async def close(self, grace: float | None = None) -> None:
        """Close the inner channel; attempts have *grace* seconds to end."""
        await self._channel.close(grace)

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        await self.close(None)
        return None

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """The inner channel's connectivity."""
        found: grpc.ChannelConnectivity = self._channel.get_state(try_to_connect)
        return found

    async def wait_for_state_change(
        self, last_observed_state: grpc.ChannelConnectivity
    ) -> None:
        """Wait until the inner channel's connectivity is another."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait until the inner channel is ready."""
        await self._channel.channel_ready()
