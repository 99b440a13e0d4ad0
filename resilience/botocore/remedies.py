"""The likely cause of a failed call and what to do about it, in one sentence.

Only for ends that a person can change: a wrong clock, a certificate, an expired token,
an operation that was not repeated because nothing says that a repeat is harmless.
"""

from resilience.core.record import CallEnded

from .codes import CLOCK_SKEW, EXPIRED


CERTIFICATE = "check the CA bundle (AWS_CA_BUNDLE, verify=) and the host name"
CREDENTIALS = (
    "the session token has expired: get new credentials (sign in or assume the role "
    "again); a session made of fixed keys does not refresh them"
)
_CLOCK = ("this host's clock", "the clocks agree")


def remedy(ended: CallEnded, why_not_repeated: str) -> str:
    """What to say beside the error of the call that *ended*; empty: nothing.

    Args:
        ended: the end of a call that failed.
        why_not_repeated: why its operation has the idempotency it has.
    """
    outcome, target = ended.outcome, ended.target
    if ended.reason == "idempotency":
        where = f"aws.operations.{target.full_method}.idempotency"
        return (
            f"not repeated: {why_not_repeated}; "
            f"if a repeat is harmless here, say so under {where}"
        )
    if outcome.kind == "permanent":
        return CERTIFICATE
    if outcome.code in EXPIRED:
        return CREDENTIALS
    if outcome.code in CLOCK_SKEW and outcome.message.startswith(_CLOCK):
        return outcome.message.partition(";")[0]
    return ""
