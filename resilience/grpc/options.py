"""Channel options: which ones we ask for, and what native retries they switch on.

C-core's own retries run below ours and multiply them (3 of ours over 5 native ones are
15 attempts), and they hide every attempt but the last.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


NATIVE_LIMIT = 5
"""C-core clamps `maxAttempts` to this."""


def channel_options() -> list[tuple[str, int]]:
    """The options for a channel whose retries are ours alone.

    `grpc.enable_retries` off lets `grpc-previous-rpc-attempts` through, too, and
    switches off C-core's single transparent retry, which ours replaces. The other
    option keeps a service config out of DNS from bringing native retries back.
    """
    return [
        ("grpc.enable_retries", 0),
        ("grpc.service_config_disable_resolution", 1),
    ]


def native_retry_attempts(options: Sequence[tuple[str, Any]] | None) -> dict[str, int]:
    """How many attempts C-core makes for each of ours, by channel *options*.

    Returns:
        Attempts by `service/method`, `service/*`, or `*`; only entries above 1. Empty
        when retries are off, none are configured, or the config cannot be read.
    """
    given = dict(options or ())
    if given.get("grpc.enable_retries", 1) in (0, False):
        return {}
    try:
        config = json.loads(given.get("grpc.service_config", "{}"))
        return dict(_entries(config))
    except (ValueError, TypeError, AttributeError):
        return {}


def _entries(config: Mapping[str, Any]) -> list[tuple[str, int]]:
    found = []
    for entry in config.get("methodConfig", ()):
        policy = entry.get("retryPolicy") or {}
        attempts = min(int(policy.get("maxAttempts", 1)), NATIVE_LIMIT)
        if attempts < 2:
            continue
        for name in entry.get("name", ()):
            service, method = name.get("service", ""), name.get("method", "")
            pattern = f"{service}/{method or '*'}" if service else "*"
            found.append((pattern, attempts))
    return found
