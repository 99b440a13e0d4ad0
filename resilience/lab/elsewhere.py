"""Who else may answer one method, in words: other regions, and a fallback."""

from resilience.core.policy import CallPolicy, FailoverPolicy

from .declared import only_reads
from .method import Method
from .worst import worst_case


def notes_of(method: Method, policy: CallPolicy) -> list[str]:
    """Return what follows from `failover` and `fallback`, and is easily overlooked."""
    if policy.mode == "bypass":
        return []
    notes = []
    if policy.failover is not None and method.protocol == "aws":
        notes.append(_failover(method, policy.failover))
        if policy.failover.covers_writes or only_reads(method) is not False:
            notes += filter(None, (_time(policy),))
    if policy.fallback:
        does = "answers" if policy.mode == "enforce" else "would answer"
        notes.append(
            f"fallback {policy.fallback} {does} calls that were refused or lost; it is "
            "registered by engine.fallback"
        )
    return notes


def _failover(method: Method, policy: FailoverPolicy) -> str:
    places = ", then ".join(one.region for one in policy.regions)
    reads = only_reads(method)
    if reads is None:
        text = f"reads that were refused or lost fail over to {places}; writes "
        return text + "only where `failover` stands under their own name"
    if reads:
        return f"a read: when it was refused or lost it fails over to {places}"
    if not policy.covers_writes:
        return (
            "it may write: it does not fail over, for `failover` is not written for "
            f"`{method.service}.{method.method}` itself"
        )
    twice = [one.region for one in policy.regions if one.repeats_ambiguous]
    text = (
        f"it may write: it fails over to {places} only when its own region has "
        "certainly not executed it"
    )
    if twice:
        text += f"; to {', '.join(twice)} even when it may have (ambiguous_writes)"
    return text


def _time(policy: CallPolicy) -> str:
    """Say it when the first region may use up all the time; empty: it does not."""
    if policy.mode != "enforce":
        return ""
    if policy.attempt_timeout_s is None:
        return (
            "no attempt_timeout: a region that hangs is waited for until the deadline, "
            "and nothing is left to fail over in"
        )
    longest_s = worst_case(policy).seconds
    if policy.timeout_s is not None and (longest_s or 0) >= policy.timeout_s:
        return (
            "attempts and waits may use up the whole timeout: then nothing is left to "
            "fail over in"
        )
    return ""
