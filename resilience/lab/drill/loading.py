"""The load of a drill: its function, called at even intervals whatever becomes of it.

A call that is late because others hold all places counts its wait: users wait, too.
Plain functions run in threads, async ones as tasks of one loop.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

from resilience.drilling.model import Drill
from resilience.drilling.seam import Seam

from .measuring import Operation


LEAVE_S = 10.0
"""How long calls that are under way at the end may take to end."""
CTRL_C = "Ctrl-C"
Told = Callable[[Operation], None]
Tick = Callable[[], bool]
"""Asked between calls; False: the drill is over."""


def function_of(name: str) -> Callable[..., Any]:
    """The function that *name*, `module:function`, means.

    Raises:
        ValueError: there is no such module or function.
    """
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        msg = f"{name}: there is no module {error.name}"
        raise ValueError(msg) from None
    except AttributeError:
        msg = f"{name}: the module {module} has no {attribute}"
        raise ValueError(msg) from None
    if not callable(found):
        msg = f"{name} is no function"
        raise ValueError(msg)  # noqa: TRY004 - the drill file is wrong
    made: Callable[..., Any] = found
    return made


def code_of(error: BaseException) -> str:
    """What *error* is called: its gRPC or AWS code, or its class."""
    try:
        return str(error.code().name)  # type: ignore[attr-defined]  # or it has none
    except Exception:  # noqa: BLE001 - every other error there is
        response = getattr(error, "response", None)
    if isinstance(response, dict):
        known = response.get("Error")
        if isinstance(known, dict) and known.get("Code"):
            return str(known["Code"])[:80]
    return type(error).__name__


def outcome_of(function: Callable[[], Any]) -> Any:
    """What *function*, plain or async, returns."""
    found = function()
    if not inspect.isawaitable(found):
        return found

    async def awaited() -> Any:
        return await found

    return asyncio.run(awaited())


def _nothing() -> None:
    """There is nothing to set up."""


class Load:
    """Calls the function of one drill as it says. Used once."""

    def __init__(self, drill: Drill, seam: Seam, told: Told, tick: Tick) -> None:
        """Find the functions.

        Args:
            drill: names them, and says how often and how long.
            seam: its faults; it begins once all is set up, and Ctrl-C stops it.
            told: hears of each operation, in any thread.
            tick: asked before each call.

        Raises:
            ValueError: there is no such function.
        """
        self._drill = drill
        self._seam = seam
        self._told = told
        self._tick = tick
        self._function = function_of(drill.run or "")
        self._setup = function_of(drill.setup) if drill.setup else _nothing
        self._takes_number = bool(inspect.signature(self._function).parameters)
        self._waiting = threading.Event()

    def make(self) -> None:
        """Make all calls; returns when the last one has ended."""
        if inspect.iscoroutinefunction(self._function):
            asyncio.run(self._amake())
        else:
            outcome_of(self._setup)
            self._make()

    def _due(self, number: int) -> float:
        return number / self._drill.load.rate

    def _arguments(self, number: int) -> tuple[int, ...]:
        return (number,) if self._takes_number else ()

    def _end(self, due: float, code: str) -> None:
        took = self._seam.elapsed() - due
        self._told(Operation(due, took, code, self._drill.deadline))

    def _make(self) -> None:
        self._seam.begin()
        pool = ThreadPoolExecutor(self._drill.load.most_at_once, "resilience-drill")
        number = 0
        is_whole = False
        try:
            while (due := self._due(number)) < self._drill.duration and self._tick():
                wait = due - self._seam.elapsed()
                if wait > 0:
                    self._waiting.wait(min(wait, 0.05))
                    continue
                pool.submit(self._one, number, due)
                number += 1
            is_whole = due >= self._drill.duration
        except BaseException:
            self._seam.stop(CTRL_C)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=not is_whole)

    def _one(self, number: int, due: float) -> None:
        try:
            self._function(*self._arguments(number))
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            self._end(due, code_of(error))
        else:
            self._end(due, "OK")

    async def _amake(self) -> None:
        found = self._setup()
        if inspect.isawaitable(found):  # in the loop that the calls are made in
            await found
        self._seam.begin()
        places = asyncio.Semaphore(self._drill.load.most_at_once)
        tasks: set[asyncio.Task[None]] = set()
        number = 0
        try:
            while (due := self._due(number)) < self._drill.duration and self._tick():
                wait = due - self._seam.elapsed()
                if wait > 0:
                    await asyncio.sleep(min(wait, 0.05))
                    continue
                task = asyncio.create_task(self._aone(number, due, places))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
        except BaseException:
            self._seam.stop(CTRL_C)
            raise
        finally:
            if tasks:
                await asyncio.wait(tasks, timeout=LEAVE_S)

    async def _aone(self, number: int, due: float, places: asyncio.Semaphore) -> None:
        async with places:
            try:
                await self._function(*self._arguments(number))
            except Exception as error:  # noqa: BLE001 - an outcome like any other
                self._end(due, code_of(error))
            else:
                self._end(due, "OK")
