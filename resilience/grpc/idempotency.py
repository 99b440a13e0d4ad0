"""What is declared about the idempotency of methods, and a word on those undeclared.

Descriptors are looked up in protobuf's default pool, and only when the application
has imported protobuf itself: a generated stub has registered them there by then.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from resilience.core.record import Notice


if TYPE_CHECKING:
    from resilience.core.binding import Binding
    from resilience.core.target import Idempotency
    from resilience.engine import PolicyEngine


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


SHOWN = 5
"""Methods that are named in the notice; the others are counted."""


class Undeclared:
    """The methods of one channel that nobody has declared: said with its first call.

    Stubs create all their methods before the first call, so the count is theirs. Safe
    to share between threads: at worst the notice comes twice.
    """

    def __init__(self, engine: PolicyEngine, target: str) -> None:
        self._engine = engine
        self._target = target
        self._methods: list[str] = []
        self._is_said = False

    def add(self, method: str, binding: Binding, declared: Idempotency) -> None:
        """Take note of *method*, if its policy leaves it undeclared."""
        policy = binding.policy
        is_open = policy.idempotency == "auto" and declared == "none"
        if is_open and policy.retry is not None and not self._is_said:
            self._methods.append(method)

    def say(self) -> None:
        """A call is made: say how many there are."""
        if self._is_said:
            return
        self._is_said = True
        methods, self._methods = self._methods, []
        if not methods:
            return
        more = f" and {len(methods) - SHOWN} more" if len(methods) > SHOWN else ""
        text = (
            f"target {self._target}: {len(methods)} methods undeclared: not repeated "
            f"after they may have been processed ({', '.join(methods[:SHOWN])}{more}); "
            "declare their `idempotency` in the policy"
        )
        self._engine.emit((Notice("undeclared", text, self._engine.now()),))
