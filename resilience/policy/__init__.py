"""YAML text -> immutable compiled policies, once; afterwards nobody sees YAML.

Import from here: `load`, `load_files`, `load_mapping`, `built_in`, `PolicyTable`,
`Leaf`. The first three import PyYAML and pydantic when called; `built_in` does not.
"""

from collections.abc import Mapping, Sequence
from os import PathLike

from .table import Leaf, PolicyTable, built_in


__all__ = ["Leaf", "PolicyTable", "built_in", "load", "load_files", "load_mapping"]


def load(texts: Sequence[tuple[str, str | bytes]]) -> PolicyTable:
    """Return the table of policy *texts*; later ones overlay earlier ones.

    Args:
        texts: pairs of file name (for messages) and content.

    Raises:
        PolicyError: with every problem of every text, in order.
    """
    from . import reading

    return reading.load(texts)


def load_files(paths: Sequence[str | PathLike[str]]) -> PolicyTable:
    """Return the table of policy files; later ones overlay earlier ones.

    Raises:
        PolicyError: with every problem of every file, in order.
        OSError: a file cannot be read.
    """
    from . import reading

    return reading.load_files(paths)


def load_mapping(mapping: Mapping[str, object]) -> PolicyTable:
    """Return the table of a policy given as data; `version` may be left out.

    Raises:
        PolicyError: with every problem.
    """
    from . import reading

    return reading.load_mapping(mapping)
