"""A sink that writes every record as a line of JSON, for `resilience replay`.

A call only puts its record in a queue; a thread encodes and writes. A slow or full disk
loses records, counts them and says so in the file; it never holds or fails a call.
"""

import atexit
import contextlib
import logging
import os
import platform
import threading
import time
import weakref
from collections import deque

from resilience.core.record import Record

from . import encoding
from .lines_file import LinesFile


FLUSH_S = 0.2
"""What was recorded is written after at most this long."""
BATCH = 32
"""Records encoded at once: other threads get their turn after each batch."""
REPORT_EVERY_S = 60.0
"""That records are lost is said at most once in this many seconds."""
CLOSE_WITHIN_S = 2.0
"""`close` waits this long for what is in the queue."""

logger = logging.getLogger("resilience")


class JsonLinesSink:
    """Writes records to a file that `resilience replay` reads.

    Safe to share between threads and engines. The file is opened with the first record.
    Each process has a file of its own: where *path* is in use (`records.jsonl`), the
    next free name is taken (`records-2.jsonl`), also after a fork. All of them together
    take at most `max_bytes * (keep + 1) * max_files` bytes of the disk.

    Nothing is raised into a call. What could not be written is counted in `lost`, told
    in the file, and said in the log once a minute.

    Args:
        path: the file, in a folder that exists. Mode 0600.
        max_bytes: size at which a file is put aside as `records.jsonl.1` and a new one
            begun; 64 MiB unless given.
        keep: files kept aside, 4 unless given; the oldest goes.
        max_files: processes that may write at once, 64 unless given; a further one
            records nothing.
        queue: records that may wait to be written, 10 000 unless given; a thousand
            take about 1 MB.

    versionadded: 0.1
    """

    wants_successes = True
    """A healthy call is evidence too: without it no breaker can be played again."""
    wants_draws = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = 64 * 1024 * 1024,
        keep: int = 4,
        max_files: int = 64,
        queue: int = 10_000,
    ) -> None:
        self._file = LinesFile(
            path, max_bytes=max_bytes, keep=keep, max_files=max_files
        )
        self._most = queue
        self.lost = 0
        """Records that were not written: the queue was full, or the disk refused."""
        self._next_report = 0.0
        self._renew()
        _sinks.add(self)

    def _renew(self) -> None:
        self._queue: deque[Record] = deque()
        self._due = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._told_lost = self.lost = 0

    def emit(self, record: Record) -> None:
        """Put *record* in the queue."""
        queue = self._queue
        if len(queue) >= self._most:
            self.lost += 1
            return
        queue.append(record)
        if not self._due.is_set():
            self._due.set()
            if self._thread is None:
                self._begin()

    def close(self) -> None:
        """Write what is in the queue, for 2 s at most; the sink can be used on."""
        with self._lock:
            thread, self._thread = self._thread, None
            closing = self._closing
        if thread is None:
            return
        closing.set()
        self._due.set()
        thread.join(CLOSE_WITHIN_S)

    def renew(self) -> None:
        """Write to a file of its own, after a fork; the queue is the parent's."""
        self._file.renew()
        self._renew()

    @property
    def path(self) -> str:
        """The file that is written now; empty: none was opened yet."""
        return self._file.path

    # -- the thread --------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._closing = closing = threading.Event()
                self._thread = threading.Thread(
                    target=self._run,
                    args=(closing,),
                    name="resilience-records",
                    daemon=True,
                )
                self._thread.start()

    def _run(self, closing: threading.Event) -> None:
        while True:
            self._due.wait()
            is_last = closing.wait(FLUSH_S)
            self._due.clear()
            with self._writing:
                self._drain()
                if is_last:
                    self._file.close()
                    return

    def _drain(self) -> None:
        queue = self._queue
        while queue:
            lines: list[str] = []
            taken = 0
            with contextlib.suppress(IndexError):
                while taken < BATCH:
                    record = queue.popleft()
                    taken += 1
                    lines.append(self._line(record))
            try:
                self._write("".join(lines))
            except OSError as error:
                self.lost += taken
                self._say(error)
        if self.lost > self._told_lost:
            self._tell_lost()

    def _line(self, record: Record) -> str:
        try:
            return encoding.line(record)
        except (ValueError, TypeError) as error:  # a sink must not end its thread
            self.lost += 1
            self._say(error)
            return ""

    def _write(self, text: str) -> None:
        if not self._file.write(text, _opened()):
            msg = "all names are taken by other processes"
            raise OSError(msg)

    def _tell_lost(self) -> None:
        lost = self.lost
        text = encoding.own_line(encoding.LOST, records=lost - self._told_lost)
        with contextlib.suppress(OSError):
            self._write(text)
            self._told_lost = lost
        self._say(None)

    def _say(self, error: Exception | None) -> None:
        now = time.monotonic()
        if now < self._next_report:
            return
        self._next_report = now + REPORT_EVERY_S
        why = repr(error) if error else "the queue was full"
        with contextlib.suppress(Exception):  # a log handler may be what fails
            logger.warning("%d records were not written: %s", self.lost, why)


def _opened() -> str:
    """Who writes, and how its monotonic clock stands to the time of day."""
    offset_s = time.time() - time.monotonic()
    return encoding.own_line(
        encoding.OPENED, pid=os.getpid(), host=platform.node(), clock_offset_s=offset_s
    )


_sinks: "weakref.WeakSet[JsonLinesSink]" = weakref.WeakSet()


def _close_sinks() -> None:
    for sink in [*_sinks]:
        sink.close()


atexit.register(_close_sinks)
