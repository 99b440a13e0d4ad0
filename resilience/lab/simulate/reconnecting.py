"""Clients that want one thing: to be connected. A call that fails is made again.

For scenarios of `kind: reconnect`. Each client counts its tries over all its calls, and
is done with the first that succeeds.
"""

from collections.abc import Callable
from functools import partial

from resilience.core.hop import Word

from .clients import Client, Ends
from .recording import Recorder
from .servers import Attempt
from .timeline import Timeline


class Reconnect(Ends):
    """Takes the ends of one client's calls."""

    client: Client

    def __init__(
        self,
        recorder: Recorder,
        timeline: Timeline,
        again_after_s: float,
        rng: Callable[[], float],
    ) -> None:
        super().__init__(recorder, timeline, 0.0)
        self._again_after_s = again_after_s
        self._rng = rng
        self._tries = 0

    def end(
        self,
        above: Attempt | None,  # noqa: ARG002 - there are no layers here
        offered_at: float,  # noqa: ARG002 - it counts from the start
        now: float,
        *,
        critical: bool,
        good: bool,
        sent: int,
        shard: int,  # noqa: ARG002 - nor shards
        word: Word = "",  # noqa: ARG002 - there are no layers here
    ) -> None:
        """A call ended after *sent* attempts: done, or once more after a pause."""
        self._tries += sent
        if good:
            self._recorder.end(0.0, now, critical=critical, good=True, sent=True)
            self._recorder.tries.append(self._tries)
            return
        pause_s = self._again_after_s * (0.5 + self._rng())
        self._timeline.do_at(now + pause_s, partial(self._again, critical=critical))

    def _again(self, *, critical: bool) -> None:
        now = self._timeline.seconds()
        self.client.call(0, now, critical=critical, above=None)
