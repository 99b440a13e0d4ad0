"""Telling aiobotocore's sessions and clients from botocore's, and what is theirs.

They derive from botocore's classes, so everything finds its way by this file. What is
written for them is loaded when the first one is met: botocore's users never import it.
"""

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .guard import Guard


def is_awaited(kind: type) -> bool:
    """Are the calls of clients of this *kind*, or class to be, awaited?"""
    return any(base.__module__.startswith("aiobotocore.") for base in kind.__mro__)


def guard_kind(client: Any) -> "type[Guard]":
    """What guards *client*."""
    if is_awaited(type(client)):
        from .aio.guard import AioGuard

        return AioGuard
    from .guard import Guard

    return Guard


def front_of(bases: list[type]) -> type:
    """What is put in front of a client class with *bases*, that is being made."""
    if any(map(is_awaited, bases)):
        from .aio.clients import ProtectedAioClient

        return ProtectedAioClient
    from .register import ProtectedClient

    return ProtectedClient
