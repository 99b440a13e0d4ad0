"""The calls of one asyncio channel that are under way, and what they share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from .waits import LoopWaits


if TYPE_CHECKING:
    from resilience.drivers.host import Host
    from resilience.engine import PolicyEngine

    from .outer import OuterCall


class Calls:
    """The calls of one channel under way. Owned by one event loop."""

    def __init__(
        self,
        engine: PolicyEngine,
        loop: asyncio.AbstractEventLoop | None,
        *,
        hooks: bool = False,
    ) -> None:
        self._engine = engine
        self._loop = loop
        self._waits: LoopWaits | None = None
        self.active: set[OuterCall] = set()
        """Kept here until they have ended, whoever else forgets them."""
        self.closing = False
        self.hooks = hooks
        """Are they made in grpcio's interceptor hooks?"""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The channel's loop: a call may be made before it runs."""
        return self._loop or asyncio.get_running_loop()

    @property
    def waits(self) -> Host:
        """Clock, sinks and timer of the calls."""
        if self._waits is None or self._loop is None:
            self._waits = LoopWaits(self._engine, self.loop)
        return cast("Host", self._waits)

    def close(self) -> None:
        """No attempt can start any more: cancel the calls that wait for one."""
        self.closing = True
        for call in [*self.active]:
            if call.is_waiting():
                call.cancel()

    def cancel_all(self) -> None:
        """Cancel what is left."""
        for call in [*self.active]:
            call.cancel()
