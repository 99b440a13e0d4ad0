"""The `channel:` sections and `retry_buffer`: what holds, what gives way."""

from dataclasses import astuple

import pytest

from resilience import policy
from resilience.errors import PolicyError
from resilience.policy.channel import balancing_config


def channel(section, target=None):
    """Return what holds for channels of `cart`."""
    grpc = {"channel": section}
    if target is not None:
        grpc["targets"] = {"cart": {"channel": target}}
    return policy.load_mapping({"grpc": grpc}).channel_for("cart")


def problems(section):
    with pytest.raises(PolicyError) as caught:
        policy.load_mapping({"grpc": {"channel": section}})
    return [(problem.path, problem.code) for problem in caught.value.problems]


def test_built_in():
    """Without a word a channel balances, does not ping and waits for nobody."""
    found = policy.built_in().channel_for("cart")

    assert ("round_robin", None, None, False, None) == (
        found.load_balancing,
        found.keepalive_time_s,
        found.health_check,
        found.wait_for_ready,
        found.max_send_bytes,
    )


def test_keepalive_turned_on():
    """`on`, and a map with one key, start from the edition's values."""
    switched = channel({"keepalive": "on"})
    timed = channel({"keepalive": {"time": "60s"}})

    assert (30.0, 10.0) == (switched.keepalive_time_s, switched.keepalive_timeout_s)
    assert (60.0, 10.0) == (timed.keepalive_time_s, timed.keepalive_timeout_s)


def test_target_overlays_the_section():
    """A target's values replace the section's leaf by leaf."""
    found = channel(
        {"user_agent": "shop", "reconnect": {"initial_backoff": "2s"}},
        {"reconnect": {"max_backoff": "20s"}},
    )

    assert ("shop", 2.0, 20.0) == (
        found.user_agent,
        found.initial_backoff_s,
        found.max_backoff_s,
    )


def test_another_target_is_not_concerned():
    """What is written for one target holds for that one."""
    table = policy.load_mapping(
        {"grpc": {"targets": {"cart": {"channel": {"user_agent": "shop"}}}}}
    )

    assert ("shop", "") == (
        table.channel_for("cart").user_agent,
        table.channel_for("pay").user_agent,
    )


@pytest.mark.parametrize(
    ("section", "target", "expected"),
    [
        ({"initial_backoff": "20s"}, {"max_backoff": "5s"}, (5.0, 5.0)),
        ({"max_backoff": "5s"}, {"initial_backoff": "20s"}, (20.0, 20.0)),
    ],
    ids=["the first wait", "the longest wait"],
)
def test_inherited_wait_gives_way(section, target, expected):
    """Of two waits that conflict the inherited one gives way."""
    found = channel({"reconnect": section}, {"reconnect": target})

    assert expected == (found.initial_backoff_s, found.max_backoff_s)


@pytest.mark.parametrize(
    ("section", "target", "expected"),
    [
        (
            {"health_check": "on"},
            {"load_balancing": "pick_first"},
            (None, "pick_first"),
        ),
        ({"load_balancing": "pick_first"}, {"health_check": "on"}, ("", "round_robin")),
        ({"health_check": "a.B"}, {"health_check": False}, (None, "round_robin")),
        ({"health_check": "a.B"}, {}, ("a.B", "round_robin")),
    ],
    ids=["balancing", "health", "off", "inherited"],
)
def test_health_checks_need_round_robin(section, target, expected):
    """Health is not asked for under pick_first: the inherited one gives way."""
    found = channel(section, target)

    assert expected == (found.health_check, found.load_balancing)


