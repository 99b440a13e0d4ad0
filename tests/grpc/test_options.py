"""Channel options: what we ask for, and native retries that would multiply ours."""

import json
import warnings

import grpc
import pytest

import resilience
import resilience.grpc
from resilience.grpc import channel_options, native_retry_attempts


def config(attempts, *names):
    policy = {"maxAttempts": attempts}
    entry = {"name": list(names), "retryPolicy": policy}
    return ("grpc.service_config", json.dumps({"methodConfig": [entry]}))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (None, {}),
        ([], {}),
        ([config(3, {"service": "a.B", "method": "C"})], {"a.B/C": 3}),
        ([config(3, {"service": "a.B"}, {})], {"a.B/*": 3, "*": 3}),
        ([config(9, {})], {"*": 5}),
        ([config(1, {})], {}),
        ([config(3, {}), ("grpc.enable_retries", 0)], {}),
        ([("grpc.service_config", "{")], {}),
        ([("grpc.service_config", "[1]")], {}),
        ([config("many", {})], {}),
        ([("grpc.service_config", '{"methodConfig": [{"name": [{}]}]}')], {}),
    ],
)
def test_native_attempts_are_read_from_the_options(options, expected):
    """C-core's retry policies are found, clamped at 5, and garbage is none."""
    assert expected == native_retry_attempts(options)


def test_our_options_switch_native_retries_off():
    """With our options nothing below us repeats."""
    assert {} == native_retry_attempts([config(3, {}), *channel_options()])


def test_native_retries_are_reported_with_their_product(make_engine, records):
    """A native policy under ours is said once, with the attempts of both together."""
    options = [config(5, {"service": "shop.Cart"})]
    engine = make_engine()

    with (
        grpc.insecure_channel("localhost:1", options) as bare,
        pytest.warns(RuntimeWarning, match="15 together"),
    ):
        resilience.grpc.intercept_channel(
            bare, engine, target="cart", channel_options=options
        )

    assert ["native-retries"] == [notice.code for notice in records.of("Notice")]


def test_our_own_options_are_no_reason_to_warn(engine):
    """A channel made with our options is quiet."""
    with grpc.insecure_channel("localhost:1") as bare, warnings.catch_warnings():
        warnings.simplefilter("error")
        made = resilience.grpc.intercept_channel(
            bare, engine, target="cart", channel_options=channel_options()
        )

    assert isinstance(made, grpc.Channel)
