"""Servers start, die and come back on demand, and none outlives its owner."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.servers.ports import HIGHEST, LOWEST, free_port, is_listening
from examples.servers.supervisor import ROOT, ServerFailed, Supervisor


pytestmark = pytest.mark.real
WAIT_S = 10.0


def is_running(pid):
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def ended(pid):
    """Whether a process ends within ten seconds."""
    give_up = time.monotonic() + WAIT_S
    while is_running(pid):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


def file_server(supervisor):
    return supervisor.module("files", "http.server", "--bind", "{host}", "{port}")


def test_kill_and_restart_on_the_same_port(supervisor):
    """A killed server is gone at once, and comes back where it was."""
    server = file_server(supervisor)
    server.start()
    server.wait_ready()
    first, port = server.pid, server.port

    server.kill()

    assert server.pid == 0
    assert not is_listening(port)

    server.restart()

    assert server.pid not in {0, first}
    assert is_listening(port)


def test_paused_server_is_killed_at_the_end():
    """Closing ends a server that does not answer to anything else."""
    with Supervisor() as owner:
        server = file_server(owner)
        server.start()
        server.wait_ready()
        server.pause()
        pid, folder = server.pid, owner.folder

        assert is_running(pid)

    assert not is_running(pid)
    assert not folder.exists()


def test_failed_start_shows_the_log(supervisor):
    """A server that cannot start says why."""
    server = supervisor.module("cart", "examples.servers.cart", "--port", "{port}")
    server.start()

    with pytest.raises(ServerFailed, match="required: --ledger"):
        server.wait_ready(within_s=WAIT_S)


def test_running_server_is_not_started_twice(supervisor):
    """A second start of the same server is refused."""
    server = file_server(supervisor)
    server.start()

    with pytest.raises(ServerFailed, match="running already"):
        server.start()


OWNER = """
import time
from examples.servers.supervisor import Supervisor, exit_on_sigterm
exit_on_sigterm()
with Supervisor() as owner:
    server = owner.module("files", "http.server", "--bind", "{host}", "{port}")
    server.start()
    server.wait_ready()
    print(server.pid, owner.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_server_outlives_its_owner(number):
    """Whatever ends the owner ends its servers too."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        pid, folder = owner.stdout.readline().split()
        owner.send_signal(number)
        owner.wait(WAIT_S)

    assert ended(int(pid))
    # Nobody can tidy up after SIGKILL.
    assert Path(folder).exists() == (number == signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def test_ports_are_below_the_ephemeral_range():
    """A client that reconnects cannot meet its own outgoing port."""
    assert LOWEST <= free_port() < HIGHEST <= 32_768
