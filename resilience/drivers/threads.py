"""Drive one call on the calling thread, which blocks until the end.

No thread is made. The adapter's `attempt` blocks and times itself, so while it runs the
step's `wake_at` is not watched.
"""

from collections.abc import Callable

from resilience.core.call import Call
from resilience.core.command import CancelAttempt, Finish, StartAttempt
from resilience.core.event import ARRIVED, AttemptDone, CallerGone, Event
from resilience.core.named import make
from resilience.core.outcome import Outcome

from .host import Host
from .waiting import sleep


def run(call: Call, attempt: Callable[[StartAttempt], Outcome], host: Host) -> Finish:
    """Carry *call* to its end.

    Args:
        call: a new call; this driver owns it from here.
        attempt: makes one attempt, keeps its native result and returns the outcome.
        host: clock, sleep and sinks.

    Raises:
        BaseException: whatever *attempt* lets through; the engine hears first that the
            caller is gone.
    """
    now = host.now
    try:
        event: Event = ARRIVED
        while True:
            moment = now()
            commands, wake_at, records = call.advance(event, moment)
            if records:
                host.emit(records)
            ended: AttemptDone | None = None
            for command in commands:
                match command:
                    case StartAttempt():
                        outcome = attempt(command)
                        done = (command.number, outcome, None)
                        ended = make(AttemptDone, done)
                    case Finish():
                        return command
                    case CancelAttempt():
                        pass  # a blocking attempt has ended by itself
            event = ended or sleep(call, wake_at, moment, host)
    except BaseException:
        host.emit(call.advance(CallerGone(), now()).records)
        raise
