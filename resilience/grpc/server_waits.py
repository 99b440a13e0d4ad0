"""Waits of blocking calls that end when the call we serve does.

A blocking call gives no handle, so the attempt under way cannot be stopped. What can be
stopped is the wait for the next one; after it no further attempt is made.
"""

import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial

from resilience.core.record import Record
from resilience.drivers.host import Host
from resilience.drivers.timer import Timer
from resilience.inbound import CallerLeft, Inbound


class ServedHost:
    """*host* for one call that is made on behalf of *served*. Owned by that call."""

    def __init__(self, host: Host, served: Inbound) -> None:
        self._host = host
        self.now: Callable[[], float] = host.now
        self.asleep: Callable[[float], Awaitable[None]] = host.asleep
        self.sleep: Callable[[float], None] = partial(_sleep, host.sleep, served)
        self.wait: Callable[[threading.Event, float], object] = partial(
            _wait, host.wait, served
        )

    def emit(self, records: tuple[Record, ...]) -> None:
        """Hand records to the sinks; never raises."""
        self._host.emit(records)

    @property
    def timer(self) -> Timer:
        """The engine's one timer thread."""
        return self._host.timer


def _sleep(sleep: Callable[[float], None], served: Inbound, seconds: float) -> None:
    """Block for *seconds*.

    Raises:
        CallerLeft: whoever asked for the work has left, now or while waiting.
    """
    if sleep is time.sleep and not served.has_ended:
        served.pause(seconds)
    else:  # a clock of its own: its time passes there alone
        sleep(seconds)
    if served.has_left:
        raise CallerLeft


class _Alarm:
    """Sets an event as a call is cancelled: when who asked for the work leaves."""

    __slots__ = ("__weakref__", "_event")

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def cancel(self) -> None:
        """He left."""
        self._event.set()


def _wait(
    wait: Callable[[threading.Event, float], object],
    served: Inbound,
    event: threading.Event,
    seconds: float,
) -> None:
    """Block until *event*, for *seconds* at most.

    Raises:
        CallerLeft: whoever asked for the work has left, now or while waiting.
    """
    alarm = _Alarm(event)
    served.adopt(alarm)
    wait(event, seconds)
    if served.has_left:
        raise CallerLeft


def host_for(host: Host, served: Inbound) -> Host:
    """What drives a blocking call that is made on behalf of *served*."""
    return ServedHost(host, served)
