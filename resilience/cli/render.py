"""Answers of the lab as text for people or JSON for programs.

The only file that prints. Colour only on a terminal and without `NO_COLOR`; text from
policies is never read as markup.
"""

import json
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from resilience.errors import Problem
from resilience.lab.diff import PolicyDiff
from resilience.lab.explain import Explanation
from resilience.policy import PolicyTable
from resilience.policy.durations import show


def _console() -> Console:
    # Made for each answer: it looks at the terminal and at NO_COLOR of that moment.
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def data(value: object) -> None:
    """Print *value* as JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False))


def policy_data(table: PolicyTable) -> dict[str, object]:
    """Return what identifies a policy, as plain data."""
    return {
        "name": table.name,
        "edition": table.edition,
        "mode": table.mode,
        "state": table.state,
        "hash": table.hash,
        "files": list(table.sources),
    }


def problems(found: Sequence[Problem]) -> None:
    """Print problems, each with its place, its rule and a hint."""
    console = _console()
    for problem in found:
        where = problem.file
        if problem.line:
            where = f"{where}:{problem.line}:{problem.column}"
        console.print(
            Text.assemble(
                (where, "bold"),
                ": ",
                (problem.code, "red"),
                f" at {problem.path}",
            )
        )
        console.print(f"    {problem.message}")
        if problem.hint:
            console.print(Text.assemble("    ", ("hint: ", "cyan"), problem.hint))
    plural = "" if len(found) == 1 else "s"
    console.print(f"{len(found)} problem{plural}")


def checked(table: PolicyTable) -> None:
    """Print that a policy is good, and what of it is not acted on."""
    console = _console()
    console.print(
        Text.assemble(
            ("ok", "green"),
            f": policy {table.name}, edition {table.edition}, mode {table.mode}, "
            f"hash {table.hash}",
        )
    )
    _notices(console, table.notices)


def explanation(found: Explanation) -> None:
    """Print what holds for one method as a short story."""
    console = _console()
    method, worst = found.method, found.worst
    title = str(method)
    if method.protocol == "grpc" and method.name != "-":
        title = f"{title} on {method.name}"
    console.print(Text(title, "bold"))
    files = ", ".join(found.files) or "built in"
    console.print(
        f"policy {found.name} {found.hash}, edition {found.edition} ({files})"
    )
    console.print()
    width = max(len(leaf.path) for leaf in found.leaves)
    wide = min(max(len(leaf.value) for leaf in found.leaves), 32)
    for leaf in found.leaves:
        line = Text(f"  {leaf.path:<{width}}  {leaf.value:<{wide}}  ")
        line.append(leaf.source, "dim")
        if leaf.note:
            line.append(f"  [{leaf.note}]", "yellow")
        console.print(line)
    console.print()
    console.print(f"idempotency  {found.idempotency}: {found.idempotency_reason}")
    console.print(f"retries      {found.retries_by}")
    plural = "" if worst.attempts == 1 else "s"
    seconds = (
        "no timeout ends it"
        if worst.seconds is None
        else f"{show(worst.seconds)} in all"
    )
    console.print(
        f"worst case   {worst.attempts} attempt{plural}, "
        f"{show(worst.wait_s)} of waits, {seconds}"
    )
    if worst.native_attempts > 1:
        console.print(
            f"             times {worst.native_attempts} of lower layers: "
            f"{worst.wire_attempts} on the wire"
        )
    console.print(
        f"all failing  {worst.sustained:.3g} attempts a call ({worst.sustained_why})"
    )
    for note in found.notes:
        console.print(Text.assemble(("note: ", "cyan"), note))
    _notices(console, found.notices)


def differences(found: PolicyDiff) -> None:
    """Print what differs, method by method."""
    console = _console()
    console.print(f"{found.before_hash} -> {found.after_hash}")
    if not found:
        console.print("no effective difference")
    for change in found.whole:
        console.print(f"  {change.path}: {change.before} -> {change.after}")
    for method in found.methods:
        on = "" if method.target == "-" else f" on {method.target}"
        console.print(Text(f"{method.method}{on}", "bold"))
        for change in method.changes:
            line = Text(f"  {change.path}: ")
            line.append(change.before or "(none)", "red")
            line.append(" -> ")
            line.append(change.after or "(none)", "green")
            source = change.after_source or change.before_source
            line.append(f"  {source}", "dim")
            console.print(line)


def _notices(console: Console, notices: Sequence[str]) -> None:
    for notice in notices:
        console.print(Text.assemble(("notice: ", "yellow"), notice))
