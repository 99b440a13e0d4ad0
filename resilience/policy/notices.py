"""What this release reads and checks but does not act on, said plainly.

A policy that promises what does not happen is worse than a refusal: each promise that
is not kept is named once, by `check`, `explain` and the table itself.
"""

from collections.abc import Sequence

from .merge import Source
from .narrowing import is_map
from .words import OFF


_READS = (
    "`failover` covers reads where it stands under a pattern or `all`; writes fail "
    "over only where it stands under their operation's own name"
)


def notices_of(sources: Sequence[Source], edition: str) -> tuple[str, ...]:
    """Return the notices of the texts, each once, in a fixed order."""
    found: list[str] = []
    if any(_is_wide(source) for source in sources):
        found.append(_READS)
    if not any("edition" in source.values for source in sources):
        found.append(f"no edition is written: the values of {edition} hold")
    return tuple(found)


def _is_wide(source: Source) -> bool:
    """Is a failover written for more than one operation?"""
    rules = dict(source.rule("aws", "operations") or {})
    wide = [rule for pattern, rule in rules.items() if pattern.endswith("*")]
    for rule in (*wide, source.rule("aws", "all")):
        if is_map(rule) and rule.get("failover", OFF) is not OFF:
            return True
    return False
