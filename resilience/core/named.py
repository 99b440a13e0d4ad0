"""Named tuples at half the price, for the few that every healthy call makes.

Calling a `NamedTuple` class runs its Python-level `__new__`; `tuple.__new__` does not.
For the five of a healthy call that is a sixth of its cost. It checks neither number nor
types of the fields, so use it on that path only.
"""

from typing import Protocol, TypeVar, cast


T = TypeVar("T", bound=tuple[object, ...])


class Make(Protocol):
    """Makes a named tuple of *kind* from all its fields, in order."""

    def __call__(self, kind: type[T], fields: tuple[object, ...], /) -> T:
        """Make it."""
        ...


make = cast("Make", tuple.__new__)  # pyright: ignore[reportUnknownMemberType]  # of any tuple
