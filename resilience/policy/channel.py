"""What holds for the channels of one target, compiled: no text, units or `off` left."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from .merge import Cell, Node
from .words import OFF, ON


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierPolicy:
    """When an address is left out. Times in seconds, ratios 0 to 1."""

    interval_s: float
    failure_ratio: float
    request_volume: int
    minimum_hosts: int
    base_ejection_s: float
    max_ejection_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """How channels of one target connect. Times in seconds, sizes in bytes."""

    keepalive_time_s: float | None
    """None: no pings."""
    keepalive_timeout_s: float
    keepalive_without_calls: bool
    initial_backoff_s: float
    max_backoff_s: float
    spread: float
    """Share around both from which each channel draws its own, 0 to 1."""
    connect_timeout_s: float
    load_balancing: str
    """`round_robin` or `pick_first`."""
    outliers: OutlierPolicy | None
    """None: no address is left out."""
    health_check: str | None
    """Service name, empty for the whole server; None: no health checks."""
    resolve_interval_s: float
    max_send_bytes: int | None
    """None: no limit."""
    max_receive_bytes: int | None
    """None: no limit."""
    wait_for_ready: bool
    user_agent: str


def own_waits(
    policy: ChannelPolicy, draw: Callable[[float, float], float]
) -> tuple[float, float]:
    """The first and the longest wait of one channel, in seconds.

    Args:
        policy: what is written for all of them.
        draw: uniform, between two bounds.
    """
    share = draw(1 - policy.spread / 2, 1 + policy.spread / 2)
    return policy.initial_backoff_s * share, policy.max_backoff_s * share


def balancing_config(policy: ChannelPolicy) -> list[dict[str, Any]]:
    """What a service config says of it as `loadBalancingConfig` (gRFC A24, A50)."""
    balancing: dict[str, Any] = {policy.load_balancing: {}}
    found = policy.outliers
    if found is None:
        return [balancing]
    outliers = {
        "interval": f"{found.interval_s:.9g}s",
        "baseEjectionTime": f"{found.base_ejection_s:.9g}s",
        "maxEjectionPercent": round(found.max_ejection_ratio * 100),
        "failurePercentageEjection": {
            "threshold": round(found.failure_ratio * 100),
            "minimumHosts": found.minimum_hosts,
            "requestVolume": found.request_volume,
        },
        "childPolicy": [balancing],
    }
    return [{"outlier_detection_experimental": outliers}]


# Any: the type of a cell was checked when the text was read.
def compile_channel(node: Node) -> ChannelPolicy:
    """Return what the effective values of a channel stand for."""
    keepalive = node["keepalive"]
    pings = keepalive if isinstance(keepalive, dict) else {}
    reconnect = cast("Node", node["reconnect"])
    initial_s, max_s = (
        _value(reconnect, "initial_backoff"),
        _value(reconnect, "max_backoff"),
    )
    health, balancing = _settled(node)
    outliers, level = _outliers(node)
    if outliers is not None and level > cast("Cell", node["load_balancing"]).level:
        balancing = "round_robin"  # the inherited one gives way
    return ChannelPolicy(
        keepalive_time_s=_value(pings, "time") if pings else None,
        keepalive_timeout_s=_value(pings, "timeout") if pings else 0.0,
        keepalive_without_calls=bool(pings) and _value(pings, "without_calls"),
        # An inherited one gives way, whichever was written nearer.
        initial_backoff_s=min(initial_s, max_s) if _wins(reconnect) else initial_s,
        max_backoff_s=max_s if _wins(reconnect) else max(initial_s, max_s),
        spread=_value(reconnect, "spread"),
        connect_timeout_s=_value(reconnect, "connect_timeout"),
        load_balancing=balancing,
        outliers=outliers if balancing == "round_robin" else None,
        health_check=health,
        resolve_interval_s=_value(node, "resolve_interval"),
        max_send_bytes=_size(node, "max_send_size"),
        max_receive_bytes=_size(node, "max_receive_size"),
        wait_for_ready=_value(node, "wait_for_ready"),
        user_agent=_value(node, "user_agent"),
    )


def _outliers(node: Node) -> tuple[OutlierPolicy | None, int]:
    """When addresses are left out, and how near that was written."""
    found = node["outlier_detection"]
    if not isinstance(found, dict):
        return None, 0
    outliers = OutlierPolicy(
        interval_s=_value(found, "interval"),
        failure_ratio=_value(found, "failure_ratio"),
        request_volume=_value(found, "request_volume"),
        minimum_hosts=_value(found, "minimum_hosts"),
        base_ejection_s=_value(found, "base_ejection_time"),
        max_ejection_ratio=_value(found, "max_ejection_ratio"),
    )
    return outliers, max(cast("Cell", cell).level for cell in found.values())


def _settled(node: Node) -> tuple[str | None, str]:
    """Health check and balancing: `pick_first` has no health checks (gRFC A17)."""
    asked, chosen = (
        cast("Cell", node["health_check"]),
        cast("Cell", node["load_balancing"]),
    )
    if asked.value is OFF:
        return None, str(chosen.value)
    service = "" if asked.value is ON else str(asked.value)
    if chosen.value != "pick_first":
        return service, str(chosen.value)
    # The inherited one gives way.
    return (
        (service, "round_robin") if asked.level > chosen.level else (None, "pick_first")
    )


def _wins(reconnect: Node) -> bool:
    """Was `max_backoff` written nearer than `initial_backoff`?"""
    low = cast("Cell", reconnect["initial_backoff"])
    high = cast("Cell", reconnect["max_backoff"])
    return high.level >= low.level


def _value(node: Node, key: str) -> Any:
    return cast("Cell", node[key]).value


def _size(node: Node, key: str) -> int | None:
    found = _value(node, key)
    return None if found is OFF else cast("int", found)
