"""What the doctor makes of what was seen, without a network."""

import datetime as dt
import errno
import os
import socket
import threading

import pytest


pytest.importorskip("h2")
pytest.importorskip("grpc_health")
descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")

from resilience.lab.doctor.connecting import connect  # noqa: E402  after the guard
from resilience.lab.doctor.descriptors import expected, load  # noqa: E402  as above
from resilience.lab.doctor.finding import Finding, diagnosis, shown  # noqa: E402
from resilience.lab.doctor.handshaking import Certificate, Handshake  # noqa: E402
from resilience.lab.doctor.http2 import judge_http2  # noqa: E402
from resilience.lab.doctor.messages import Messages, differences  # noqa: E402
from resilience.lab.doctor.place import Endpoint, parse  # noqa: E402
from resilience.lab.doctor.resolving import resolve  # noqa: E402
from resilience.lab.doctor.speaking import HEALTH, UNKNOWN, Answer, Heard  # noqa: E402
from resilience.lab.doctor.tls import judge_client_certificate, judge_tls  # noqa: E402
from resilience.lab.doctor.wish import STEP_RATIO, TimeLeft  # noqa: E402


NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def levels(findings):
    return [(finding.code, finding.level) for finding in findings]


def problems(findings):
    return [finding.code for finding in findings if finding.level == "problem"]


# -- findings -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\r\nb\t", "a\\r\\nb\\t"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egnp", "\\u202egnp"),
        ("\U000e0001", "\\U000e0001"),
        (b"\xff\x00", "\\xff\\x00"),
        ("x" * 401, "x" * 397 + "..."),
    ],
)
def test_text_is_made_printable(text, expected):
    """Nothing from the network moves a cursor, breaks a line or is endless."""
    assert expected == shown(text)
    assert shown(text).isprintable()


def test_findings_hold_printable_text_only():
    """Whoever makes a finding cannot forget it."""
    finding = Finding(code="x", level="fact", what="a\nb", evidence="\x07")
    found = diagnosis("t\n", [finding], services=["\x1b"], elapsed_s=1 / 3)

    assert ("a\\nb", "\\x07") == (finding.what, finding.evidence)
    assert ("t\\n", ("\\x1b",)) == (found.target, found.services)
    assert 0.333 == found.as_dict()["elapsed_s"]


def test_only_problems_are_unhealthy():
    """Advice and facts do not make a target unhealthy."""
    advice = Finding(code="a", level="advice", what="")
    problem = Finding(code="p", level="problem", what="")

    assert diagnosis("t", [advice], elapsed_s=0).is_healthy
    found = diagnosis("t", [advice, problem], elapsed_s=0)
    assert not found.is_healthy
    assert (problem,) == found.problems
    assert found.has("a")
    assert not found.has("b")


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


# -- TLS ----------------------------------------------------------------------------


def certificate(begins=-DAY, ends=90 * DAY):
    return Certificate(
        subject="commonName=shop",
        issuer="commonName=root",
        names=("shop",),
        begins=NOW + begins,
        ends=NOW + ends,
    )


def handshake(**changes):
    given = {
        "name": "shop",
        "version": "TLSv1.3",
        "alpn": "h2",
        "certificate": certificate(),
    }
    return Handshake(**{**given, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"alpn": ""}, ["alpn-without-h2"]),
        ({"alpn": "http/1.1"}, ["alpn-without-h2"]),
        ({"untrusted": "self-signed certificate"}, ["certificate-untrusted"]),
        ({"wrong_name": "mismatch"}, ["certificate-wrong-name"]),
        ({"certificate": certificate(ends=-DAY)}, ["certificate-expired"]),
        ({"certificate": certificate(begins=DAY)}, ["certificate-not-yet-valid"]),
        ({"certificate": certificate(ends=3 * DAY)}, []),
        ({"fault": "WRONG_VERSION_NUMBER", "is_tls": False}, ["tls-not-spoken"]),
        ({"fault": "TLSV1_ALERT_PROTOCOL_VERSION"}, ["tls-handshake-failed"]),
        ({"fault": "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"}, ["tls-handshake-failed"]),
        ({"fault": "TLSV1_UNRECOGNIZED_NAME"}, ["tls-handshake-failed"]),
        ({"fault": "SSLV3_ALERT_HANDSHAKE_FAILURE"}, ["tls-handshake-failed"]),
    ],
)
def test_what_a_handshake_means(changes, expected):
    """Each fault of TLS is a problem with a remedy."""
    found = list(judge_tls(handshake(**changes), now=NOW))

    assert expected == problems(found)
    assert all(f.remedy for f in found if f.level == "problem")


