"""What the channel itself says about its connection, as a witness against texts.

A server that relays another's status repeats its very words. Only the state of our own
channel tells a refusal that we met from one that the server tells us about (and Envoy's
headers, which `extract.py` reads). The state is read after a failure, never before.
"""

from collections.abc import Callable
from typing import Any, Literal

import grpc


State = Literal["IDLE", "CONNECTING", "READY", "TRANSIENT_FAILURE", "SHUTDOWN", ""]
"""A connectivity state; empty: it cannot be read."""
Witness = Callable[[], State]

_BY_NUMBER: dict[int, State] = {
    0: "IDLE",
    1: "CONNECTING",
    2: "READY",
    3: "TRANSIENT_FAILURE",
    4: "SHUTDOWN",
}
_MAX_DEPTH = 16


def no_witness() -> State:
    """For callers that have no channel at hand."""
    return ""


def sync_witness(channel: Any) -> Witness:
    """Reads the state of a blocking *channel*, through any wrappers around it.

    grpcio offers only a polling subscription, so this looks for the core channel that
    wrappers keep as `_channel` (pinned by a test). Not found: there is no witness.
    """

    def state() -> State:
        inner = channel
        for _ in range(_MAX_DEPTH):
            check = getattr(inner, "check_connectivity_state", None)
            if check is not None:
                return _BY_NUMBER.get(check(False), "")
            inner = getattr(inner, "_channel", None)
            if inner is None:
                break
        return ""

    return _guarded(state)


def aio_witness(channel: Any) -> Witness:
    """Reads the state of an asyncio *channel* by its public method."""

    def state() -> State:
        found: grpc.ChannelConnectivity = channel.get_state(try_to_connect=False)
        return _BY_NUMBER.get(found.value[0], "")

    return _guarded(state)


def _guarded(read: Callable[[], State]) -> Witness:
    def state() -> State:
        try:
            return read()
        except Exception:  # noqa: BLE001 - a closed channel, or a wrapper that is none
            return ""

    return state
