"""Whether another region may answer a call, and how it is asked; no input or output.

Reads go to the next region whenever theirs did not answer. A write goes there only
where its operation is marked, and only while it is certain that the first region has
not executed it: unless both may, by the policy's own word. So no write is in both.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import Any, NamedTuple

from resilience.core.policy import FailoverPolicy, FailoverRegion
from resilience.core.record import AttemptEnded, CallEnded
from resilience.core.unanswered import is_unanswered, lacks_answer
from resilience.report import Report


MARK = "ResilienceFailover"
"""Key in `ResponseMetadata` of an answer that came from another region."""
MISPLACED = frozenset(
    {
        "301",
        "401",
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthFailure",
        "AuthorizationHeaderMalformed",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ExpiredToken",
        "ExpiredTokenException",
        "IllegalLocationConstraintException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "InvalidTokenId",
        "KMS.DisabledException",
        "KMS.NotFoundException",
        "MissingAuthenticationToken",
        "NoSuchBucket",
        "NotSignedUp",
        "OptInRequired",
        "PermanentRedirect",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "TableNotFoundException",
        "UnauthorizedOperation",
        "UnknownOperationException",
        "UnrecognizedClientException",
    }
)
"""Codes that say that a region is not set up for the call: no answer to it."""


class Ask(NamedTuple):
    """Ask this region, with these parameters, and send the `Reply` back."""

    region: FailoverRegion
    params: Mapping[str, Any]


class Reply(NamedTuple):
    """What came of it."""

    answer: Any = None
    error: Exception | None = None
    """None: it answered."""
    code: str = ""
    """Of the error: AWS's, or its class."""
    is_answer: bool = False
    """Is the error what the service answered?"""
    report: Report | None = None
    """Of the error; None: nothing was sent."""
    is_unasked: bool = False
    """Could it not even be asked? *code* says why."""

    @property
    def was_sent(self) -> bool:
        """Was an attempt made?"""
        return self.report is not None and bool(self.report.attempts)


class Home(NamedTuple):
    """A call that its own region did not answer. Immutable."""

    ended: CallEnded
    history: Sequence[AttemptEnded]
    """Its attempts."""
    error: Exception
    region: str
    reads: bool
    """Does its operation only read?"""
    names: tuple[str, ...] = ()
    """Parameters whose values only the own region understands, with those values."""
    is_spent: bool = False
    """Was its body read, and cannot be sent again?"""
    is_there: bool = False
    """May an earlier call with the same idempotency key have been executed?"""


class End(NamedTuple):
    """How asking the other regions ended."""

    answer: Any = None
    place: FailoverRegion | None = None
    """Who gave *answer*; None: nobody did."""
    error: Exception | None = None
    """What the caller gets where nobody did."""
    notes: tuple[str, ...] = ()
    """For the report of *error*."""
    is_final: bool = False
    """Is *error* an answer, or a write that may be there? No fallback replaces it."""


def certainly_unsent(history: Sequence[AttemptEnded]) -> bool:
    """Is it certain that the region executed none of the attempts?"""
    return all(done.outcome.reached == "no" for done in history)


def obstacle(home: Home, policy: FailoverPolicy, place: FailoverRegion) -> str:
    """Why *place* may not be asked; empty: it may."""
    if home.names:
        return f"{', '.join(home.names)} came from {home.region}"
    if home.is_spent:
        return "its body was read, and cannot be sent again"
    return "" if home.reads else _obstacle_of_write(home, policy, place)


def _obstacle_of_write(
    home: Home, policy: FailoverPolicy, place: FailoverRegion
) -> str:
    method = home.ended.target.full_method
    why = ""
    if not policy.covers_writes:
        why = f"it may write, and `failover` is not written for {method} itself"
    elif place.repeats_ambiguous:
        pass
    elif not certainly_unsent(home.history):
        why = f"{home.region} may have executed it"
    elif home.is_there:
        why = f"{home.region} may have executed an earlier call with this key"
    return why


