"""What asyncio calls with streams send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from resilience.grpc.sending import Sending
from resilience.grpc.streaming import may_repeat

from .feed import Feed
from .iterated import Iterated
from .written import Written


if TYPE_CHECKING:
    from collections.abc import Callable

    from resilience.core.binding import Binding
    from resilience.grpc.held import Holding
    from resilience.grpc.route import Route
    from resilience.grpc.sending import Given


class StreamSending(Sending):
    """The sending of one call with a stream in it. Owned by one event loop."""

    __slots__ = ("feed",)

    feed: Feed | None
    """None: one request, or the call goes down as it was made."""

    def request(self, number: int) -> Any:
        """The requests of attempt *number*, from the first."""
        feed = self.feed
        return self._request if feed is None or not number else feed.attempt(number)

    def attempt_over(self, number: int) -> None:
        """Attempt *number* has ended: nothing is sent into it any more."""
        if self.feed is not None:
            self.feed.attempt_over(number)


def with_requests(
    route: Route,
    binding: Binding,
    method: Callable[..., Any],
    requests: Any,
    given: Given,
    holding: Holding,
) -> StreamSending:
    """The sending of a call whose requests are a stream; None: the caller writes."""
    made = StreamSending(route, binding, method, requests, given)
    if not may_repeat(binding):
        made.feed = Feed(requests)
    elif holding.is_plain:
        made.feed = Written(requests, binding.policy, holding.hold)
    else:
        made.feed = Iterated(requests, binding.policy, holding.hold)
    return made


def with_request(
    route: Route,
    binding: Binding,
    method: Callable[..., Any],
    request: Any,
    given: Given,
    holding: Holding,
) -> StreamSending:
    """The sending of a call with one request and a streamed answer."""
    if may_repeat(binding):
        request = holding.hold(request)
    made = StreamSending(route, binding, method, request, given)
    made.feed = None
    return made
