"""Which kind of call a binding needs, beside the plain one, imported when it does.

Most processes hedge and limit nothing; those that do must not look an import up with
each call.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from .binding import Binding
    from .call import Call
    from .target import Facts

    MakeCall = Callable[
        [Binding, Facts, str | tuple[str, int], Callable[[], float]], Call
    ]


@cache
def make_other() -> "MakeCall":
    """The function that makes calls of bindings that are not plain."""
    from .limited import new_call

    return new_call
