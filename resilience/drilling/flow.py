"""What happens to one attempt that a fault hits, step by step, without any I/O.

A generator says what to do next (wait, or send) and is told how that went; whoever
drives it blocks, awaits or hooks. So a fault is the same in every adapter, and the
server has the call, or has it not, exactly where the fault says.
"""

from collections.abc import Callable, Generator
from typing import Final, Literal, NamedTuple, TypeAlias

from .model import Fault


class Wait(NamedTuple):
    """Let *seconds* pass; told False when the drill was stopped meanwhile."""

    seconds: float


class Send(NamedTuple):
    """Have the server execute the call; told whether it answered well."""

    timeout_s: float | None
    """What is left of the attempt's time; None: no limit."""
    is_cut: bool = False
    """Break it off while it is under way."""


End: TypeAlias = Literal["native", "status", "refused", "reset", "late", "cut"]
"""What the caller gets: the native end, or in its place an error answer, a refused
connection, a reset one, the attempt's own timeout, or a stream that is cut."""
Flow: TypeAlias = Generator[Wait | Send, bool, End]
AT_ONCE: Final = 0.0


def flow(
    fault: Fault,
    timeout_s: float | None,
    now: Callable[[], float],
    fault_left: Callable[[], float],
    *,
    streams: bool = False,
) -> Flow:
    """What *fault* does to an attempt.

    Args:
        fault: what was drawn for it.
        timeout_s: the attempt's own limit; None: it has none.
        now: monotonic seconds.
        fault_left: seconds until the fault is over.
        streams: is the answer read as it comes?
    """
    began = now()

    def left() -> float | None:
        return None if timeout_s is None else timeout_s - (now() - began)

    def waited(seconds: float) -> Generator[Wait, bool, Literal["over", "late", ""]]:
        rest = left()
        if rest is not None and rest <= seconds:
            return "late" if (yield Wait(max(AT_ONCE, rest))) else "over"
        return "" if (yield Wait(seconds)) else "over"

    if fault.kind == "refuse":
        return "refused"
    if fault.where == "before":
        if fault.kind == "status":
            return "status"
        if fault.kind == "delay" and (yield from waited(fault.delay or 0.0)) == "late":
            return "late"
    is_cut = fault.kind == "cut"
    answered = yield Send(left(), is_cut and not streams)
    if is_cut:
        return "cut" if streams else "reset"
    if not answered or (fault.kind == "delay" and fault.where == "before"):
        return "native"
    return (yield from _after(fault, waited, fault_left))


def _after(
    fault: Fault,
    waited: Callable[[float], Generator[Wait, bool, str]],
    fault_left: Callable[[], float],
) -> Flow:
    """The server has executed the call, and its answer is on its way."""
    if fault.kind == "status":
        return "status"
    if fault.kind == "delay":
        how = yield from waited(fault.delay or 0.0)
        return "late" if how == "late" else "native"
    if fault.answer == "silence":
        how = yield from waited(max(AT_ONCE, fault_left()))
        if how == "late":
            return "late"
    return "reset"
