"""What the doctor makes of TLS and HTTP/2 that it saw, without a network."""

import datetime as dt

import pytest

from tests.lab.judged import levels, problems


pytest.importorskip("h2")
pytest.importorskip("grpc_health")

from resilience.lab.doctor.finding import Finding, diagnosis, shown
from resilience.lab.doctor.handshaking import Certificate, Handshake
from resilience.lab.doctor.http2 import judge_http2
from resilience.lab.doctor.speaking import HEALTH, UNKNOWN, Answer, Heard
from resilience.lab.doctor.tls import judge_client_certificate, judge_tls


NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


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
