"""The keyed write of one flight: looks when it must, and keeps the answer it found.

`Write` says what to look for and when; this file does it within the call's deadline.
What it awaits blocks in a blocking client (`drivers.blocking`). Owned by one thread or
task.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from resilience.core.outcome import Outcome
from resilience.drivers.host import HostLoop

from .conditions import Write
from .intents import reused
from .verify import Answer, Finding, Steps


logger = logging.getLogger("resilience.botocore")
UNVERIFIABLE = Outcome(
    "Unverifiable",
    "local",
    "no",
    message="it cannot be told whether the write is there",
)
"""A repeat that was granted and not made."""


class Lookout:
    """Looks whether the write of one call is there. Owned by one thread or task."""

    __slots__ = ("_ask", "_loop", "_method", "_outcome", "answer", "write")

    def __init__(
        self, write: Write, method: str, ask: Callable[[Steps], Awaitable[Finding]]
    ) -> None:
        self.write = write
        self._method = method
        self._ask = ask
        self._outcome: Outcome | None = None
        self._loop: HostLoop | None = None
        self.answer: Answer | None = None
        """The success that the next request gets instead of being sent."""

    def follow(self, loop: HostLoop) -> None:
        """Tell *loop*, whose call it is, of what is found; it keeps its end till then.

        So the records of a call whose answer was lost say that it succeeded.
        """
        self._loop = loop
        loop.held = ()

    async def first(self) -> None:
        """Look before anything is sent, where an earlier call may have been this one.

        Raises:
            BotocoreRejected: it was, with other parameters.
        """
        await self._is_there(self.write.before_first())

    async def failed(
        self, outcome: Outcome, event: Mapping[str, Any], *, is_last: bool
    ) -> bool:
        """An attempt failed; True: its write is there, and a request gets the answer.

        Raises:
            BotocoreRejected: what is there has the same key and other parameters.
        """
        response = event["response"]
        parsed = None if response is None else response[1]
        self._outcome = outcome
        try:
            return await self._is_there(
                self.write.after(outcome, parsed, is_last=is_last)
            )
        finally:
            self._outcome = None

    def restated(self, outcome: Outcome) -> Outcome:
        """*outcome*, as it is meant where a condition of ours was refused."""
        return self.write.restated(outcome)

    async def ended(self) -> bool:
        """No further attempt is made; True: the write is there all the same."""
        return await self._is_there(self.write.at_end())

    async def repeats(self, request: Mapping[str, Any]) -> bool:
        """Make *request* ready for another attempt; False: it could do harm."""
        steps = self.write.before_repeat()
        if not await self._is_there(steps):
            if steps is not None and self.write.note:
                return False
            self.write.apply(request["headers"])
        return True

    async def _is_there(self, steps: Steps | Finding | None) -> bool:
        if steps is None:
            return False
        found = steps if isinstance(steps, Finding) else await self._look(steps)
        if found.is_reused:
            raise reused(self._method, earlier="by an earlier call")
        if not self.write.take(found):
            return False
        self.answer = found.answer
        if self._loop is not None:
            self._loop.found(self._outcome)
        logger.info(
            "%s: the write is there, under its own intent %s: answered as a success",
            self._method,
            self.write.identity,
        )
        return True

    async def _look(self, steps: Steps) -> Finding:
        """What *steps* find; a fault of the look itself never hides the real error."""
        try:
            return await self._ask(steps)
        except Exception as error:
            logger.exception("%s: looking for the write failed", self._method)
            note = f"looking failed: {type(error).__name__}"
            return Finding(is_known=False, note=note)

    def take(self) -> Answer | None:
        """The answer that stands for the next request; None: it is to be sent."""
        answer, self.answer = self.answer, None
        return answer

    def hint(self) -> str:
        """What is known of the write when its call failed; empty: nothing more."""
        if not self.write.note:
            return ""
        return (
            f"whether it was executed could not be told ({self.write.note}); "
            f"its intent is {self.write.identity}"
        )
