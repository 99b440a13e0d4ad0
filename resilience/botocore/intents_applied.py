"""What an idempotency key, or the word `keyed`, does to one call.

`keyed` asks that a repeat changes nothing. Where a token, a deduplication id or a
condition can carry that, it is put in; where nothing can, the call is not repeated
after it may have been executed, whatever the policy says. Without the word only tokens
that botocore fills itself are made from the caller's key.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from resilience.core.target import Idempotency
from resilience.engine import PolicyEngine

from .conditions import Write, can_carry, write_of
from .duration import LONG_POLLS
from .idempotency import Declaration
from .intents import Claim, claim, identity
from .tokens import DEDUPLICATION, FILLERS, RECEIVE_ATTEMPT, Token, fill


Params = Mapping[str, Any]


REWRITES = frozenset({("s3", "PutObject"), ("s3", "CopyObject")})
"""Declared `safe`, for the same bytes are written again; but a repeat is a second
version, or writes over what came in between."""


class Applied(NamedTuple):
    """What became of one call."""

    params: Params
    means: Idempotency = "keyed"
    """What the policy's `keyed` comes to for this call."""
    write: Write | None = None
    """Follows the call where conditions carry its identity."""
    claim: Claim | None = None
    """The caller's key, when it went into the call."""

    def forget(self) -> None:
        """Nothing was executed: the key is free for other parameters."""
        if self.claim is not None:
            self.claim.forget()


class Carrier(NamedTuple):
    """What can carry the identity of an operation's calls; found once."""

    service: str
    operation: str
    model: Any
    token: Token | None
    declares: Declaration

    @property
    def is_idle(self) -> bool:
        """Has a key nothing to do here without the word `keyed`?"""
        return self.token is None or not self.token.is_filled

    def apply(
        self,
        params: Params,
        key: str | None,
        engine: PolicyEngine,
        where: tuple[str, ...],
        *,
        is_keyed: bool,
    ) -> Applied:
        """Put the identity of a call into its *params*.

        Args:
            params: as the caller gave them.
            key: the caller's; None: he gave none.
            engine: remembers which key was used with which parameters.
            where: what else names the server: region, host.
            is_keyed: does the policy say `keyed`?

        Raises:
            BotocoreRejected: the key was used with other parameters before.
        """
        if self._is_poll:
            key = None  # a key names one write; polls are made over and over
        made = self._made(params, key, is_keyed=is_keyed)
        if key is None or (made.params is params and made.write is None):
            return made
        place = (self.service, self.operation, *where)
        return made._replace(claim=claim(engine, place, key, params))

    def _made(self, params: Params, key: str | None, *, is_keyed: bool) -> Applied:
        token = self.token
        if token is not None and (is_keyed or token.is_filled):
            return Applied(fill(token, params, key))
        if not is_keyed:
            return Applied(params)
        filler = FILLERS.get((self.service, self.operation))
        if filler is not None:
            filled = filler(params, key)
            if self.declares.of(filled).idempotency == "keyed":
                return Applied(filled)
        elif can_carry(self.service, self.operation):
            mine = identity(key, params)
            write = write_of(self.service, self.operation, self.model, params, mine)
            if write is not None:
                means: Idempotency = "keyed" if write.repeats else "none"
                return Applied({**params}, means, write)
            if (self.service, self.operation) in REWRITES:
                return Applied(params, "none")
        return Applied(params, self._plain(params))

    def _plain(self, params: Params) -> Idempotency:
        """What a call is that nothing carries the identity of."""
        found = self.declares.of(params).idempotency
        if found == "accept_duplicates" and not self._is_poll:
            return "none"
        return found

    @property
    def _is_poll(self) -> bool:
        """Does it take work? What a lost answer took is handed out again, once."""
        return (self.service, self.operation) in LONG_POLLS


def carries(service: str, operation: str, token: Token | None) -> str:
    """What makes `keyed` hold for an operation, in words; empty: nothing does."""
    if token is not None:
        return f"token {token.member}"
    if (service, operation) in FILLERS:
        is_receive = operation == "ReceiveMessage"
        member = RECEIVE_ATTEMPT if is_receive else DEDUPLICATION
        return f"{member}, for names that end in .fifo"
    if (service, operation) == ("s3", "CreateMultipartUpload"):
        return ""
    return _BY_LOOKING if can_carry(service, operation) else ""


def carries_under_condition(service: str, operation: str) -> str:
    """The same for calls with a condition of the caller's."""
    if operation.startswith("Delete"):
        return ""  # that it is gone proves nothing about who deleted it
    return _BY_LOOKING if can_carry(service, operation) else ""


_BY_LOOKING = "an intent id that is looked for"
