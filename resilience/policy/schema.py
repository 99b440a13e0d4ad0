"""The JSON Schema of the policy format, for editors.

Made from the model, so that it cannot say anything else; each key shows its built-in
value, taken from the edition.
"""

from collections.abc import Mapping
from typing import Any, Final

from . import editions
from .model import Policy
from .narrowing import is_map
from .table import text_of


DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_PARTS: Final = {
    "Retry": "retry",
    "RetryBudget": "retry_budget",
    "Breaker": "breaker",
    "Limiter": "limiter",
    "Hedging": "hedging",
    "RetryBuffer": "retry_buffer",
    "Channel": "channel",
    "Keepalive": "keepalive",
    "Reconnect": "reconnect",
    "OutlierDetection": "outlier_detection",
}
"""Class of the model -> key of its built-in values."""


def json_schema() -> dict[str, Any]:
    """Return the schema as plain data (draft 2020-12)."""
    made = Policy.model_json_schema()
    channel = editions.channel_values()
    values = {
        "channel": channel,
        **channel,
        **editions.rule_values(),
        **editions.TURNED_ON,
    }
    parts = made["$defs"]
    for name, key in _PARTS.items():
        built_in = values[key]
        if is_map(built_in):
            _describe(parts[name], built_in)
    for name in ("Rule", "AwsRule", "TargetRule"):
        _describe(parts[name], editions.rule_values())
    for part in (made, *parts.values()):
        _tidy(part)
    return {"$schema": DIALECT, "$id": "resilience-policy-1", **made}


def _describe(part: dict[str, Any], built_in: Mapping[str, object]) -> None:
    """Add the built-in value to the description of each key."""
    for key, entry in part["properties"].items():
        value = built_in.get(key)
        if key in built_in and not is_map(value) and value != "":
            text = f"Built in ({editions.FIRST}): {text_of(key, value)}."
            entry["description"] = f"{entry.get('description', '')} {text}".strip()


def _tidy(part: dict[str, Any]) -> None:
    """Drop what only the model's own machinery means."""
    part.pop("title", None)
    for entry in part.get("properties", {}).values():
        entry.pop("default", None)
        entry.pop("title", None)
        if "description" in entry:
            entry["description"] = " ".join(entry["description"].split())
    if "description" in part:
        part["description"] = " ".join(part["description"].split())
