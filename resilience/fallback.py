"""Functions that answer calls which nobody else answered: a policy's `fallback`.

Adapters ask here when a call ended without an answer. Whatever goes wrong here, the
caller gets the call's own error, with a note of what went wrong.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

from resilience.core.record import CallEnded, Decided, Diverted, Notice, Record
from resilience.core.target import Target
from resilience.report import Report, amend, report


F = TypeVar("F", bound=Callable[..., Any])
MESSAGE_CHARS = 256
_ASYNC = "it is asynchronous, and the call is not"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCall:
    """What a fallback is told of the call that it may answer. Immutable."""

    name: str
    """`shop.Cart/GetCart`, `s3.GetObject`, `rates/quote`."""
    target: Target
    """The same in parts, with region, bucket and the like where they are known."""
    error: Exception
    """What the caller gets unless the fallback answers; `report` tells its history."""
    request: Any = None
    """gRPC: the request message; AWS: the parameters, as the caller gave them; None
    for functions, and where requests are streamed."""

    @property
    def report(self) -> Report | None:
        """The history of the call."""
        return report(self.error)


class Host(Protocol):
    """What fallbacks need of the engine. Safe to share between threads."""

    now: Callable[[], float]
    """Monotonic seconds."""

    def emit(self, records: tuple[Record, ...]) -> None:
        """Hand records to the sinks; never raises."""


class Fallbacks:
    """The fallbacks of one engine, by name. Safe to share between threads.

    Calling it registers one: `engine.fallback("quotes", last_known)`, or as a
    decorator, `@engine.fallback("quotes")`.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._by_name: dict[str, Callable[[FailedCall], Any]] = {}
        self._said: set[str] = set()

    @overload
    def __call__(self, name: str, fn: F) -> F: ...

    @overload
    def __call__(self, name: str) -> Callable[[F], F]: ...

    def __call__(self, name: str, fn: F | None = None) -> F | Callable[[F], F]:
        """Register *fn* as the fallback that policies call *name*.

        It takes a `FailedCall` and returns what the call's caller gets; where calls
        are awaited it may be asynchronous. The caller's thread or task runs it, within
        what is left of his deadline. A later one of the same name replaces it.

        Args:
            name: as in the policy.
            fn: the function; None: a decorator is returned.

        Raises:
            TypeError: *fn* cannot be called.
        """
        if fn is None:
            return lambda found: self(name, found)
        if not callable(fn):
            msg = f"a fallback is a function, got {type(fn).__qualname__}"
            raise TypeError(msg)
        self._by_name[name] = fn
        return fn

    def answer(self, name: str, failed: FailedCall, ended: CallEnded) -> Any:
        """The answer of the fallback *name* to a call that *ended* unanswered.

        Raises:
            Exception: `failed.error`: there is none, it failed, or we only observe.
        """
        fn = self._find(name, failed, ended)
        began = self._host.now()
        try:
            made = fn(failed)
            if inspect.isawaitable(made):
                _drop(made)
                raise TypeError(_ASYNC)  # noqa: TRY301 - it fails as any other does
        except Exception as error:  # noqa: BLE001 - the call's own error is raised
            trouble = error
        else:
            self._tell(name, ended, "OK", began)
            return made
        raise self._failed(name, failed, ended, trouble, began)

    async def aanswer(self, name: str, failed: FailedCall, ended: CallEnded) -> Any:
        """The same where calls are awaited."""
        fn = self._find(name, failed, ended)
        began = self._host.now()
        try:
            made = fn(failed)
            if inspect.isawaitable(made):
                made = await made
        except Exception as error:  # noqa: BLE001 - the call's own error is raised
            trouble = error
        else:
            self._tell(name, ended, "OK", began)
            return made
        raise self._failed(name, failed, ended, trouble, began)

    def _find(
        self, name: str, failed: FailedCall, ended: CallEnded
    ) -> Callable[[FailedCall], Any]:
        now = self._host.now()
        if ended.mode != "enforce":
            would = Decided(
                ended.call_id,
                ended.target,
                "fallback",
                "return",
                ended.reason,
                name,
                0.0,
                now,
            )
            self._host.emit((would,))
            raise failed.error
        fn = self._by_name.get(name)
        if fn is not None:
            return fn
        text = f"no fallback {name!r} is registered on the engine"
        if name not in self._said:
            self._said.add(name)
            self._host.emit((Notice("fallback-unknown", text, now),))
        amend(failed.error, text)
        raise failed.error

    def _failed(
        self,
        name: str,
        failed: FailedCall,
        ended: CallEnded,
        trouble: Exception,
        began: float,
    ) -> Exception:
        """The call's own error, which says how the fallback failed."""
        code = type(trouble).__name__
        self._tell(name, ended, code, began)
        if trouble is not failed.error:
            amend(failed.error, f"fallback {name} failed: {code}{_text_of(trouble)}")
        return failed.error

    def _tell(self, name: str, ended: CallEnded, code: str, began: float) -> None:
        now = self._host.now()
        record = Diverted(
            ended.call_id,
            ended.target,
            "fallback",
            name,
            code,
            ended.reason,
            now - began,
            now,
        )
        self._host.emit((record,))


def _drop(made: Any) -> None:
    """Let go of what nobody will await."""
    close = getattr(made, "close", None)
    if close is not None:
        close()


def _text_of(error: Exception) -> str:
    try:
        text = str(error)[:MESSAGE_CHARS]
    except Exception:  # noqa: BLE001 - a broken `__str__` must not replace an error
        return ""
    shown = text.encode("unicode_escape").decode("ascii")[:MESSAGE_CHARS]
    return f": {shown}" if shown else ""
