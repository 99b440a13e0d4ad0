"""The `boto3` module: whatever its default session is now, or will be.

boto3 makes that session when it is first asked for one, and another one each time that
`boto3.setup_default_session` is called. So the module is followed: the two functions
that make it are watched, and nothing is made before its time.
"""

import logging
import sys
import weakref
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any


MAKERS = ("setup_default_session", "_get_default_session")
"""boto3's functions after which its default session may be another one."""
Attach = Callable[[Any], Any]
"""Told of each default session, once; returns what it is registered by."""
logger = logging.getLogger("resilience.botocore")


class Followed:
    """The default sessions of `boto3`, one after the other."""

    def __init__(self, module: ModuleType) -> None:
        self._module: Any = module
        self._attach: Attach | None = None
        self._places: dict[str, tuple[Any, Any]] = {}
        self._told: weakref.WeakSet[Any] = weakref.WeakSet()
        self.attached: weakref.WeakSet[Any] = weakref.WeakSet()
        """What the sessions are registered by; clients outlive their session."""

    def follow(self, attach: Attach) -> bool:
        """Tell *attach* of the session that there is, and of each that will be.

        False: this boto3 makes its default session otherwise; only the one that there
        is was told of.
        """
        self._attach = attach
        self._told.clear()
        for name in MAKERS:
            native = getattr(self._module, name, None)
            if native is not None and name not in self._places:
                ours = self._watched(native)
                setattr(self._module, name, ours)
                self._places[name] = (ours, native)
        self._look()
        return bool(self._places)

    def leave(self) -> None:
        """Give the module back as it was."""
        self._attach = None
        for name, (ours, native) in self._places.items():
            # What somebody has put around ours since then stays, and ours is bare.
            if getattr(self._module, name, None) is ours:
                setattr(self._module, name, native)
        self._places = {}

    def _watched(self, native: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(native)
        def make(*args: Any, **kwargs: Any) -> Any:
            made = native(*args, **kwargs)
            self._look()
            return made

        return make

    def _look(self) -> None:
        session = getattr(self._module, "DEFAULT_SESSION", None)
        attach = self._attach
        if session is None or attach is None or session in self._told:
            return
        try:
            self._told.add(session)
            self.attached.add(attach(session))
        except Exception as error:  # noqa: BLE001 - a stand-in of somebody's tests
            logger.warning("boto3's default session stays bare: %r", error)


_followed: dict[str, Followed] = {}


def is_boto3(obj: object) -> bool:
    """Is *obj* the `boto3` module?"""
    return isinstance(obj, ModuleType) and obj is sys.modules.get("boto3")


def follow(module: ModuleType, attach: Attach) -> bool:
    """As `Followed.follow`, one for the process."""
    followed = _followed.get(module.__name__)
    if followed is None:
        followed = _followed[module.__name__] = Followed(module)
    return followed.follow(attach)


def attached(module: ModuleType) -> list[Any]:
    """What the default sessions of *module* are registered by."""
    followed = _followed.get(module.__name__)
    return [] if followed is None else [*followed.attached]


def leave(module: ModuleType) -> None:
    """Follow *module* no more."""
    followed = _followed.pop(module.__name__, None)
    if followed is not None:
        followed.leave()
