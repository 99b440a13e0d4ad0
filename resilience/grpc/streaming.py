"""What calls with streamed requests send: each attempt reads one buffer anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilience.core.event import AttemptCommitted

from .held import size_of
from .replay import Replay
from .sending import Sending


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.binding import Binding

    from .held import Holding
    from .route import Route
    from .sending import Given


def may_repeat(binding: Binding) -> bool:
    """Can there be a second attempt at all? If not, nothing needs to be kept."""
    if binding.mode != "enforce":
        return False
    return binding.policy.retry is not None or binding.hedging_acts


class Streaming(Sending):
    """The sending of one call whose requests are a stream. Owned by one driver."""

    __slots__ = ("replay",)

    def __init__(
        self,
        route: Route,
        binding: Binding,
        method: Callable[..., Any],
        requests: Any,
        given: Given,
        holding: Holding,
    ) -> None:
        super().__init__(route, binding, method, requests, given)
        self.replay: Replay | None = None
        """None: no repeat is possible, attempts read the application's own iterator."""
        if may_repeat(binding):
            policy = binding.policy
            self.replay = Replay(
                requests,
                hold=holding.hold,
                size_of=size_of,
                max_bytes=policy.retry_buffer_bytes,
                max_messages=policy.retry_buffer_messages,
            )

    def request(self, number: int) -> Any:
        """The requests of attempt *number*, from the first."""
        replay = self.replay
        if replay is None or number == 0:
            return self._request
        return replay.attempt(number)

    def attempt_over(self, number: int) -> None:
        """Let go of whoever waits for the attempt's next request."""
        if self.replay is not None:
            self.replay.stop(number)

    def settle(self, number: int) -> None:
        """Attempt *number* of a blocking call is over, and so are its requests.

        If they outgrew the buffer, the call hears of it before it decides.
        """
        replay = self.replay
        if replay is not None:
            replay.stop(number)
            if replay.overflow:
                now = self.route.engine.now()
                self.call.advance(AttemptCommitted(number, answered=False), now)
