"""Bad results in a row, and what must be seen before more load may be added.

A retry helps a call whose attempt was unlucky, and harms a server that cannot keep up.
The two look alike to a process that makes few calls; a sign of life tells them apart.
"""

from .ticks import FRESH_SLOW, OFFERED, OK, Rows, place_of, total_of


QUIET_UNITS = 3
"""Attempt timeouts in which others ask, or a sign of life cannot be expected."""
FEW = 2
"""Where fewer results than this were seen in an attempt timeout, a sign of life may be
older than that..."""
LIFE_UNITS = 1.5
"""...but not older than this: what goes on for long leaves none."""
MOMENTS = 5
"""What is bad within this part of an attempt timeout is bad at one moment: a server
that closes its connections fails many calls, and each may be tried again."""


class Streak:
    """Bad results of one process, in one scope. Its owner locks.

    Args:
        furthest: ticks after which a bad result is forgotten.
        per_unit: ticks in an attempt timeout.
    """

    __slots__ = ("_furthest", "_per_unit", "_was_slow", "begun", "length", "newest")

    def __init__(self, furthest: int, per_unit: int) -> None:
        self._furthest = furthest
        self._per_unit = per_unit
        self.length = 0
        """Bad results without an answer to this process in between."""
        self.newest = -1
        """The tick of the newest one; -1: none yet."""
        self.begun = -1
        """The tick of the first one in the row."""
        self._was_slow = False

    def add(self, rows: Rows, tick: int, *, is_slow: bool) -> None:
        """Count a bad result in *tick*; *is_slow*: time ran out, nobody said no."""
        if tick - self.newest > self._furthest or any(
            total_of((rows.own,), seen).ok for seen in range(self.newest + 1, tick + 1)
        ):
            self.length = 0
            self.begun = tick
        self.length += 1
        self.newest = tick
        self._was_slow = is_slow

    def allows_more(self, rows: Rows, tick: int) -> bool:
        """May a retry or a hedge be sent in *tick*?

        After a bad result somebody of this host must have been answered. Two need no
        such sign: what follows a failure that came quickly, and a call beside which
        nobody else asked of late, so that no sign can be expected. But what went on for
        longer than a moment is allowed only the latter, and not where time ran out.
        """
        if not self.length or tick - self.newest > self._furthest:
            return True
        is_moment = self.newest - self.begun <= self._per_unit // MOMENTS
        if is_moment and not self._was_slow:
            return True
        if (is_moment or not self._was_slow) and not self._others_asked(rows, tick):
            return True
        return self._shows_life(rows, tick)

    def _shows_life(self, rows: Rows, tick: int) -> bool:
        """Was anybody of this host answered of late, and quickly?"""
        own = rows.own
        place = place_of(own, tick)
        if own[place + OK] > own[place + FRESH_SLOW]:
            return True
        settled = tick - 1 - rows.lag
        enough = settled - self._per_unit
        results = 0
        for seen in range(tick - 1, settled - round(LIFE_UNITS * self._per_unit), -1):
            sums = rows.total(seen) if seen <= settled else total_of((own,), seen)
            if seen <= enough and results >= FEW:
                break
            if sums.quick:
                return True
            results += sums.results
        return False

    def _others_asked(self, rows: Rows, tick: int) -> bool:
        """Were calls offered beside the one that failed?"""
        own = rows.own
        offered = own[place_of(own, tick) + OFFERED]
        settled = tick - 1 - rows.lag
        oldest = max(0, tick - QUIET_UNITS * self._per_unit)
        for seen in range(tick - 1, oldest - 1, -1):
            if offered > 1:
                break
            sums = rows.total(seen) if seen <= settled else total_of((own,), seen)
            offered += sums.offered
        return offered > 1
