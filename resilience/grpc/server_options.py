"""Server options beside the clients' channels: draining, and which pings to take.

A server that ends connections by age lets clients find new servers, and a deployment
drain old ones; calls under way get a grace to end. One that takes fewer pings than its
clients send closes their connections (gRFC A8, A9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from resilience.engine import PolicyEngine

_LENIENCE = 0.8
"""Of the clients' interval: a ping that comes early by a timer's error is none too
many."""


def server_options(
    *,
    max_connection_age_s: float | None = 300.0,
    max_connection_age_grace_s: float | None = None,
    max_connection_idle_s: float | None = None,
    clients: PolicyEngine | None = None,
    target: str = "",
) -> list[tuple[str, Any]]:
    """Options for `grpc.server(..., options=...)` and its asyncio twin.

    Args:
        max_connection_age_s: a connection older than this is told to go away, with
            10 % jitter by C-core itself; above 0; None: never.
        max_connection_age_grace_s: what calls under way then have left; None: until
            they end. Shorter than the longest call, and that call is cut.
        max_connection_idle_s: a connection without calls for so long goes; None: never.
        clients: an engine with the policy of the clients; the server then takes the
            pings that their `keepalive` sends.
        target: the clients' name for this server.

    Raises:
        ValueError: a time is not above 0.
    """
    found: list[tuple[str, Any]] = []
    for name, seconds in (
        ("grpc.max_connection_age_ms", max_connection_age_s),
        ("grpc.max_connection_age_grace_ms", max_connection_age_grace_s),
        ("grpc.max_connection_idle_ms", max_connection_idle_s),
    ):
        if seconds is None or ("grace" in name and max_connection_age_s is None):
            continue
        if seconds <= 0:
            msg = f"{name.removeprefix('grpc.').removesuffix('_ms')}_s is above 0"
            raise ValueError(msg)
        found.append((name, max(1, round(seconds * 1000))))
    if clients is not None:
        policy = clients.table.channel_for(target)
        if policy.keepalive_time_s is not None:
            least_ms = round(policy.keepalive_time_s * 1000 * _LENIENCE)
            found += [
                ("grpc.http2.min_ping_interval_without_data_ms", least_ms),
                (
                    "grpc.keepalive_permit_without_calls",
                    int(policy.keepalive_without_calls),
                ),
            ]
    return found
