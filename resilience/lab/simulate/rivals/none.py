"""No retry: one attempt. What every policy has to beat."""

from .rival import Rival


class NoRetry(Rival):
    """One attempt."""
