"""Which request meets which fault: drawn by seed, subject and repetition alone.

The n-th request for one subject (an intent, a request body) always meets the same
fate, whatever the threads do. So three clients get the same faults, and a repeated
attempt draws again instead of being lucky or doomed by its order of arrival.
"""

import hashlib
from collections.abc import Mapping


def uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on *parts* only."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def draw(shares: Mapping[str, float], *parts: object) -> str:
    """The fault that *parts* meet, or an empty text for none.

    Args:
        shares: fault to share, 0.0-1.0 each, at most 1.0 together.
        parts: what the draw depends on; the seed among them.

    Raises:
        ValueError: the shares are not ratios, or exceed 1.0 together.
    """
    if min(shares.values(), default=0.0) < 0 or sum(shares.values()) > 1:
        msg = f"shares must be 0.0-1.0 and add up to at most 1.0: {dict(shares)}"
        raise ValueError(msg)
    point = uniform(*parts)
    for fault, share in shares.items():
        if point < share:
            return fault
        point -= share
    return ""
