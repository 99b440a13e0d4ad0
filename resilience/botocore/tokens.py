"""The tokens that AWS deduplicates by: which member carries one, and what goes in.

botocore fills an absent token that its model marks with a random one, once per call.
Inside `resilience.idempotency_key(key)` the token is made from the key, so that a
second call for the same intent is deduplicated too. Tokens that the model does not mark
(CloudFormation, FIFO queues and topics) are filled for `keyed` operations only. What
the caller gave is never replaced.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple


Params = Mapping[str, Any]
USUAL_LONGEST = 64
"""Where a model names no limit; the most common one."""
TOKEN_NAMES = frozenset(
    {
        "CallerReference",
        "ClientRequestToken",
        "ClientToken",
        "CreatorRequestId",
        "IdempotencyToken",
        "clientRequestToken",
        "clientToken",
        "idempotencyToken",
    }
)
"""Members that deduplicate when the caller fills them; botocore fills only those that
the model marks."""


class Token(NamedTuple):
    """The member that carries an operation's token, and what may stand in it."""

    member: str
    shortest: int
    longest: int
    pattern: re.Pattern[str] | None = None
    """None: the model names none."""
    is_filled: bool = True
    """Does botocore fill it itself?"""
    is_unreadable: bool = False
    """Has it a pattern that Python cannot read? Then only a UUID goes in."""

    def allows(self, text: str) -> bool:
        """May *text* be this token, as far as its model says?"""
        if not self.shortest <= len(text) <= self.longest:
            return False
        return self.pattern is None or self.pattern.fullmatch(text) is not None


def token_of(model: Any) -> Token | None:
    """The token that *model*'s operation deduplicates by; None: it has none.

    A member that callers must fill anyway is none: it is theirs to choose.
    """
    members = model.idempotent_members
    if members:
        return _token(model.input_shape, str(members[0]), is_filled=True)
    shape = model.input_shape
    if shape is None:
        return None
    for name, member in shape.members.items():
        is_open = name in TOKEN_NAMES and name not in shape.required_members
        if is_open and member.type_name == "string":
            return _token(shape, str(name), is_filled=False)
    return None


def _token(structure: Any, member: str, *, is_filled: bool) -> Token:
    limits = structure.members[member].metadata
    pattern, is_unreadable = _compiled(limits.get("pattern"))
    return Token(
        member,
        int(limits.get("min") or 1),
        int(limits.get("max") or USUAL_LONGEST),
        pattern,
        is_filled,
        is_unreadable,
    )


def _compiled(text: str | None) -> tuple[re.Pattern[str] | None, bool]:
    """The pattern, and whether there is one that only Java can read."""
    if text is None:
        return None, False
    try:
        return re.compile(text), False
    except (re.error, FutureWarning):
        return None, True


def fitted(key: str, token: Token) -> str:
    """*key* itself, or where it is not allowed a digest of it that is.

    The same key gives the same token in every process.
    """
    if not token.is_unreadable and token.allows(key):
        return key
    digest = blake2b(key.encode(), digest_size=32).hexdigest()
    as_uuid = str(uuid.UUID(hex=digest[:32], version=4))
    for found in (as_uuid, digest, digest[:32], as_uuid[: token.longest]):
        if token.allows(found):
            return found
    return digest[: token.longest]


def fill(token: Token | None, params: Params, key: str | None) -> Params:
    """*params* with their token, unless it is there or botocore is to choose it.

    Args:
        token: of the operation.
        params: of the call.
        key: what the token is made from; None: a new one for this call, where botocore
            makes none.
    """
    if token is None or params.get(token.member) is not None:
        return params
    if key is None:
        if token.is_filled:
            return params
        key = str(uuid.uuid4())
    return {**params, token.member: fitted(key, token)}


# -- FIFO queues and topics ------------------------------------------------------

DEDUPLICATION = "MessageDeduplicationId"
RECEIVE_ATTEMPT = "ReceiveRequestAttemptId"
"""The same one brings the messages of a lost answer again, with no wait until they are
visible."""
_FIFO_ID = Token(DEDUPLICATION, 1, 128, re.compile("[!-~]+"), is_filled=False)
_RECEIVE_ID = _FIFO_ID._replace(member=RECEIVE_ATTEMPT)


def _is_fifo(params: Params) -> bool:
    """AWS demands that their names end so."""
    names = (params.get("QueueUrl"), params.get("TopicArn"))
    return any(str(name).endswith(".fifo") for name in names)


def _fill_message(params: Params, key: str | None) -> Params:
    return fill(_FIFO_ID, params, key) if _is_fifo(params) else params


def _fill_receive(params: Params, key: str | None) -> Params:
    # Never of the key: each receive of a loop is to bring other messages.
    return fill(_RECEIVE_ID, params, None) if _is_fifo(params) else params


def _fill_batch(member: str) -> Callable[[Params, str | None], Params]:
    def fill_entries(params: Params, key: str | None) -> Params:
        entries = params.get(member)
        if not _is_fifo(params) or not isinstance(entries, (list, tuple)):
            return params
        filled = [
            # Ids are unique within a batch, so each message gets a token of its own.
            fill(_FIFO_ID, entry, None if key is None else f"{key}/{entry.get('Id')}")
            for entry in entries
        ]
        return {**params, member: filled}

    return fill_entries


Filler = Callable[[Params, str | None], Params]
FILLERS: Mapping[tuple[str, str], Filler] = {
    ("sqs", "ReceiveMessage"): _fill_receive,
    ("sqs", "SendMessage"): _fill_message,
    ("sqs", "SendMessageBatch"): _fill_batch("Entries"),
    ("sns", "Publish"): _fill_message,
    ("sns", "PublishBatch"): _fill_batch("PublishBatchRequestEntries"),
}
"""Operations whose deduplication id depends on where they send."""
