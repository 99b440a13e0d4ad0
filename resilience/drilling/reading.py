"""Drill text -> model, or every problem of it with file, line and column."""

from collections.abc import Iterable
from typing import Final

from resilience.core.grpc_codes import GRPC_CODES
from resilience.policy import diagnose, formats, match, yaml_text
from resilience.policy.document import Document

from .expecting import FIGURES, NEWEST, ExpectationError
from .expecting import read as read_expectation
from .model import OF_KIND, Drill, Fault


FAILURES: Final = tuple(code for code in GRPC_CODES if code != "OK")
"""What a fault of kind `status` may say."""


def drill(path: str) -> Drill:
    """The drill in that file.

    Raises:
        PolicyError: with every problem of the text, in order.
        OSError: the file cannot be read.
    """
    return read(path, yaml_text.file_bytes(path))


def read(file: str, text: str | bytes) -> Drill:
    """Read a drill; *file* is its name in messages.

    Raises:
        PolicyError: with every problem, in order.
    """
    return formats.read(Drill, file, text, _relate)


def _relate(document: Document, found: Drill) -> None:
    """Judge what single values cannot show."""
    for index, fault in enumerate(found.faults):
        _relate_fault(document, found, index, fault)
    if found.run and found.command:
        text = "a drill has `run` or `command`, not both"
        document.say(("command",), "conflict", "", text, hint="leave one out")
    if found.warm_up > found.faults_begin:
        text = "the first fault begins before the warm-up is over"
        document.say(("warm_up",), "out-of-range", "", text)
    # What `verify` returns has names that only it knows.
    known = None if found.verify else FIGURES
    for name, texts, figures in (
        ("stop_when", found.stop_when, NEWEST),
        ("expect", found.expect, known),
    ):
        for place, text in enumerate(texts):
            try:
                read_expectation(text, figures)
            except ExpectationError as error:
                path = (name, place)
                document.say(path, "bad-expectation", text, str(error))


def _relate_fault(document: Document, found: Drill, index: int, fault: Fault) -> None:
    """Does a fault fit into the drill, and its keys to its kind?"""
    here = ("faults", index)

    def say(key: str, code: str, text: str, hint: str = "") -> None:
        document.say((*here, key), code, "", text, hint=hint)

    if fault.ends > found.duration:
        text = "the fault is not over when the drill is; `duration` holds them all"
        say("lasts", "out-of-range", text)
    if not fault.targets and not fault.methods:
        text = "say whom it hits: `targets`, `methods` or both"
        document.say(here, "missing-key", "", text, hint="write `methods: [...]`")
    own = OF_KIND[fault.kind]
    for key in sorted(fault.model_fields_set):
        owners = [kind for kind, keys in OF_KIND.items() if key in keys]
        if owners and key not in own:
            text = f"`{key}` belongs to {_listed(owners)}, not to `{fault.kind}`"
            document.say(
                (*here, key), "conflict", "", text, at=document.key_spot((*here, key))
            )
    if fault.kind == "delay" and fault.delay is None:
        text = "say how late: the key `delay` must be written"
        document.say(here, "missing-key", "", text, hint="write `delay: 200ms`")
    _relate_methods(document, index, fault)


def _relate_methods(document: Document, index: int, fault: Fault) -> None:
    """Are the patterns patterns, and is the code one of their protocol?"""
    protocols = set()
    for place, pattern in enumerate(fault.methods):
        protocol = "grpc" if "/" in pattern else "aws"
        if match.split(protocol, pattern) is None:
            text = f"{match.ALLOWED['grpc']}; {match.ALLOWED['aws']}"
            hint = match.suggestion(protocol, pattern)
            spot = ("faults", index, "methods", place)
            document.say(spot, "bad-pattern", pattern, text, hint=hint)
        else:
            protocols.add(protocol)
    if fault.kind != "status":
        return
    path = ("faults", index, "code")
    if not fault.code:
        text = "say which: the key `code` must be written"
        hint = "write `code: UNAVAILABLE`"
        document.say(path[:2], "missing-key", "", text, hint=hint)
    elif protocols == {"grpc"} and fault.code not in FAILURES:
        text = f"one of gRPC's codes goes here: {', '.join(FAILURES)}"
        hint = diagnose.write(diagnose.nearest(fault.code, FAILURES), "")
        document.say(path, "unknown-word", fault.code, text, hint=hint)
    elif len(protocols) > 1:
        text = "a status is gRPC's or AWS's; write a fault for each"
        document.say(path, "conflict", fault.code, text)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)