@pytest.mark.parametrize(
    ("asks", "was_given", "was_cut_off", "expected"),
    [
        (False, False, "", []),
        (False, False, "closed", []),
        (True, False, "", [("client-certificate-asked", "fact")]),
        (True, True, "", [("client-certificate-asked", "fact")]),
        (True, False, "closed", [("client-certificate-demanded", "problem")]),
        (True, True, "closed", [("client-certificate-refused", "problem")]),
        (
            False,
            False,
            "TLSV13_ALERT_CERTIFICATE_REQUIRED",
            [("client-certificate-demanded", "problem")],
        ),
    ],
)
def test_what_is_so_about_mutual_tls(asks, was_given, was_cut_off, expected):
    """Asked, demanded and refused are told apart by what happened next."""
    seen = handshake(asks_certificate=asks)
    found = judge_client_certificate(seen, was_given=was_given, was_cut_off=was_cut_off)

    assert expected == levels(found)


# -- HTTP/2 -------------------------------------------------------------------------

GRPC = (":status", "200"), ("content-type", "application/grpc")


def answered(*headers, trailers=(), body=b"", path=UNKNOWN, **more):
    answer = Answer(headers, trailers, body, has_ended=True)
    return Heard(has_settings=True, answers={path: answer}, **more)


@pytest.mark.parametrize(
    ("heard", "expected"),
    [
        (Heard(end="timed out"), ["http2-silent"]),
        (Heard(end="closed"), ["http2-cut-off"]),
        (Heard(first_bytes=b"HTTP/1.1 400 Bad Request\r\n"), ["http1-peer"]),
        (Heard(http1="HTTP/1.0 200 OK"), ["http1-peer"]),
        (Heard(first_bytes=b"\x15\x03\x03\0\2"), ["tls-needed"]),
        (Heard(first_bytes=b"220 smtp"), ["not-http2"]),
        (Heard(has_settings=True, end="timed out"), ["grpc-no-answer"]),
        (answered(*GRPC, ("grpc-status", "12")), []),
        (answered(*GRPC, trailers=(("grpc-status", "12"),)), []),
        (answered(*GRPC, ("grpc-status", "16")), []),
        (answered(*GRPC, ("grpc-status", "14")), ["grpc-unavailable"]),
        (answered((":status", "404")), ["http-not-grpc"]),
        (answered((":status", "000")), ["http-not-grpc"]),
        (answered((":status", "200"), body=b"<html>"), ["http-not-grpc"]),
        (answered((":status", "403")), ["http-forbidden"]),
        (answered(*GRPC, body=b"\0\0\0\0\0"), ["trailers-lost"]),
        (
            answered(
                *GRPC,
                ("grpc-status", "12"),
                goaway=11,
                goaway_text="too_many_pings",
            ),
            ["goaway"],
        ),
    ],
)
def test_what_was_heard_means(heard, expected):
    """From silence to a status without trailers, each has its own name."""
    found = list(judge_http2(heard))

    assert expected == problems(found)
    assert all(f.remedy for f in found if f.level == "problem")


