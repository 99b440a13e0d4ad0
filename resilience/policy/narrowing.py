"""What a piece of plain data is: a map or a list.

For type checkers: a bare `isinstance` leaves the types inside unknown.
"""

from collections.abc import Mapping
from typing import TypeGuard


def is_map(value: object) -> TypeGuard[Mapping[str, object]]:
    """Tell whether *value* is a map; keys were checked to be text before."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[object] | tuple[object, ...]]:
    """Tell whether *value* is a list or tuple."""
    return isinstance(value, (list, tuple))
