"""What s3transfer does in its threads: the caller's budget, one owner of repeats.

Its threads inherit no context variables, but s3transfer hands botocore's own context
to each task, and what stands around the caller travels with it. Within a task a
download whose repeats are spent is not begun again, and a multipart upload whose
deadline has passed is aborted all the same, beside the caller.
"""

import logging
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from resilience import context
from resilience.core.record import Notice
from resilience.inbound import Inbound
from resilience.report import report

from .body import has_come, protect
from .extract import MAX_MESSAGE, _clean
from .flight import Flight, current


try:
    from botocore.context import ClientContext, get_context
except ImportError:  # before 1.37: its threads have no context at all
    ClientContext: Any = None  # type: ignore[no-redef]  # older ones lack it

    def get_context() -> Any:
        """Nothing: there is none."""
        return None


if TYPE_CHECKING:
    from .guard import Guard

ATTRIBUTE = "_resilience_task"
GET, CREATE, ABORT = "GetObject", "CreateMultipartUpload", "AbortMultipartUpload"
ABORT_S = 30.0
"""How long an abort may go on after the deadline of its upload."""
Native = Callable[[str, Mapping[str, Any]], Any]
logger = logging.getLogger("resilience.botocore")


class Ambient(NamedTuple):
    """What stands around a caller. Immutable."""

    deadline_at: float | None
    key: str | None
    criticality: context.Criticality | None
    inbound: Inbound | None

    @classmethod
    def here(cls) -> "Ambient | None":
        """What stands around this line; None: nothing."""
        found = cls(
            context.deadline_at.get(),
            context.ambient_key.get(),
            context.ambient_criticality.get(),
            context.inbound.get(),
        )
        return None if found == NOTHING else found

    @contextmanager
    def around(self) -> Generator[None]:
        """Let what is inside have it, where it has nothing of its own."""
        deadline = context.deadline_at.get()
        if deadline is None or (self.deadline_at or deadline) < deadline:
            deadline = self.deadline_at
        tokens = (
            (context.deadline_at, context.deadline_at.set(deadline)),
            _unless_set(context.ambient_key, self.key),
            _unless_set(context.ambient_criticality, self.criticality),
            _unless_set(context.inbound, self.inbound),
        )
        try:
            yield
        finally:
            for variable, token in tokens:
                variable.reset(token)


NOTHING = Ambient(None, None, None, None)


def _unless_set(variable: Any, value: Any) -> tuple[Any, Any]:
    found = variable.get()
    return variable, variable.set(value if found is None else found)


class Task:
    """One task of s3transfer, or whatever else botocore keeps a context for.

    It hangs on botocore's context, which is copied for each task.
    """

    __slots__ = ("_spent", "ambient")

    def __init__(self, ambient: Ambient | None = None) -> None:
        self.ambient = ambient
        self._spent: tuple[Mapping[str, Any], Exception] | None = None

    def __deepcopy__(self, memo: object) -> "Task":
        return Task(self.ambient)

    def spend(self, params: Mapping[str, Any], error: Exception) -> None:
        """A download by *params* was repeated as often as it may, and ended so."""
        self._spent = (params, error)

    def spent(self, params: Mapping[str, Any]) -> Exception | None:
        """How a download by *params* has ended in this task; None: it has not."""
        found = self._spent
        return found[1] if found is not None and found[0] == params else None


def task_here() -> Task | None:
    """The task that this thread is in; None: it is in none."""
    found = get_context()
    if found is None:
        return None
    task: Task | None = getattr(found, ATTRIBUTE, None)
    if task is None:
        task = Task()
        try:
            setattr(found, ATTRIBUTE, task)
        except AttributeError:
            return None
    return task


def carry() -> bool:
    """Have s3transfer's tasks carry what stands around whoever submits them.

    Nothing changes for those who have nothing of ours around them. Harmless when it
    was done before. False: this s3transfer or botocore has no such way.
    """
    if "s3transfer" not in sys.modules and find_spec("s3transfer") is None:
        return True
    try:
        futures: Any = import_module("s3transfer.futures")
        native = futures.get_context
        setattr(ClientContext(), ATTRIBUTE, None)
    except (AttributeError, ImportError, TypeError):
        return False
    if hasattr(native, ATTRIBUTE):
        return True

    def found_context() -> Any:
        found, ambient = native(), Ambient.here()
        if ambient is None:
            return found
        made = ClientContext() if found is None else copy(found)
        setattr(made, ATTRIBUTE, Task(ambient))
        return made

    setattr(found_context, ATTRIBUTE, native)
    futures.get_context = found_context
    return True


# -- calls -----------------------------------------------------------------------


def make_call(
    guard: "Guard", name: str, params: Mapping[str, Any], native: Native
) -> Any:
    """Make one call by way of *guard*; a body in its answer is guarded, too."""
    payload = guard.payloads.get(name)
    if payload is None:
        payload = guard.payloads[name] = _payload(guard, name)
    if guard.is_s3:
        task = task_here()
        if payload:
            native = _watched(guard, native, payload, task)
        if task is not None:
            return _in_task(guard, name, params, native, task)
        if name == CREATE:
            return _create(guard, name, params, native)
    elif payload:
        native = _watched(guard, native, payload, None)
    return guard.call(name, params, native)


