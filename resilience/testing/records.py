"""A sink that keeps every record, for tests that ask what was decided and why."""

from typing import TypeVar

from resilience.core.record import AttemptEnded, CallEnded, Decided, Record


T = TypeVar("T", bound=Record)


class CollectingSink:
    """Keeps all records, in order. Safe to share between threads.

    versionadded: 0.1
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        """Every record so far; clear it when you like."""

    def emit(self, record: Record) -> None:
        """Keep *record*."""
        self.records.append(record)

    def of(self, kind: type[T]) -> list[T]:
        """The records of one kind, in order."""
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def attempts(self) -> list[AttemptEnded]:
        """Attempts that ended, but for a first one that succeeded."""
        return self.of(AttemptEnded)

    @property
    def calls(self) -> list[CallEnded]:
        """Calls that ended."""
        return self.of(CallEnded)

    @property
    def observed(self) -> list[Decided]:
        """Decisions that were recorded and not acted upon."""
        return self.of(Decided)