def elsewhere(
    home: Home, policy: FailoverPolicy, params: Mapping[str, Any]
) -> Generator[Ask, Reply, End]:
    """Ask one region after the other for the answer to a call.

    Args:
        home: how the call ended.
        policy: who may be asked.
        params: as the caller gave them.
    """
    notes: list[str] = []
    last = home.error
    if not is_unanswered(home.ended) or home.ended.outcome.kind == "application":
        return End(error=home.error)
    for place in policy.regions:
        if place.region == home.region:
            continue
        problem = obstacle(home, policy, place)
        there = {} if problem else renamed(params, place.rename)
        if not problem:
            problem = names_region(there, home.region)
        if problem:
            notes.append(f"not failed over to {place.region}: {problem}")
            continue
        reply = yield Ask(place, there)
        if reply.error is None:
            return End(reply.answer, place)
        error = reply.error
        if reply.is_unasked:
            notes.append(f"not failed over to {place.region}: {reply.code}")
            continue
        notes.append(f"{place.region} was asked, too: {reply.code}")
        if _counts(reply, home):
            first = f"{home.region} had ended in {home.ended.outcome.code}"
            note = f"{first} ({home.ended.reason})"
            return End(error=error, notes=(note,), is_final=True)
        if last is home.error and not home.history and reply.was_sent:
            last = error  # a refusal of ours does not hide a real error
    return End(error=last, notes=tuple(notes))


def _counts(reply: Reply, home: Home) -> bool:
    """Is what the other region said the last real outcome of the call?

    An answer is, but for one that says that the region is not set up for the call; so
    is a write that it may have executed, which must not be hidden or asked for again;
    and whatever was sent, where nothing was sent before.
    """
    if reply.is_answer:
        return reply.code not in MISPLACED
    found = reply.report
    return found is not None and found.ambiguous and not home.reads


def said(error: Exception, found: Report | None) -> Reply:
    """The reply of a region that raised *error*."""
    response = getattr(error, "response", None)
    code = ""
    if isinstance(response, Mapping):
        code = str((response.get("Error") or {}).get("Code") or "")
    is_answer = bool(code)
    if found is not None and found.attempts:
        last = found.attempts[-1]
        sent = len(found.attempts)
        is_answer = is_answer and not lacks_answer(
            last.kind, last.code, found.reason, sent=sent
        )
    return Reply(
        error=error,
        code=code or type(error).__name__,
        is_answer=is_answer,
        report=found,
    )


def unasked(home: Home, why: str) -> Reply:
    """The reply of a region that could not be asked."""
    return Reply(error=home.error, code=why, is_unasked=True)


def mark(answer: Any, place: FailoverRegion, home: Home) -> None:
    """Say in *answer* where it came from, and why."""
    if isinstance(answer, dict):
        ended = home.ended
        answer.setdefault("ResponseMetadata", {})[MARK] = {
            "region": place.region,
            "instead_of": home.region,
            "reason": ended.reason,
            "code": ended.outcome.code,
            "call_id": ended.call_id,
        }


def mark_begun(answer: Any, place: FailoverRegion, region: str) -> None:
    """Say in *answer* that it came from where the list, or the upload, was begun."""
    if isinstance(answer, dict):
        answer.setdefault("ResponseMetadata", {})[MARK] = {
            "region": place.region,
            "instead_of": region,
            "reason": "begun-there",
        }


# -- parameters ------------------------------------------------------------------


def renamed(
    params: Mapping[str, Any], rename: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """*params* with the names of another region; the given ones stay as they are."""
    made: dict[str, Any] = {}
    for name, value in params.items():
        table = rename.get(name)
        if table is not None:
            made[name] = _renamed(value, table, rename)
        elif name == "CopySource" and isinstance(value, str):
            made[name] = _copied(value, rename.get("Bucket", {}))
        else:
            made[name] = _below(value, rename)
    return made


def _renamed(value: Any, table: Mapping[str, str], rename: Any) -> Any:
    if isinstance(value, str):
        return table.get(value, value)
    if isinstance(value, list):
        return [_renamed(one, table, rename) for one in value]
    if isinstance(value, Mapping):  # such as RequestItems, by table
        return {table.get(key, key): _below(one, rename) for key, one in value.items()}
    return value


def _below(value: Any, rename: Mapping[str, Mapping[str, str]]) -> Any:
    if not rename or not isinstance(value, (Mapping, list)):
        return value
    if isinstance(value, Mapping):
        return renamed(value, rename)
    return [_below(one, rename) for one in value]


def _copied(source: str, table: Mapping[str, str]) -> str:
    bucket, slash, rest = source.lstrip("/").partition("/")
    return f"{table[bucket]}{slash}{rest}" if bucket in table else source


def names_region(params: Mapping[str, Any], region: str) -> str:
    """Which parameter names *region* as an address does; empty: none."""
    for name, value in params.items():
        if not isinstance(value, str):
            continue
        is_arn = value.startswith("arn:") and f":{region}:" in value
        is_url = value.startswith(("http://", "https://")) and f".{region}." in value
        if is_arn or is_url:
            return f"{name} names {region}: rename it"
    return ""
