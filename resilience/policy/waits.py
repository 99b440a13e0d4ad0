"""Sequences of un-jittered waits, from the `backoff` package's generators.

Only here is `backoff` touched, and only when the first wait is asked for: importing
it costs tens of milliseconds that a program without a failure never pays.
"""

from collections.abc import Iterator
from functools import partial

from resilience.core.policy import BackoffPolicy, Jitter


def exponential(initial_s: float, max_s: float, multiplier: float) -> Iterator[float]:
    """Return `initial * multiplier**n`, each capped at *max_s*; it never ends."""
    import backoff

    waits = backoff.expo(base=multiplier, factor=initial_s, max_value=max_s)
    # Since backoff 2.0 the first item is not a wait but a place to send into.
    next(waits)
    return waits


def policy(
    *, initial_s: float, max_s: float, multiplier: float, jitter: Jitter
) -> BackoffPolicy:
    """Return the waits' policy, with its generator made on first use."""
    return BackoffPolicy(
        initial_s=initial_s,
        max_s=max_s,
        multiplier=multiplier,
        jitter=jitter,
        waits=partial(exponential, initial_s, max_s, multiplier),
    )
