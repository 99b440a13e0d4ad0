"""The caller's idempotency key as the token that AWS deduplicates by.

botocore fills an absent token with a random one, once per call: all attempts of that
call share it, two calls never do. Inside `resilience.idempotency_key(key)` the token
is made from the key, so that a second call for the same intent is deduplicated too.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from resilience.context import ambient_key


class Token(NamedTuple):
    """The member that carries an operation's token, and the lengths it may have."""

    member: str
    shortest: int
    longest: int


USUAL_LONGEST = 64
"""Where a model names no limit; the most common one."""


def token_of(model: Any) -> Token | None:
    """The token that botocore would fill for *model*'s operation; None: it has none."""
    members = model.idempotent_members
    if not members:
        return None
    shape = model.input_shape.members[members[0]]
    longest = int(shape.metadata.get("max", USUAL_LONGEST))
    return Token(str(members[0]), int(shape.metadata.get("min", 1)), longest)


def with_key(token: Token | None, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """*params* with the ambient key as token, unless the caller gave a token."""
    key = ambient_key.get()
    if key is None or token is None or params.get(token.member) is not None:
        return params
    return {**params, token.member: _fitted(key, token)}


def _fitted(key: str, token: Token) -> str:
    """*key* itself, or where its length is not allowed a digest of it."""
    if token.shortest <= len(key) <= token.longest:
        return key
    return blake2b(key.encode(), digest_size=32).hexdigest()[: token.longest]
