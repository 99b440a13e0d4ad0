"""Write policy-keys.md, metrics.md and commands.md of docs/ from the code.

    python tools/write_references.py

tests/test_references.py fails when a file is stale.
"""

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import get_args

import click
from pydantic import BaseModel

from resilience import policy
from resilience.cli.commands import cli
from resilience.policy.model import AwsRule, Policy, Rule
from resilience.policy.transport import Channel
from resilience.telemetry import names


DOCS = Path(__file__).resolve().parents[1] / "docs"
BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
METHODS = (("grpc", "shop.Cart", "GetCart"), ("aws", "s3", "PutObject"))


def _map_in(annotation: object) -> type[BaseModel] | None:
    """The map that a key holds, if it holds one of ours (or a dictionary of them)."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    found = (_map_in(part) for part in get_args(annotation))
    return next((part for part in found if part is not None), None)


def _rows(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, field in model.model_fields.items():
        text = " ".join((field.description or "").split())
        yield f"{prefix}{key}", text
        inner = _map_in(field.annotation)
        if inner is not None and not issubclass(inner, Rule):
            between = ".CODE." if key == "codes" else "."
            yield from _rows(inner, f"{prefix}{key}{between}")


def _built_in() -> dict[str, dict[str, str]]:
    table = policy.built_in()
    return {
        protocol: {
            leaf.path: str(leaf.value)
            for leaf in table.explain_leaves(protocol, service, service, method, None)
        }
        for protocol, service, method in METHODS
    }


def _channel_built_in() -> dict[str, str]:
    """Values of a channel, those of what is off as it would be turned on."""
    found: dict[str, str] = {}
    for section in ({}, {"keepalive": "on"}):
        table = policy.load_mapping(
            {"grpc": {"channel": {"user_agent": "", **section}}}
        )
        for leaf in table.explain_leaves("grpc", "x", "a.B", "C"):
            _, is_channel, key = leaf.path.partition("channel.")
            if is_channel:
                found.setdefault(key, leaf.value)
    return found


def policy_keys() -> str:
    """The reference of every key of a policy file."""
    lines = [
        "# Keys of a policy file",
        "",
        (
            "Written by `tools/write_references.py` from the model. Built-in values "
            'are those of edition "2026.11"; where AWS differs, its value follows.'
        ),
        "",
        "## Top level",
        "",
        "| key | meaning |",
        "|---|---|",
    ]
    sections = ("all", "grpc", "aws", "app")
    lines += [
        f"| `{key}` | {text} |"
        for key, text in _rows(Policy)
        if key.partition(".")[0] not in sections or key.count(".") <= 1
    ]
    lines += ["", "## In a rule", "", "| key | built in | meaning |", "|---|---|---|"]
    grpc, aws = _built_in()["grpc"], _built_in()["aws"]
    for key, text in _rows(AwsRule):
        value, other = grpc.get(key, ""), aws.get(key, "")
        shown = f"`{value}`" if value else ""
        if other and other != value:
            shown = f"{shown}, AWS `{other}`" if shown else f"`{other}`"
        lines.append(f"| `{key}` | {shown} | {text} |")
    lines += [
        "",
        "## In a channel",
        "",
        "Under `grpc.channel`, and under `channel` of a target.",
        "",
        "| key | built in | meaning |",
        "|---|---|---|",
    ]
    built_in = _channel_built_in()
    lines += [
        f"| `{key}` | {shown} | {text} |"
        for key, text in _rows(Channel)
        for shown in (f"`{built_in[key]}`" if built_in.get(key) else "",)
    ]
    return "\n".join(lines) + "\n"


def _within(name: str, lines: list[str]) -> str:
    """The document with *lines* as its table; what is written around it stays."""
    text = (DOCS / name).read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    table = "\n".join(lines)
    return f"{before}{BEGIN}{table}\n{END}{after}"


def metrics() -> str:
    """The reference of every metric."""
    lines = [
        "",
        "Written by `tools/write_references.py` from `resilience/telemetry/names.py`.",
        "",
        "| name | kind | unit | attributes | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in vars(names).values():
        if isinstance(metric, names.Metric):
            attributes = ", ".join(f"`{name}`" for name in metric.attributes)
            lines.append(
                f"| `{metric.name}` | {metric.kind} | `{metric.unit}` "
                f"| {attributes} | {metric.description} |"
            )
    lines += ["", "Attributes of metrics and spans:", ""]
    lines += ["| attribute | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in _attributes()]
    return _within("metrics.md", lines)


def _attributes() -> Iterator[tuple[str, str]]:
    """Names and the docstrings under them; events are told in the document."""
    body = ast.parse(inspect.getsource(names)).body
    for one, told in pairwise(body):
        match one, told:
            case (
                ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str(value))),
                ast.Expr(ast.Constant(str(text))),
            ) if not name.startswith(("EVENT_", "METER", "OTHER")):
                yield value, " ".join(text.split())


def _usage(command: click.Command) -> str:
    """The command with its arguments."""
    words = []
    for one in command.params:
        if isinstance(one, click.Argument):
            word = one.metavar or str(one.name).upper() + "..." * (one.nargs < 0)
            words.append(word if one.required or one.metavar else f"[{word}]")
    return " ".join(["resilience", str(command.name), *words])


def _option(one: click.Option) -> str:
    """An option with what it takes."""
    names = ", ".join(f"`{name}`" for name in one.opts)
    if one.is_flag:
        return names
    taken = one.metavar or one.type.name.upper().partition(" ")[0]
    if isinstance(one.type, click.Choice):
        taken = "|".join(one.type.choices)
    taken = taken.replace("|", "\\|")  # or it ends the cell
    return f"{names[:-1]} {taken}`"


def commands() -> str:
    """The reference of every command."""
    lines = ["", "Written by `tools/write_references.py` from `resilience/cli`."]
    for command in cli.commands.values():
        module = inspect.getdoc(inspect.getmodule(command.callback)) or ""
        exits = module.partition("Exit codes: ")[2].partition("\n\n")[0]
        # Of several sentences the first is about the codes.
        exits = " ".join(exits.split()).partition(". ")[0].rstrip(".")
        about = " ".join((command.help or "").split())
        lines += ["", f"### `{_usage(command)}`", "", f"{about} Exit codes: {exits}."]
        options = [one for one in command.params if isinstance(one, click.Option)]
        lines += ["", "| option | meaning |", "|---|---|"]
        lines += [f"| {_option(one)} | {one.help} |" for one in options]
    return _within("commands.md", lines)


REFERENCES = {
    "policy-keys.md": policy_keys,
    "metrics.md": metrics,
    "commands.md": commands,
}


def main() -> None:
    """Write them all."""
    for name, made in REFERENCES.items():
        (DOCS / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
