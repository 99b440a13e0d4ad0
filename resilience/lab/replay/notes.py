"""What a replay cannot know, said in words beside its figures."""

from collections.abc import Mapping

from resilience.policy import PolicyTable

from .answers import Certainty
from .reading import Contents


def notes_on(
    contents: Contents, table: PolicyTable, attempts: Mapping[Certainty, int]
) -> tuple[str, ...]:
    """Everything about this recording and policy that limits what the figures mean."""
    found = [f"{place} was cut off and is left out" for place in contents.cut_off]
    found += [
        f"{_number(number, noun)} {text}"
        for number, noun, text in (
            (contents.begun_before, "process", _BEGUN),
            (contents.missing, "call", _MISSING),
            (contents.lost, "record", "could not be written at the time"),
            (contents.unfinished, "call", _UNFINISHED),
            (contents.not_whole, "call", _NOT_WHOLE),
        )
        if number
    ]
    found += [
        f"{_number(number, 'record')} of kind {kind!r}, which a newer release makes"
        for kind, number in sorted(contents.unknown_kinds.items())
    ]
    if attempts["assumed"]:
        found.append(_ASSUMED)
    if attempts["unknown"]:
        found.append(_UNKNOWN)
    if contents.nameless:
        found.append(f"{_number(contents.nameless, 'call')} {_NAMELESS}")
    homeless = contents.hosts[""]
    if table.state == "host" and homeless and len(contents.processes) > 1:
        found.append(f"{_number(homeless, 'process')} {_HOMELESS}")
    return tuple(found)


_BEGUN = (
    "had made calls before the recording begins: breakers and budgets start from "
    "nothing here"
)
_MISSING = "left no record, by the gaps in the numbers: their evidence is missing"
_UNFINISHED = "had not ended where the recording ends: left out"
_NOT_WHOLE = (
    "without the record of an attempt, which is assumed like one that was never made"
)
_ASSUMED = (
    "an attempt that was not made, or not then, is assumed to end as the next one "
    "recorded on its target and method"
)
_UNKNOWN = (
    "of an attempt on a method with no recorded attempt nothing is known: its call "
    "ends with UNRECORDED and counts as failed"
)
_NAMELESS = (
    "with no process in the id and none in the file: played as one process, whoever "
    "made them"
)
_HOMELESS = (
    "of no known host: under state: host each decides by its own evidence, as under "
    "state: process"
)


def _number(number: int, noun: str) -> str:
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