def _payload(guard: "Guard", name: str) -> str:
    """The member that an operation's body is in; empty: it has none."""
    try:
        model = guard._model.operation_model(name)
        if model.has_event_stream_output:
            stream = model.get_event_stream_output()
            members = model.output_shape.members.items()
            return next((str(name) for name, shape in members if shape is stream), "")
        if not model.has_streaming_output:
            return ""
        return str(model.output_shape.serialization.get("payload", ""))
    except Exception:  # noqa: BLE001 - no such operation, or a model of another shape
        return ""


def _watched(guard: "Guard", native: Native, payload: str, task: Task | None) -> Native:
    def make(name: str, params: Mapping[str, Any]) -> Any:
        asked = dict(params)  # botocore's handlers write into the original
        answer = native(name, params)
        flight = current.get()
        if flight is not None and flight.guard is guard and flight.acts:
            body = answer.get(payload)
            if body is not None and not has_come(body):
                try:
                    protect(flight, body, answer, asked=asked, native=native, task=task)
                except (AttributeError, LookupError, TypeError) as error:
                    guard.say("body-unwatched", f"{name}: {error!r}; it stays bare")
        return answer

    return make


def _in_task(
    guard: "Guard", name: str, params: Mapping[str, Any], native: Native, task: Task
) -> Any:
    if name == GET:
        spent = task.spent(params)
        if spent is not None:
            raise spent
    asked = dict(params)
    with (task.ambient or NOTHING).around():
        try:
            if name == CREATE:
                return _create(guard, name, params, native)
            return guard.call(name, params, native)
        except Exception as error:
            if report(error) is not None:  # the engine has decided, not botocore
                if name == GET and guard.owns_retries(name, asked):
                    task.spend(asked, error)
                elif name == ABORT:
                    _abort_later(guard, asked, native, error)
            raise


def _create(
    guard: "Guard", name: str, params: Mapping[str, Any], native: Native
) -> Any:
    """Begin an upload, and say so when there may be one that nobody knows of."""
    flights: list[Flight] = []

    def make(name: str, params: Mapping[str, Any]) -> Any:
        flight = current.get()
        if flight is not None:
            flights.append(flight)
        return native(name, params)

    asked = dict(params)
    try:
        return guard.call(name, params, make)
    finally:
        for flight in flights:
            tell_lost(guard, asked, flight)


def tell_lost(guard: "Guard", params: Mapping[str, Any], flight: Flight) -> None:
    """Say so when the creation by *flight* may have begun an upload unknown to all."""
    lost = [
        done.outcome
        for done in flight._call.history
        if done.outcome.kind == "transport" and done.outcome.reached == "maybe"
    ]
    if lost:
        _tell(
            guard,
            "upload-unknown",
            f"{len(lost)} answer(s) to the creation of a multipart upload of "
            f"{_object(params)} were lost ({lost[-1].code}): an upload that "
            "nobody completes may be left; list_multipart_uploads shows it, "
            "a lifecycle rule removes it",
        )


def _abort_later(
    guard: "Guard", params: Mapping[str, Any], native: Native, error: Exception
) -> None:
    """Abort an upload although its caller's time is over; he does not wait for it."""
    deadline = context.ambient_deadline()
    if deadline is None or context.monotonic() < deadline:
        _tell_left(guard, params, error)
        return

    def abort() -> None:
        try:
            with context.detached(), context.deadline(ABORT_S):
                guard.call(ABORT, dict(params), native)
        except Exception as failed:  # noqa: BLE001 - nobody waits for it
            _tell_left(guard, params, failed)

    try:
        threading.Thread(target=abort, name="resilience-abort").start()
    except RuntimeError:  # the interpreter ends, or there are no more threads
        _tell_left(guard, params, error)


def _tell_left(guard: "Guard", params: Mapping[str, Any], error: Exception) -> None:
    response = getattr(error, "response", None) or {}  # others have one that is None
    if response.get("Error", {}).get("Code") == "NoSuchUpload":
        return  # it was completed, or is gone already
    _tell(
        guard,
        "upload-left",
        f"multipart upload {_clean(str(params.get('UploadId')), 200)} of "
        f"{_object(params)} was not aborted ({_clean(str(error), MAX_MESSAGE)}): its "
        "parts stay, and are billed, until it is",
    )


def _object(params: Mapping[str, Any]) -> str:
    return _clean(f"s3://{params.get('Bucket')}/{params.get('Key')}", MAX_MESSAGE)


def _tell(guard: "Guard", code: str, text: str) -> None:
    engine = guard.registration.engine
    logger.warning("%s", text)
    if engine is not None:
        engine.emit((Notice(code, text, engine.now()),))
