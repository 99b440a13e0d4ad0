"""The random numbers that one call took, kept for whoever wants to play it again.

Made only where a sink asks for them: other calls draw from the engine directly.
"""

from collections.abc import Callable


MOST = 1000
"""Numbers that are kept of one call; one that waits in a line long draws many."""


class Draws:
    """A source of uniform numbers that remembers what it gave. Owned by one call.

    Args:
        rng: where the numbers come from.
    """

    __slots__ = ("_rng", "taken")

    def __init__(self, rng: Callable[[], float]) -> None:
        self._rng = rng
        self.taken: tuple[float, ...] = ()
        """What was drawn so far, in order; most calls draw nothing."""

    def __call__(self) -> float:
        """The next number on [0, 1)."""
        value = self._rng()
        if len(self.taken) < MOST:
            self.taken += (value,)
        return value
