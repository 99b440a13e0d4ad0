"""Messages of two sides, field by field: do they read each other's bytes? Pure.

What may change in place is protobuf's own list ("Updating A Message Type"): a field
may come and go, an integer may widen, anything else is read wrongly.
"""

# protobuf makes the classes of descriptor_pb2 at run time: no checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from .finding import Finding


_F: Final = FieldDescriptorProto
_ALIKE: Final = (
    {
        _F.TYPE_INT32,
        _F.TYPE_INT64,
        _F.TYPE_UINT32,
        _F.TYPE_UINT64,
        _F.TYPE_BOOL,
        _F.TYPE_ENUM,
    },
    {_F.TYPE_SINT32, _F.TYPE_SINT64},
    {_F.TYPE_FIXED32, _F.TYPE_SFIXED32},
    {_F.TYPE_FIXED64, _F.TYPE_SFIXED64},
    {_F.TYPE_STRING, _F.TYPE_BYTES},
)


class Messages:
    """Message types of some files by full name, nested ones included. Immutable."""

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._by_name: dict[str, DescriptorProto] = {}
        for file in files:
            prefix = f".{file.package}" if file.package else ""
            for message in file.message_type:
                self._add(prefix, message)

    def get(self, name: str) -> DescriptorProto | None:
        """The message *name* (with a leading dot), if it is known."""
        return self._by_name.get(name)

    def _add(self, prefix: str, message: DescriptorProto) -> None:
        name = f"{prefix}.{message.name}"
        self._by_name[name] = message
        for nested in message.nested_type:
            self._add(name, nested)


def differences(
    roots: Iterable[str], ours: Messages, theirs: Messages
) -> Iterator[Finding]:
    """How the messages reachable from *roots* differ, where both sides know them."""
    waiting = list(roots)
    seen = set(waiting)
    while waiting:
        name = waiting.pop(0)
        here, there = ours.get(name), theirs.get(name)
        if here is None or there is None:
            continue
        yield from _fields(name.lstrip("."), here, there)
        for field in here.field:
            if field.type_name and field.type_name not in seen:
                seen.add(field.type_name)
                waiting.append(field.type_name)


def _fields(
    name: str, here: DescriptorProto, there: DescriptorProto
) -> Iterator[Finding]:
    theirs = {field.number: field for field in there.field}
    ours = {field.number: field for field in here.field}
    for number in sorted(ours.keys() & theirs.keys()):
        a, b = ours[number], theirs[number]
        if _shape(a) == _shape(b):
            continue
        alike = any({a.type, b.type} <= group for group in _ALIKE)
        repeated = (a.label == _F.LABEL_REPEATED) != (b.label == _F.LABEL_REPEATED)
        yield Finding(
            code="field-differs",
            level="advice" if alike and not repeated else "problem",
            what=f"field {number} of {name} has another type at the server",
            evidence=f"here {_words(a)}, there {_words(b)}",
            cause="a field was changed in place, or its number was used again",
            remedy="give the new field a new number, and reserve the old one",
        )
    mine = sorted(ours[n].name for n in ours.keys() - theirs.keys())
    others = sorted(theirs[n].name for n in theirs.keys() - ours.keys())
    if mine or others:
        parts = []
        if mine:
            parts.append(f"only here: {', '.join(mine)}")
        if others:
            parts.append(f"only there: {', '.join(others)}")
        yield Finding(
            code="fields-unknown",
            level="fact",
            what=f"one side of {name} has fields that the other does not know",
            evidence="; ".join(parts),
        )


def _shape(field: FieldDescriptorProto) -> tuple[object, ...]:
    return field.type, field.type_name, field.label == _F.LABEL_REPEATED


def _words(field: FieldDescriptorProto) -> str:
    kind = field.type_name.lstrip(".") or _F.Type.Name(field.type)[5:].lower()
    many = "repeated " if field.label == _F.LABEL_REPEATED else ""
    return f"{many}{kind} {field.name}"
