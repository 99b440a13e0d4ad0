"""Who made a status, by its metadata: Envoy, a server, or nobody that we know."""

import pytest

from resilience.grpc.extract import explanation
from tests.grpc.peers.made import ENVOY, GOAWAY, REFUSED, RST, classify, error
from tests.grpc.test_classification import BY_TEXT


ENVOY_REPLY = (("server", "envoy"),)
FROM_APPLICATION = (("server", "envoy"), ("x-envoy-upstream-service-time", "3"))


def test_envoys_own_reply_is_believed():
    """A reply with Envoy's mark and without the upstream's time is Envoy's own."""
    made = error("UNAVAILABLE", ENVOY + "remote connection failure", ENVOY_REPLY)

    assert classify(made, state="READY").reached == "no"


@pytest.mark.parametrize(
    ("code", "details", "kind", "reached"),
    [
        ("UNAVAILABLE", "", "transport", "no"),
        ("UNAVAILABLE", "words of an operator", "transport", "maybe"),
        ("UNIMPLEMENTED", "", "permanent", "no"),
        ("PERMISSION_DENIED", "not you", "permanent", "no"),
        ("UNAUTHENTICATED", "Jwt is missing", "permanent", "no"),
        ("RESOURCE_EXHAUSTED", "", "overload", "maybe"),
        ("INTERNAL", "", "transport", "maybe"),
        ("UNKNOWN", "a fault", "transport", "maybe"),
        ("NOT_FOUND", "no such cart", "application", "yes"),
    ],
)
@pytest.mark.parametrize("name", ["envoy", "istio-envoy"])
def test_what_envoy_signs_is_no_answer(name, code, details, kind, reached):
    """Codes that Envoy makes of HTTP statuses are its own; others cannot be."""
    outcome = classify(error(code, details, (("server", name),)), state="READY")

    assert (kind, reached) == outcome[1:3]


def test_envoys_missing_route_is_explained_as_such():
    """The remedy for Envoy's UNIMPLEMENTED is a route, not a newer server."""
    assert "route" in explanation(error("UNIMPLEMENTED", "", ENVOY_REPLY))


@pytest.mark.parametrize("row", BY_TEXT, ids=lambda row: row.details[-44:])
def test_no_refusal_comes_after_an_answer_has_begun(row):
    """With headers of a server's, words about not reaching it are not our side's."""
    made = error(row.code, row.details, initial=(("x-shop", "1"),))
    outcome = classify(made, state="TRANSIENT_FAILURE", trusts=True)

    assert "no" != outcome.reached
    is_reset = "unprocessed" in row.flags
    assert ("transport" if is_reset else "application") == outcome.kind
    assert not outcome.unprocessed


@pytest.mark.parametrize(
    "details", [REFUSED, RST.format(7), f"Stream removed ({GOAWAY})"]
)
def test_a_status_with_trailing_metadata_came_from_a_server(details):
    """Ends of our own side have no metadata: with some, the words are relayed."""
    made = error("UNAVAILABLE", details, (("x-shop", "1"),))
    outcome = classify(made, state="TRANSIENT_FAILURE", trusts=True)

    assert ("application", "yes", False) == (*outcome[1:3], outcome.unprocessed)


def test_our_servers_ids_are_kept():
    """A server of ours names itself and its call; both are cleaned and cut."""
    ids = (("x-resilience-server", "a\x1b"), ("x-resilience-call", "c" * 99))
    outcome = classify(error("NOT_FOUND", "x", ids))

    assert (("server", "a\\x1b"), ("server_call", "c" * 64)) == outcome.ids


def test_an_applications_reply_behind_envoy_is_an_answer():
    """With the upstream's time, even a transport's words are the application's."""
    outcome = classify(error("UNAVAILABLE", REFUSED, FROM_APPLICATION), trusts=True)

    assert ("application", "yes") == (outcome.kind, outcome.reached)


def test_a_reset_after_an_applications_headers_is_no_answer():
    """The upstream's time in early headers says nothing about who made the end."""
    made = error("INTERNAL", RST.format(2), initial=FROM_APPLICATION)

    assert classify(made).kind == "transport"


@pytest.mark.parametrize(
    ("trailing", "reached"),
    [
        ((*ENVOY_REPLY, ("x-envoy-ratelimited", "true")), "no"),
        ((*ENVOY_REPLY, ("x-envoy-overloaded", "true")), "no"),
        ((*FROM_APPLICATION, ("x-envoy-overloaded", "true")), "maybe"),
    ],
)
def test_envoy_overloaded_is_overload(trailing, reached):
    """`x-envoy-overloaded` is load, unsent only when Envoy itself says so."""
    outcome = classify(error("UNAVAILABLE", "x", trailing))

    assert ("overload", reached, True) == (
        outcome.kind,
        outcome.reached,
        outcome.throttled,
    )
