"""The random numbers that one call took, kept for whoever wants to play it again.

Made only where a sink asks for them: other calls draw from the engine directly.
"""

from collections.abc import Callable


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
        self.taken += (value,)
        return value
