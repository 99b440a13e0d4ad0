"""Carries the context into threads and executors, which do not inherit it.

What is carried is the whole context at the moment of `propagate`: deadline, key,
criticality, the call we serve, and everybody else's variables (a trace, say).
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast


P = ParamSpec("P")
T = TypeVar("T")


def propagate(fn: Callable[P, T]) -> Callable[P, T]:
    """*fn*, to be run elsewhere in the context of here and now.

    `executor.submit(propagate(fetch), item)` spends the caller's deadline, where
    `executor.submit(fetch, item)` has none. Each call of the result runs in a copy of
    its own, so that calls may overlap and change nothing outside.

    Args:
        fn: a function or a coroutine function. Functions that return generators are
            carried until they return; their steps run where they are taken.

    Returns:
        A function with the signature of *fn*. Safe to share between threads.
    """
    context = copy_context()
    if inspect.iscoroutinefunction(fn):

        @wraps(fn)
        async def carried_on(*args: P.args, **named: P.kwargs) -> Any:
            return await _Carried(fn(*args, **named), context.copy())

        return cast("Callable[P, T]", carried_on)

    @wraps(fn)
    def carried(*args: P.args, **named: P.kwargs) -> T:
        return context.copy().run(fn, *args, **named)

    return carried


class _Carried(Awaitable[Any]):
    """A coroutine whose steps run in a context, within the task that awaits it.

    No task is made: cancellation and timeouts reach the coroutine as ever.
    """

    def __init__(self, made: Coroutine[Any, Any, Any], context: Context) -> None:
        self._made = made
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        made, run = self._made, self._context.run
        try:
            waits_for = run(made.send, None)
            while True:
                try:
                    sent = yield waits_for
                except GeneratorExit:
                    run(made.close)
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's
                    waits_for = run(made.throw, error)
                else:
                    waits_for = run(made.send, sent)
        except StopIteration as end:
            return end.value
