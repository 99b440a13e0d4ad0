"""What the doctor makes of a name and of a connection, and how long it tries."""

import errno
import os
import socket
import threading

import pytest

from tests.lab.judged import levels


pytest.importorskip("h2")
pytest.importorskip("grpc_health")

from resilience.lab.doctor.connecting import connect
from resilience.lab.doctor.place import Endpoint, parse
from resilience.lab.doctor.resolving import resolve
from resilience.lab.doctor.wish import STEP_RATIO, TimeLeft


def test_no_step_takes_all_the_time():
    """A silent peer leaves time for the others, and time that is over is not zero."""
    assert TimeLeft(10).step_s() <= 10 * STEP_RATIO
    over = TimeLeft(1e-9)
    assert 0 < over.step_s() <= 0.001


# -- connections --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ECONNREFUSED, "tcp-refused"),
        (errno.ETIMEDOUT, "tcp-timeout"),
        (errno.EHOSTUNREACH, "no-route"),
        (errno.ENETUNREACH, "no-route"),
        (errno.ENOENT, "socket-missing"),
        (errno.EACCES, "not-permitted"),
        (errno.EPERM, "not-permitted"),
        (errno.EMFILE, "tcp-failed"),
    ],
)
def test_why_there_is_no_connection(monkeypatch, number, code):
    """Each system error that people meet is said in words."""

    def refuse(*_):
        raise OSError(number, "raw")

    monkeypatch.setattr(socket, "create_connection", refuse)
    finding = connect(Endpoint("10.0.0.1", 1), 1)

    assert (code, "problem") == (finding.code, finding.level)
    assert os.strerror(number) == finding.evidence
    assert "10.0.0.1:1" == finding.address


def test_a_connection_that_takes_too_long(monkeypatch):
    """A firewall that drops is told apart from one that refuses."""

    def wait(*_):
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", wait)

    assert "tcp-timeout" == connect(Endpoint("10.0.0.1", 1), 1).code


# -- names --------------------------------------------------------------------------


def look_up(monkeypatch, answer):
    def asked(host, port, **_):
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, 1, 6, "", (each, port)) for each in answer]

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    return resolve(parse("shop:1"), TimeLeft(5))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (["10.0.0.1"], [("one-address", "advice")]),
        (["127.0.0.1"], [("one-address", "fact")]),
        (["10.0.0.1", "10.0.0.2"], [("many-addresses", "advice")]),
        (["10.0.0.1", "fd00::1"], [("many-addresses", "fact")]),
        (["10.0.0.1", "10.0.0.1"], [("one-address", "advice")]),
        (socket.gaierror(socket.EAI_NONAME, "x"), [("name-unknown", "problem")]),
        (socket.gaierror(socket.EAI_AGAIN, "x"), [("name-failed", "problem")]),
    ],
)
def test_what_a_name_stands_for(monkeypatch, answer, expected):
    """One address or many, and what that means for the traffic."""
    assert expected == levels(look_up(monkeypatch, answer).findings)


def test_a_resolver_that_does_not_answer(monkeypatch):
    """A silent resolver is left behind."""
    is_over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: is_over.wait(30) and [])
    found = resolve(parse("shop:1"), TimeLeft(0.1)).findings
    is_over.set()

    assert [("name-timeout", "problem")] == levels(found)


def test_one_address_says_how_to_use_several_backends(monkeypatch):
    """The remedy names all three ways."""
    (finding,) = look_up(monkeypatch, ["10.0.0.1"]).findings

    for word in ("round_robin", "headless", "max_connection_age"):
        assert word in finding.remedy, word


@pytest.mark.parametrize(
    ("spared", "expected"),
    [("", True), ("other", True), ("shop", False), ("x, shop", False)],
)
def test_an_http_proxy_of_the_environment(monkeypatch, spared, expected):
    """A channel would take the proxy; its address may hold a password."""
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy:3128")
    monkeypatch.setenv("no_proxy", spared)
    found = look_up(monkeypatch, ["10.0.0.1"]).findings

    assert expected == any(f.code == "http-proxy-set" for f in found)
    assert "secret" not in repr(found)
