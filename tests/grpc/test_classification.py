# ruff: noqa: E501 - one end of an RPC, one line
"""The classification table: each known end of an RPC, and what it means."""

from typing import NamedTuple

import grpc
import pytest

from resilience.core.classify import evidence
from resilience.errors import Rejected
from resilience.grpc import table
from resilience.grpc.extract import MAX_MESSAGE, Attempt, clean, explanation, outcome_of
from resilience.grpc.table import row_for
from tests.grpc.peers.made import (
    CONNECT,
    ENVOY,
    GOAWAY,
    HTTP,
    REFUSED,
    RST,
    classify,
    error,
)


class Row(NamedTuple):
    code: str
    details: str
    kind: str
    reached: str
    flags: str = ""
    """Of `unprocessed`, `ours`, `throttled`."""


# Believed, because the policy trusts details. The order is that of the field's notes.
ROWS = [
    Row("UNAVAILABLE", REFUSED, "transport", "no"),
    Row("UNAVAILABLE", "connections to all backends failing; x", "transport", "no"),
    Row("UNAVAILABLE", CONNECT + "unix:/x: No such file", "transport", "no"),
    Row("UNAVAILABLE", CONNECT + "No route to host", "transport", "no", "ours"),
    Row("UNAVAILABLE", "errors resolving nope.invalid:443: [x]", "transport", "no", "ours"),
    Row("UNAVAILABLE", "DNS resolution failed for x", "transport", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Socket closed", "transport", "no"),
    Row("UNAVAILABLE", CONNECT + "WRONG_VERSION_NUMBER", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "CERTIFICATE_VERIFY_FAILED: x", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "certificate has expired", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Hostname Verification Check failed.", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "missing selected ALPN property.", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "(Trying to connect an http1.x server)", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "HTTP proxy returned response code 403", "permanent", "no", "ours"),
    Row("UNAVAILABLE", "Getting metadata from plugin failed with error: x", "transport", "no", "ours"),
    Row("UNAUTHENTICATED", "Established channel does not have a sufficient security level", "permanent", "no", "ours"),
    Row("INVALID_ARGUMENT", "Failed to create channel: errors validating service config", "permanent", "no", "ours"),
    Row("UNAVAILABLE", "Stream removed (Socket closed)", "transport", "maybe"),
    Row("UNAVAILABLE", "Stream removed (recvmsg:Connection reset by peer (104))", "transport", "maybe"),
    Row("UNAVAILABLE", "Cancelling all calls", "transport", "maybe"),
    Row("UNAVAILABLE", "max connection age", "transport", "maybe"),
    Row("UNAVAILABLE", "Too many pings", "transport", "maybe"),
    Row("UNAVAILABLE", "Stream removed (ping timeout)", "transport", "maybe"),
    Row("UNAVAILABLE", f"Stream removed ({GOAWAY})", "transport", "no", "unprocessed"),
    Row("UNAVAILABLE", "ipv4:10.0.0.1:443: subchannel lost all connections", "transport", "no", "unprocessed"),
    Row("UNAVAILABLE", f"Stream removed (Socket closed ({GOAWAY}))", "transport", "maybe"),
    Row("UNAVAILABLE", RST.format(7), "transport", "no", "unprocessed"),
    Row("INTERNAL", RST.format(2), "transport", "maybe"),
    Row("INTERNAL", "Internal error from Core", "transport", "maybe"),
    Row("CANCELLED", RST.format(8), "transport", "maybe"),
    Row("RESOURCE_EXHAUSTED", RST.format(11), "overload", "maybe", "throttled"),
    Row("PERMISSION_DENIED", RST.format(12), "permanent", "maybe"),
    Row("UNAVAILABLE", HTTP.format(429), "overload", "no", "throttled"),
    Row("UNAVAILABLE", HTTP.format(503), "overload", "no"),
    Row("UNAVAILABLE", HTTP.format(502), "transport", "maybe"),
    Row("UNAVAILABLE", HTTP.format(504), "transport", "maybe"),
    Row("UNKNOWN", HTTP.format(500), "transport", "maybe"),
    Row("UNKNOWN", HTTP.format(408), "transport", "maybe"),
    Row("UNKNOWN", HTTP.format(413), "permanent", "maybe"),
    Row("UNIMPLEMENTED", HTTP.format(404), "permanent", "maybe"),
    Row("UNKNOWN", "Stream removed (Data frame with END_STREAM flag received)", "transport", "maybe"),
    Row("UNKNOWN", "No status received", "transport", "maybe"),
    Row("INTERNAL", "Stream removed (Error parsing 'grpc-encoding' metadata)", "permanent", "maybe"),
    Row("RESOURCE_EXHAUSTED", "SERVER: Received message larger than max (5 vs. 4)", "permanent", "no"),
    Row("RESOURCE_EXHAUSTED", "Stream removed (CLIENT: Received message larger than max)", "permanent", "yes"),
    Row("RESOURCE_EXHAUSTED", "CLIENT: Sent message larger than max (5 vs. 4)", "permanent", "no"),
    Row("RESOURCE_EXHAUSTED", "received metadata size exceeds hard limit", "permanent", "maybe"),
    Row("RESOURCE_EXHAUSTED", "Concurrent RPC limit exceeded!", "overload", "no", "throttled"),
    Row("RESOURCE_EXHAUSTED", "quota of the day is used", "application", "yes"),
    Row("UNKNOWN", "Exception calling application: x", "application", "yes"),
    Row("INTERNAL", "Failed to serialize response!", "application", "yes"),
    Row("UNIMPLEMENTED", "Method not found!", "permanent", "no"),
    Row("NOT_FOUND", "no such cart", "application", "yes"),
    Row("UNAVAILABLE", "something new", "transport", "maybe"),
    Row("CANCELLED", "Channel closed!", "local", "maybe"),
    Row("UNAVAILABLE", "no healthy upstream", "transport", "no"),
    Row("UNAVAILABLE", ENVOY + "remote connection failure", "transport", "no"),
    Row("UNAVAILABLE", ENVOY + "remote refused stream reset", "transport", "no", "unprocessed"),
    Row("UNAVAILABLE", ENVOY + "connection termination", "transport", "maybe"),
    Row("UNAVAILABLE", ENVOY + "overflow", "overload", "no", "throttled"),
    Row("UNAVAILABLE", "upstream request timeout", "transport", "maybe"),
    Row("DEADLINE_EXCEEDED", "downstream duration timeout", "transport", "maybe"),
    Row("UNAVAILABLE", "local_rate_limited", "overload", "no", "throttled"),
    Row("PERMISSION_DENIED", "RBAC: access denied", "permanent", "no"),
    Row("UNAVAILABLE", CONNECT + "Network is unreachable", "transport", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "BAD_SIGNATURE: certificate signature failure", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Peer name x is not in peer certificate", "permanent", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Tls handshake failed (TSI_PROTOCOL_FAILURE): x", "transport", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Unwrap failed (TSI_DATA_CORRUPTED)", "transport", "no", "ours"),
    Row("UNAVAILABLE", CONNECT + "Failed parsing HTTP/2", "permanent", "no", "ours"),
    Row("UNAVAILABLE", "Illegal metadata", "permanent", "no", "ours"),
    Row("UNAVAILABLE", "circuit breaker drop", "permanent", "no"),
    Row("UNAVAILABLE", "EDS-configured drop: lb", "permanent", "no"),
    Row("UNAVAILABLE", "fault filter abort", "transport", "no"),
    Row("UNAVAILABLE", "stream timeout", "transport", "maybe"),
    Row("UNKNOWN", "Payload Too Large", "permanent", "no"),
    Row("RESOURCE_EXHAUSTED", "Received message larger than max", "permanent", "maybe"),
    Row("INTERNAL", HTTP.format(400), "permanent", "maybe"),
    Row("UNAUTHENTICATED", HTTP.format(401), "permanent", "maybe"),
    Row("PERMISSION_DENIED", HTTP.format(403), "permanent", "maybe"),
    Row("UNKNOWN", HTTP.format(405), "transport", "maybe"),
    Row("UNKNOWN", HTTP.format(431), "permanent", "maybe"),
    Row("UNKNOWN", HTTP.format(0), "permanent", "maybe"),
    Row("INTERNAL", "Compression bit set but no encoding configured", "permanent", "maybe"),
    Row("INTERNAL", "Decompression failed due to zlib error", "transport", "maybe"),
    Row("INTERNAL", "Unexpected error decompressing data for algorithm gzip", "transport", "maybe"),
    Row("UNKNOWN", "Failed parsing HTTP/2", "transport", "maybe"),
    Row("UNKNOWN", "Bad Content-Type", "transport", "maybe"),
    Row("UNKNOWN", "Missing :status", "transport", "maybe"),
    Row("CANCELLED", "Locally cancelled by application!", "local", "maybe"),
    Row("CANCELLED", "Cancelled upon garbage collection!", "local", "maybe"),
    Row("CANCELLED", "Call cancelled in fork child", "local", "maybe"),
]  # fmt: skip  # a table: one row, one line


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.code} {row.details[-44:]}")
def test_a_known_end_has_its_meaning(row):
    """Each end is told by a part of its details, and means what the table says."""
    outcome = classify(error(row.code, row.details), trusts=True)
    flags = [
        name for name in ("unprocessed", "ours", "throttled") if getattr(outcome, name)
    ]

    assert (row.code, row.kind, row.reached) == outcome[:3]
    assert row.flags.split() == flags


def test_every_row_of_the_table_has_its_text_here():
    """No row is dead: each is the first to match some text."""
    hit = {row_for(row.code, row.details) for row in ROWS}

    assert not [(row.code, row.text) for row in table.ROWS if row not in hit]


BY_TEXT = [row for row in ROWS if row.reached == "no" and row.code == "UNAVAILABLE"]


@pytest.mark.parametrize("state", ["READY", "SHUTDOWN", ""])
@pytest.mark.parametrize("row", BY_TEXT, ids=lambda row: row.details[-44:])
def test_a_text_alone_does_not_prove_it(row, state):
    """A relay repeats another's very words: without a witness it may have been sent."""
    outcome = classify(error(row.code, row.details), state=state)

    assert (row.kind, "maybe") == (outcome.kind, outcome.reached)
    assert not outcome.ours


@pytest.mark.parametrize("details", [f"Stream removed ({GOAWAY})", RST.format(7)])
def test_an_unproven_goodbye_is_no_evidence(details):
    """Doubted GOAWAY is not repeated for any method, and opens no breaker."""
    outcome = classify(error("UNAVAILABLE", details), state="READY")

    assert "maybe" == outcome.reached
    assert "neutral" == evidence(outcome)


def test_the_channels_own_failure_confirms_a_refusal():
    """A channel that is in failure has itself met the refusal it reports."""
    assert classify(error("UNAVAILABLE", REFUSED), state="TRANSIENT_FAILURE")[2] == "no"
    assert classify(error("UNAVAILABLE", REFUSED), state="IDLE")[2] == "maybe"


@pytest.mark.parametrize("state", ["IDLE", "CONNECTING", "TRANSIENT_FAILURE"])
def test_a_connection_that_went_away_confirms_goaway(state):
    """GOAWAY is believed when the connection that brought it is no longer in use."""
    outcome = classify(error("UNAVAILABLE", f"Stream removed ({GOAWAY})"), state=state)

    assert outcome.unprocessed
    assert outcome.reached == "no"


def test_resource_exhausted_with_pushback_is_overload():
    """A refusal that names the moment to come back at is a refusal, and about load."""
    trailing = (("grpc-retry-pushback-ms", "250"),)
    outcome = classify(error("RESOURCE_EXHAUSTED", "slow down", trailing))

    assert ("overload", "no", 0.25) == (
        outcome.kind,
        outcome.reached,
        outcome.pushback_s,
    )


def test_a_forbidding_pushback_changes_no_kind():
    """Negative pushback only forbids; the answer stays an answer."""
    trailing = (("grpc-retry-pushback-ms", "-1"),)
    outcome = classify(error("ABORTED", "conflict", trailing))

    assert ("application", -1.0) == (outcome.kind, outcome.pushback_s)


@pytest.mark.parametrize(
    ("timeout_s", "elapsed_s", "kind", "timed_out"),
    [
        (1.0, 1.001, "transport", True),
        (1.0, 0.97, "transport", True),
        (0.05, 0.041, "transport", True),
        (1.0, 0.5, "application", False),
        (None, 9.0, "application", False),
    ],
)
def test_whose_deadline_it_was(timeout_s, elapsed_s, kind, timed_out):
    """DEADLINE_EXCEEDED is the attempt's own when its time was up, else an answer."""
    made = error("DEADLINE_EXCEEDED", "Deadline Exceeded")
    outcome = classify(made, timeout_s=timeout_s, elapsed_s=elapsed_s)

    assert (kind, timed_out) == (outcome.kind, outcome.timed_out)


@pytest.mark.parametrize("code", ["INTERNAL", "UNKNOWN", "CANCELLED"])
@pytest.mark.parametrize("debug", ["", None])
def test_a_status_that_python_made_is_local(code, debug):
    """No text of C-core's: a serializer or an interceptor failed, never repeated."""
    made = error(code, "Exception serializing request!", debug="")
    made._debug_error_string = debug

    assert classify(made, trusts=True).kind == "local"


def test_an_interceptors_own_status_keeps_its_meaning():
    """A layer below that reports UNAVAILABLE as its own object is taken at its word."""
    made = error("UNAVAILABLE", "mapped", debug="")

    assert classify(made).kind == "transport"


class _Plain(grpc.RpcError):
    """An RpcError without a status, as frameworks raise them."""


@pytest.mark.parametrize("made", [_Plain("x"), ValueError("closed"), TypeError()])
def test_errors_without_a_status_are_local(made):
    """What has no status was no answer; its class is its code."""
    outcome = classify(made)

    assert (type(made).__name__, "local") == (outcome.code, outcome.kind)


def test_a_rejection_inside_is_never_repeated():
    """A refusal by a protected channel below is local, and was not sent."""
    made = Rejected("no", reason="breaker-open", scope="s")

    assert ("local", "no") == classify(made)[1:3]


def test_details_are_escaped_and_cut():
    """Details come from outside: no control characters, no endless text."""
    outcome = classify(error("NOT_FOUND", "a\x1b[31m\n" + "b" * 999))

    assert outcome.message.startswith("a\\x1b[31m\\nbb")
    assert len(outcome.message) <= MAX_MESSAGE
    assert outcome.message.isprintable()
    assert clean("grün") == "grün"


def test_a_late_word_in_long_details_still_counts():
    """The table reads all of the details, however short the message is cut."""
    made = error("UNAVAILABLE", CONNECT + "x" * 999 + " CERTIFICATE_VERIFY_FAILED")

    assert classify(made).kind == "permanent"


def test_the_peer_is_an_id():
    """Where the details name the peer, the outcome does."""
    outcome = classify(error("UNAVAILABLE", REFUSED))

    assert (("peer", "ipv4:10.0.0.1:443"),) == outcome.ids


@pytest.mark.parametrize(
    "row", [row for row in ROWS if row.kind == "permanent"], ids=lambda row: row.details
)
def test_permanent_ends_say_cause_and_remedy(row):
    """What no repeat can mend says what probably can."""
    text = explanation(error(row.code, row.details))

    assert text.startswith("likely cause: ")
    assert "; remedy: " in text


def test_a_broken_witness_confirms_nothing():
    """A state that cannot be read is no confirmation, and no error."""
    outcome = outcome_of(
        error("UNAVAILABLE", REFUSED), Attempt(None, 0.1, lambda: "", False)
    )

    assert outcome.reached == "maybe"
