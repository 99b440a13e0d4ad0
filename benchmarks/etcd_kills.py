"""What does a store that is killed again and again cost its callers?

etcd under eight threads of Put and Range, killed with SIGKILL and started again five
times in 20 s, timeout 5 s: bare, gRPC's own five attempts, and ours by
`examples/policies/etcd.yaml`. Ours must fail no call and end none late.
"""

from examples.etcd.clients import WAYS
from examples.etcd.run import run


SECONDS = 20.0
KILLS = 5
DOWN_S = 1.0


def report() -> str:
    """The figures as text."""
    lines = []
    for way in WAYS:
        found = run(way, seconds=SECONDS, kills=KILLS, down_s=DOWN_S)
        tally = found.tally
        lines.append(
            f"{way}: {tally.calls} calls, {tally.failed} failed, {tally.late} late, "
            f"{found.attempts} attempts at the server"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