def test_trailers_behind_data():
    """Only an answer with data can prove that trailers pass."""
    trailers = (("grpc-status", "0"),)
    passed = answered(*GRPC, trailers=trailers, body=b"\0\0\0\0\0", path=HEALTH)
    unknown = answered(*GRPC, ("grpc-status", "12"))

    assert "trailers-passed" in [finding.code for finding in judge_http2(passed)]
    assert "trailers-passed" not in [finding.code for finding in judge_http2(unknown)]


# -- descriptors ----------------------------------------------------------------------


def file(name, *messages, package="p", services=(), imports=()):
    made = descriptor_pb2.FileDescriptorProto(name=name, package=package)
    made.dependency.extend(imports)
    for message, fields in messages:
        made_message = made.message_type.add(name=message)
        for number, kind, label in fields:
            made_message.field.add(
                name=f"f{number}", number=number, type=kind, label=label
            )
    for service in services:
        made.service.add(name=service)
    return made


STRING, BYTES, INT32, INT64, DOUBLE = 9, 12, 5, 3, 1
ONE, MANY = 1, 3


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ([(1, STRING, ONE)], [(1, STRING, ONE)], []),
        ([(1, STRING, ONE)], [(1, INT32, ONE)], [("field-differs", "problem")]),
        ([(1, STRING, ONE)], [(1, BYTES, ONE)], [("field-differs", "advice")]),
        ([(1, INT32, ONE)], [(1, INT64, ONE)], [("field-differs", "advice")]),
        ([(1, INT32, ONE)], [(1, INT32, MANY)], [("field-differs", "problem")]),
        ([(1, DOUBLE, ONE)], [(2, DOUBLE, ONE)], [("fields-unknown", "fact")]),
    ],
)
def test_messages_of_two_sides(here, there, expected):
    """A field may come, go and widen; anything else is read wrongly."""
    ours, theirs = (
        Messages([file("a", ("M", here))]),
        Messages([file("a", ("M", there))]),
    )

    assert expected == levels(differences([".p.M"], ours, theirs))


def test_messages_inside_of_messages():
    """What a message holds is compared, too, once, however it refers to itself."""

    def tree(kind):
        made = file("a", ("Tree", [(1, STRING, ONE)]))
        leaf = made.message_type[0].nested_type.add(name="Leaf")
        leaf.field.add(name="size", number=1, type=kind, label=ONE)
        for number, name in ((2, ".p.Tree.Leaf"), (3, ".p.Tree"), (4, ".q.Unknown")):
            made.message_type[0].field.add(
                name=f"f{number}", number=number, type=11, label=ONE, type_name=name
            )
        return Messages([made])

    (found,) = differences([".p.Tree"], tree(INT32), tree(STRING))

    assert "field 1 of p.Tree.Leaf has another type at the server" == found.what
    assert "here int32 size, there string size" == found.evidence


def test_services_of_imported_files_are_not_demanded():
    """An import may describe services that this server never had."""
    given = descriptor_pb2.FileDescriptorSet(
        file=[
            file("dep", services=["Operations"]),
            file("shop", services=["Cart"], imports=["dep"]),
        ]
    )

    assert {"p.Cart", "p.Operations"} == expected(given)[0].keys()
    assert {"p.Cart"} == expected(given)[1]


def test_a_generated_module_serves_as_descriptors():
    """What protoc made can be named instead of a file."""
    found = load("grpc_health.v1.health_pb2")

    assert ["grpc.health.v1.Health"] == list(expected(found)[0])


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"hello"])
def test_a_file_without_descriptors(tmp_path, content):
    """A file that holds no service is wrong use."""
    path = tmp_path / "x.pb"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pb"):
        load(path)


@pytest.mark.parametrize("name", ["no.such.module", "json", "no/such/file.pb", "."])
def test_neither_file_nor_module(name):
    """What is neither is refused in words."""
    with pytest.raises(ValueError, match="neither"):
        load(name)
