"""A call whose answer was lost, and whose work was found done: it succeeded.

The attempt failed all the same, and its evidence stands; what is rewritten here is how
the call ended. A pure function of records.
"""

from .outcome import OK
from .record import AttemptEnded, CallEnded, Record


def verified(
    records: tuple[Record, ...],
    ids: tuple[tuple[str, str], ...] = (),
    *,
    is_unsent: bool = False,
) -> tuple[Record, ...]:
    """*records* of a call's end, as those of a success that was found by looking.

    Args:
        records: of its last step.
        ids: that the server gave for the attempt whose answer was lost.
        is_unsent: the newest attempt was answered without being sent.
    """
    return tuple(_of(record, ids, is_unsent=is_unsent) for record in records)


def _of(record: Record, ids: tuple[tuple[str, str], ...], *, is_unsent: bool) -> Record:
    if isinstance(record, AttemptEnded) and record.outcome.kind != "ok":
        return record._replace(decision="return", reason="verified", wait_s=0.0)
    if isinstance(record, CallEnded):
        return record._replace(
            outcome=OK._replace(ids=ids or record.outcome.ids),
            reason="verified",
            attempts=record.attempts - is_unsent,
            ambiguous=False,
        )
    return record