@pytest.mark.parametrize(
    ("section", "place", "code"),
    [
        (
            {"health_check": "on", "load_balancing": "pick_first"},
            "health_check",
            "conflict",
        ),
        (
            {"reconnect": {"initial_backoff": "9s", "max_backoff": "1s"}},
            "reconnect.initial_backoff",
            "conflict",
        ),
        ({"keepalive": {"time": "1s"}}, "keepalive.time", "out-of-range"),
        ({"keepalive": {"time": 30}}, "keepalive.time", "bare-number"),
        ({"max_send_size": 4194304}, "max_send_size", "no-unit"),
        ({"max_send_size": "4mib"}, "max_send_size", "unknown-unit"),
        ({"max_send_size": "0B"}, "max_send_size", "out-of-range"),
        ({"max_receive_size": "unlimited"}, "max_receive_size", "not-a-size"),
        ({"load_balancing": "random"}, "load_balancing", "unknown-word"),
        ({"health_check": "a b"}, "health_check", "bad-text"),
        ({"wait_for_ready": "yes"}, "wait_for_ready", "wrong-type"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_refused(section, place, code):
    """What cannot hold is refused where it stands."""
    assert [(f"grpc.channel.{place}", code)] == problems(section)


def test_leaves():
    """Values of a channel are explained for a method on its target, once written."""
    table = policy.load_mapping(
        {"grpc": {"targets": {"cart": {"channel": {"max_send_size": "2MiB"}}}}}
    )
    leaves = {
        leaf.path: leaf.value for leaf in table.explain_leaves("grpc", "cart", "a", "B")
    }
    elsewhere = [leaf.path for leaf in table.explain_leaves("grpc", "pay", "a", "B")]

    assert ("2MiB", "4MiB", "500ms") == (
        leaves["channel.max_send_size"],
        leaves["channel.max_receive_size"],
        leaves["channel.reconnect.initial_backoff"],
    )
    assert not [path for path in elsewhere if path.startswith("channel")]


def buffer(*rules):
    """Return bytes and messages under rules, the widest first."""
    places = [{"all": rules[0]}]
    if len(rules) > 1:
        places[0]["grpc"] = {"methods": {"a.B/C": rules[1]}}
    found = policy.load_mapping(places[0]).policy_for("grpc", "x", "a.B", "C")
    return found.retry_buffer_bytes, found.retry_buffer_messages


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (({},), (1 << 20, 1000)),
        (({"retry_buffer": {"size": "64KiB"}},), (1 << 16, 1000)),
        (({"retry_buffer": {"messages": 5}},), (1 << 20, 5)),
        (({"retry_buffer": "off"},), (0, 0)),
        (({"retry_buffer": "off"}, {"retry_buffer": "on"}), (1 << 20, 1000)),
        (
            ({"retry_buffer": {"messages": 5}}, {"retry_buffer": {"size": "1KiB"}}),
            (1024, 5),
        ),
    ],
    ids=["built in", "size", "messages", "off", "on again", "merged"],
)
def test_retry_buffer(rules, expected):
    """The buffer's bounds merge leaf by leaf; `off` keeps nothing."""
    assert expected == buffer(*rules)


def test_outlier_detection():
    """`on`, or a map, starts from the edition's values; without a word it is off."""
    switched = channel({"outlier_detection": "on"}).outliers
    tuned = channel({"outlier_detection": {"failure_ratio": 0.5}}).outliers

    assert policy.built_in().channel_for("cart").outliers is None
    assert (1.0, 0.25, 20, 3, 30.0, 0.1) == astuple(switched)
    assert (1.0, 0.5, 20, 3, 30.0, 0.1) == astuple(tuned)


def test_outlier_detection_needs_round_robin():
    """With `pick_first` beside it it is refused; an inherited one gives way."""
    beside = {"outlier_detection": "on", "load_balancing": "pick_first"}
    one = {"load_balancing": "pick_first"}
    inherited = channel({"outlier_detection": {"interval": "2s"}}, one)
    nearer = channel(one, {"outlier_detection": {"interval": "2s"}})

    assert [("grpc.channel.outlier_detection", "conflict")] == problems(beside)
    assert (None, "pick_first") == (inherited.outliers, inherited.load_balancing)
    assert (2.0, "round_robin") == (nearer.outliers.interval_s, nearer.load_balancing)


def test_outlier_detection_as_a_service_config():
    """What gRPC reads: round robin under outlier detection, shares in percent."""
    section = {
        "outlier_detection": {
            "interval": "250ms",
            "failure_ratio": 0.35,
            "request_volume": 7,
            "minimum_hosts": 2,
            "base_ejection_time": "1m",
            "max_ejection_ratio": 0.5,
        }
    }

    assert [
        {
            "outlier_detection_experimental": {
                "interval": "0.25s",
                "baseEjectionTime": "60s",
                "maxEjectionPercent": 50,
                "failurePercentageEjection": {
                    "threshold": 35,
                    "minimumHosts": 2,
                    "requestVolume": 7,
                },
                "childPolicy": [{"round_robin": {}}],
            }
        }
    ] == balancing_config(channel(section))
    assert [{"round_robin": {}}] == balancing_config(channel({}))
