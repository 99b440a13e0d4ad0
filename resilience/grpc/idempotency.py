"""What a service's descriptor declares about its methods.

Looked up in protobuf's default pool, and only when the application has imported
protobuf itself: a generated stub has registered its descriptors there by then.
"""

import sys
from typing import Any

from resilience.core.target import Idempotency


_SAFE = frozenset({1, 2})
"""`NO_SIDE_EFFECTS` and `IDEMPOTENT` of `MethodOptions.IdempotencyLevel`."""


def declared(service: str, method: str) -> Idempotency:
    """`safe` when the descriptor says so, else `none`; never raises."""
    pool_module: Any = sys.modules.get("google.protobuf.descriptor_pool")
    if pool_module is None or not service:
        return "none"
    try:
        found = pool_module.Default().FindServiceByName(service)
        options = found.FindMethodByName(method).GetOptions()
        level = options.idempotency_level
    except Exception:  # noqa: BLE001 - unknown service or method, or another protobuf
        return "none"
    return "safe" if level in _SAFE else "none"
