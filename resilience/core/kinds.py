"""Which kind of call a binding needs, beside the plain one, imported when it does.

Most processes hedge and limit nothing, and do without what that takes.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .binding import Binding
    from .call import Call
    from .target import Facts

MakeCall = Callable[
    ["Binding", "Facts", "str | tuple[str, int]", Callable[[], float]], "Call"
]
"""Makes a call from its binding, facts, id, and source of uniform numbers."""


def make_other(*, limits: bool) -> MakeCall:
    """The function that makes calls of bindings that hedge, or that limit."""
    if limits:
        from .limited import new_call
    else:
        from .hedged import new_call
    return new_call
