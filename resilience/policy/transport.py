"""The model of a channel: how connections to one target are made and kept."""

from typing import Annotated, Literal

from .mechanisms import UNSET, Part
from .scalars import (
    Count,
    HealthCheck,
    KeepaliveTime,
    Length,
    Line,
    Ratio,
    RatioAbove0,
    SizeOrOff,
    Switchable,
)


class Keepalive(Part):
    """Pings that find out whether a quiet connection still lives (gRFC A8)."""

    time: KeepaliveTime = UNSET
    """Silence before a ping, at least 10s. Servers close connections that ping more
    often than they allow, by default every 5m: see `server_options`."""
    timeout: Length = UNSET
    """Wait for its answer; then the connection is given up."""
    without_calls: bool = UNSET
    """Ping while no call is under way, too. Servers refuse that by default."""


class Reconnect(Part):
    """Waits between attempts to connect, grown by 1.6 each time (gRPC's own)."""

    initial_backoff: Length = UNSET
    """Wait after the first attempt that failed."""
    max_backoff: Length = UNSET
    """Longest wait. A time, at least `initial_backoff`."""
    spread: Ratio = UNSET
    """Each channel draws its own waits from this share around both, 0.0 to 1.0, so
    that clients that lost one server do not come back together."""
    connect_timeout: Length = UNSET
    """What one attempt to connect may take."""


class OutlierDetection(Part):
    """Addresses whose calls fail far too often get none for a while (gRFC A50).

    What a hedge overtook, or a timeout ended, counts as failed: with hedging, slow
    addresses are found too. Each channel looks for itself.
    """

    interval: Length = UNSET
    """How often results are looked at."""
    failure_ratio: RatioAbove0 = UNSET
    """An address of whose calls this share failed is left out. 0.0 to 1.0."""
    request_volume: Count = UNSET
    """No verdict on an address with fewer calls in an interval."""
    minimum_hosts: Count = UNSET
    """No verdict on any while fewer addresses have that many calls."""
    base_ejection_time: Length = UNSET
    """How long it is left out; each further time in a row that much longer."""
    max_ejection_ratio: RatioAbove0 = UNSET
    """Share of the addresses that may be left out at a time; one always may."""


class Channel(Part):
    """Connections to one target: how they are made, kept and chosen among."""

    keepalive: Annotated[Keepalive, *Switchable] = UNSET
    """Pings on quiet connections; `off`: none."""
    reconnect: Reconnect = UNSET
    """Waits between attempts to connect."""
    load_balancing: Literal["round_robin", "pick_first"] = UNSET
    """`round_robin`: all addresses in turn. `pick_first`: one of them."""
    outlier_detection: Annotated[OutlierDetection, *Switchable] = UNSET
    """Leave out addresses that fail or, with hedging, are slow; `off`: none. Needs
    round_robin."""
    health_check: HealthCheck = UNSET
    """Call only addresses whose health service says SERVING for this service name;
    `on`: for the server as a whole, `off`: call all (gRFC A17; with round_robin)."""
    resolve_interval: Length = UNSET
    """Shortest time between two look-ups of the name."""
    max_send_size: SizeOrOff = UNSET
    """Largest message sent. A size such as `4MiB`, or `off`."""
    max_receive_size: SizeOrOff = UNSET
    """Largest message received. A size such as `4MiB`, or `off`."""
    wait_for_ready: bool = UNSET
    """Calls wait for a connection within their deadline in place of failing at once;
    what a call says itself comes first."""
    user_agent: Line = UNSET
    """Put before gRPC's own in the user agent."""
