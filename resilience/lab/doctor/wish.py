"""What the examiner was asked, and how much time there is left for it."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal


Security = Literal["find-out", "tls", "plaintext"]

STEP_RATIO: Final = 0.3
"""No step takes more than this part of the whole time: a silent peer leaves enough to
say what is so at the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a target is to be examined."""

    security: Security = "find-out"
    ca: Path | None = None
    """Root certificates (PEM); None: those that grpcio brings."""
    cert: Path | None = None
    """This client's certificate chain (PEM), for mutual TLS."""
    key: Path | None = None
    """The private key of `cert` (PEM)."""
    authority: str = ""
    """The name to ask for instead of the target's host."""
    service: str = ""
    """The service whose health is asked; empty: the server's as a whole."""


class TimeLeft:
    """What is left of *timeout_s* seconds. Safe to share between threads."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be begun."""
        return self.elapsed_s >= self._timeout_s

    def step_s(self) -> float:
        """Seconds that the next step may take; never 0, which sockets misread."""
        left = self._timeout_s - self.elapsed_s
        return max(0.001, min(left, self._timeout_s * STEP_RATIO))
