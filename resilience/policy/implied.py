"""Values that follow from others: who writes a key of one kind means that kind.

Where both are written nothing follows, and what is written holds.
"""

from .merge import Cell, Node


CLASSIC = (
    "window",
    "min_calls",
    "failure_ratio",
    "slow_ratio",
    "open_for",
    "max_open_for",
    "probes",
    "concurrent_probes",
    "probe_timeout",
    "ramp",
    "ramp_aggression",
)
"""Keys of a breaker that only its classic kind knows."""


def imply(node: Node) -> Node:
    """*node*, every value of one rule, with what follows; itself, where nothing does.

    A breaker with a key of the classic kind, and no kind written, is a classic one.
    """
    breaker = node.get("breaker")
    if not isinstance(breaker, dict):
        return node
    kind = breaker.get("kind")
    if not isinstance(kind, Cell) or kind.level > 0:
        return node
    written = [breaker[key] for key in CLASSIC if key in breaker]
    cells = [cell for cell in written if isinstance(cell, Cell) and cell.level > 0]
    if not cells:
        return node
    said = max(cells, key=lambda cell: cell.level)
    classic = Cell("classic", said.source, said.level)
    return {**node, "breaker": {**breaker, "kind": classic}}
