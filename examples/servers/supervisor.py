"""Start real servers, kill them on purpose, and leave none running.

Every child leads its own session (a Ctrl-C on the terminal does not reach it), is on a
leash to this process, and is killed when the supervisor closes: at the end of the
`with` block, at exit, or by SIGTERM where `exit_on_sigterm` was called.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from .ports import HOST, free_port, wait_listening


ROOT = Path(__file__).resolve().parents[2]
LEASH = Path(__file__).with_name("leash.py")
START_S = 30.0
"""A server that does not listen after this many seconds has failed to start."""


class ServerFailed(RuntimeError):
    """A server did not start in time, or ended by itself."""


class Server:
    """One child process on one port. Use it from one thread at a time."""

    def __init__(
        self, name: str, argv: Sequence[str], port: int, spawn: "Spawn", log: Path
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.port = port
        self.log = log
        """The child's standard output and error."""
        self._spawn = spawn
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; 0 when it is not running."""
        process = self._process
        return process.pid if process and process.poll() is None else 0

    def start(self) -> None:
        """Start the process without waiting for it to listen.

        Raises:
            ServerFailed: it is running already.
        """
        if self.pid:
            msg = f"{self.name} is running already (pid {self.pid})"
            raise ServerFailed(msg)
        self._process = self._spawn(self.argv, self.log)

    def wait_ready(self, within_s: float = START_S) -> None:
        """Return once the port accepts connections.

        Raises:
            ServerFailed: it ended, or *within_s* seconds were not enough.
        """
        if wait_listening(self.port, within_s=within_s, alive=lambda: self.pid > 0):
            return
        tail = self.log.read_text(errors="replace")[-2000:]
        msg = f"{self.name} does not listen on {self.address}:\n{tail}"
        raise ServerFailed(msg)

    def kill(self) -> None:
        """End the process with SIGKILL, as a crash or the OOM killer would."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self, *, within_s: float = START_S) -> None:
        """Kill it, start it again on the same port, and wait until it listens."""
        self.kill()
        self.start()
        self.wait_ready(within_s)

    def pause(self) -> None:
        """Stop it with SIGSTOP: connections stay open, nothing answers."""
        os.killpg(self._pid(), signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        os.killpg(self._pid(), signal.SIGCONT)

    def _pid(self) -> int:
        if pid := self.pid:
            return pid
        msg = f"{self.name} is not running"
        raise ServerFailed(msg)


Spawn = Callable[[Sequence[str], Path], "subprocess.Popen[bytes]"]


class Supervisor:
    """Owner of servers and of a scratch folder; closing it ends both.

    Safe to share between threads, as long as each server has one user.
    """

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="resilience-example-")
        self.folder = Path(self._scratch.name)
        """Scratch folder for ledgers, data and logs; removed at the end."""
        self._servers: list[Server] = []
        # A leash watches the *thread* that started the child, so one thread that
        # lives as long as this process starts them all.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="supervisor")
        self._is_open = True
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def server(self, name: str, argv: Sequence[str], *, port: int) -> Server:
        """A server that is not started yet."""
        log = self.folder / f"{name}.log"
        server = Server(name, argv, port, self._spawn, log)
        self._servers.append(server)
        return server

    def module(
        self, name: str, module: str, *arguments: str, port: int | None = None
    ) -> Server:
        """A Python module as a server; *arguments* may hold `{port}` and `{host}`."""
        port = port or free_port()
        filled = [text.format(port=port, host=HOST) for text in arguments]
        return self.server(name, [sys.executable, "-m", module, *filled], port=port)

    def close(self) -> None:
        """Kill every server and remove the scratch folder. May be called twice."""
        if not self._is_open:
            return
        self._is_open = False
        for server in self._servers:
            server.kill()
        self._starter.shutdown(wait=False)
        with contextlib.suppress(OSError):
            self._scratch.cleanup()
        atexit.unregister(self.close)

    def _spawn(self, argv: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
        if not self._is_open:
            msg = "the supervisor is closed"
            raise ServerFailed(msg)
        return self._starter.submit(_popen, argv, log).result()


def _popen(argv: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    leashed = [sys.executable, "-S", "-E", str(LEASH), str(os.getpid()), *argv]
    with log.open("ab") as out:
        return subprocess.Popen(
            leashed,
            cwd=ROOT,
            env=_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _environment(outer: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), outer.get("PYTHONPATH")]))
    return {**outer, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def exit_on_sigterm() -> None:
    """Turn SIGTERM and SIGHUP into `SystemExit`, so that `with` blocks are left.

    SIGINT raises `KeyboardInterrupt` even where the parent had it ignored (a shell
    ignores it for what it starts in the background). Call it from the main thread of
    a program, never from a library.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGHUP, leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)
