"""The errors that users meet.

    ResilienceError
    ├── PolicyError      a policy file cannot be used (also a ValueError)
    └── Rejected         the call was refused and nothing was sent
        ├── resilience.grpc.GrpcRejected          (also a grpc.RpcError)
        └── resilience.botocore.BotocoreRejected  (also a BotoCoreError)

A call that was sent ends with its real error (`grpc.RpcError`, `ClientError`, ...);
`resilience.report(error)` gives the history as data.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


class ResilienceError(Exception):
    """Any error that this library makes itself."""


class Rejected(ResilienceError):
    """A call was refused before anything was sent.

    Repeating it is harmless but useless before `retry_after_s` has passed.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        scope: str,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        """Stable kebab-case code: `breaker-open`, `deadline`, ..."""
        self.scope = scope
        """Which state refused, as `engine.snapshot()` names it."""
        self.retry_after_s = retry_after_s
        """Seconds until a call may be admitted; None: unknown."""

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(
    kind: type[Rejected], args: tuple[object, ...], state: dict[str, object]
) -> Rejected:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a policy text."""

    file: str
    line: int
    """Starts at 1; 0 where the policy has no text."""
    column: int
    """Starts at 1; 0 where the policy has no text."""
    path: str
    """Key path, `grpc.methods.shop.Cart/GetCart.retry.max_attempts`."""
    code: str
    """Stable kebab-case code: `unknown-key`, `bare-number`, ..."""
    found: str
    message: str
    """What is wrong and what is allowed."""
    hint: str = ""
    """What to write instead; empty when nothing better is known."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{where}: {self.path}: {self.message} [{self.code}]"
        return f"{text}\n    hint: {self.hint}" if self.hint else text

    def as_dict(self) -> dict[str, object]:
        """The problem as plain data, for `--format json`."""
        return asdict(self)


class PolicyError(ResilienceError, ValueError):
    """A policy cannot be used. `problems` holds all of them, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(tuple(self.problems))

    def __str__(self) -> str:
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the policy:"
        return "\n".join([head, *(str(problem) for problem in self.problems)])

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problems,))
