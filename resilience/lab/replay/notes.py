"""What a replay cannot know, said in words beside its figures."""

from collections.abc import Mapping

from resilience.policy import PolicyTable

from .reading import Contents


def notes_on(
    contents: Contents, table: PolicyTable, attempts: Mapping[str, int]
) -> tuple[str, ...]:
    """Everything about this recording and policy that limits what the figures mean."""
    return tuple(_notes(contents, table, attempts))


def _notes(contents, table, attempts):
    for place in contents.cut_off:
        yield f"{place} was cut off and is left out"
    if contents.begun_before:
        yield (
            f"{_number(contents.begun_before, 'process')} had made calls before the "
            "recording begins: their breakers and budgets start from nothing here"
        )
    if contents.missing:
        yield (
            f"{_number(contents.missing, 'call')} left no record, by the gaps in the "
            "call numbers: their evidence is missing"
        )
    if contents.lost:
        yield f"{_number(contents.lost, 'record')} could not be written at the time"
    if contents.unfinished:
        yield (
            f"{_number(contents.unfinished, 'call')} had not ended where the "
            "recording ends: left out"
        )
    if contents.not_whole:
        yield (
            f"{_number(contents.not_whole, 'call')} lack the record of an attempt: "
            "it is assumed like one that was never made"
        )
    for kind, number in sorted(contents.unknown_kinds.items()):
        yield f"{_number(number, 'record')} of kind {kind!r} are of a newer release"
    if attempts["assumed"]:
        yield (
            "an attempt that was not made, or not then, is assumed to end as the next "
            "one recorded on its target and method"
        )
    if attempts["unknown"]:
        yield (
            "of an attempt on a method with no recorded attempt nothing is known: its "
            "call ends with UNRECORDED and counts as failed"
        )
    if table.state == "host" and len(contents.processes) > 1:
        yield (
            "state: host is played with the processes of one machine sharing evidence "
            "as they did: only those that are in the recording"
        )


def _number(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
