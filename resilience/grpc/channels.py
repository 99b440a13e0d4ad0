"""Channels from policy: made with the options that the file asks for, then wrapped.

Options that the caller gives win, each by its name. Each channel draws its own
reconnect waits, so that clients that lost one server do not come back together.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import grpc

from resilience.policy import match
from resilience.policy.channel import balancing_config, own_waits

from .channel import intercept_channel


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from resilience.engine import PolicyEngine
    from resilience.policy.channel import ChannelPolicy

Options = list[tuple[str, Any]]
_NO_LIMIT = -1


def insecure_channel(
    address: str,
    engine: PolicyEngine,
    *,
    target: str,
    options: Sequence[tuple[str, Any]] | None = None,
    compression: grpc.Compression | None = None,
) -> grpc.Channel:
    """A channel without encryption, made and protected as the policy says.

    Args:
        address: where to connect, as `grpc.insecure_channel` takes it.
        engine: shared by all channels and clients of the process.
        target: the name that policies, breakers and telemetry use for it; also of
            the `channel:` section under `grpc.targets`.
        options: channel options that win over the policy's, by name.
        compression: as `grpc.insecure_channel` takes it.

    Returns:
        What `intercept_channel` returns. Safe to share between threads.

    The `channel:` section is read once, here: a reload changes channels made later.
    """
    made = options_for(engine, target, options)
    channel = grpc.insecure_channel(address, made, compression)
    return intercept_channel(channel, engine, target=target, channel_options=made)


def secure_channel(
    address: str,
    credentials: grpc.ChannelCredentials,
    engine: PolicyEngine,
    *,
    target: str,
    options: Sequence[tuple[str, Any]] | None = None,
    compression: grpc.Compression | None = None,
) -> grpc.Channel:
    """The same with *credentials*; see `insecure_channel`."""
    made = options_for(engine, target, options)
    channel = grpc.secure_channel(address, credentials, made, compression)
    return intercept_channel(channel, engine, target=target, channel_options=made)


def options_for(
    engine: PolicyEngine, target: str, given: Sequence[tuple[str, Any]] | None = None
) -> Options:
    """The channel options that the policy of *engine* asks for on *target*.

    For channels that others make. Options in *given* win, each by its name.

    C-core's own retries: a service config out of DNS cannot bring any. Its single
    transparent retry of what was never sent is switched off only where ours replaces
    it, under `trust_transport_details`.
    """
    policy = engine.table.channel_for(target)
    made = dict(_connecting(policy, random.uniform))
    made.update(_talking(policy))
    made["grpc.service_config"] = json.dumps(service_config(policy))
    made["grpc.service_config_disable_resolution"] = 1
    if _repeats_unsent(engine, target):
        made["grpc.enable_retries"] = 0
    made.update(given or ())
    return list(made.items())


def _repeats_unsent(engine: PolicyEngine, target: str) -> bool:
    """Whether every method that may be called on *target* has our repeat of it."""
    table = engine.table
    named = [
        match.split("grpc", pattern)
        for protocol, pattern in table.written_methods()
        if protocol == "grpc"
    ]
    return all(
        policy.mode == "enforce"
        and policy.retry is not None
        and policy.retry.mode == "enforce"
        and policy.trust_transport_details
        for service, method in [("", ""), *filter(None, named)]
        for policy in (table.policy_for("grpc", target, service, method, engine.mode),)
    )


def service_config(policy: ChannelPolicy) -> dict[str, Any]:
    """What only a service config can say of a channel (gRFC A2, A17, A21)."""
    made: dict[str, Any] = {"loadBalancingConfig": balancing_config(policy)}
    if policy.health_check is not None:
        made["healthCheckConfig"] = {"serviceName": policy.health_check}
    if policy.wait_for_ready:
        made["methodConfig"] = [{"name": [{}], "waitForReady": True}]
    return made


def _connecting(
    policy: ChannelPolicy, draw: Callable[[float, float], float]
) -> Options:
    initial_s, max_s = own_waits(policy, draw)
    found: Options = [
        ("grpc.initial_reconnect_backoff_ms", _ms(initial_s)),
        ("grpc.max_reconnect_backoff_ms", _ms(max_s)),
        ("grpc.min_reconnect_backoff_ms", _ms(policy.connect_timeout_s)),
        ("grpc.dns_min_time_between_resolutions_ms", _ms(policy.resolve_interval_s)),
    ]
    if policy.keepalive_time_s is not None:
        timeout_ms = _ms(policy.keepalive_timeout_s)
        found += [
            ("grpc.keepalive_time_ms", _ms(policy.keepalive_time_s)),
            ("grpc.keepalive_timeout_ms", timeout_ms),
            # The one that bounds a ping's answer; its own default is a minute.
            ("grpc.http2.ping_timeout_ms", timeout_ms),
            (
                "grpc.keepalive_permit_without_calls",
                int(policy.keepalive_without_calls),
            ),
        ]
        if policy.keepalive_without_calls:
            found.append(("grpc.http2.max_pings_without_data", 0))
    return found


def _talking(policy: ChannelPolicy) -> Options:
    send, receive = policy.max_send_bytes, policy.max_receive_bytes
    found: Options = [
        ("grpc.max_send_message_length", _NO_LIMIT if send is None else send),
        ("grpc.max_receive_message_length", _NO_LIMIT if receive is None else receive),
    ]
    if policy.user_agent:
        found.append(("grpc.primary_user_agent", policy.user_agent))
    return found


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
