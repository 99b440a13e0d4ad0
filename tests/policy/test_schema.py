"""The JSON Schema for editors."""

from pathlib import Path

import pytest
import yaml

from resilience.policy.schema import json_schema


jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json_schema()
HERE = Path(__file__).parent


def test_is_a_schema():
    """It is a valid schema of draft 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)

    assert "https://json-schema.org/draft/2020-12/schema" == SCHEMA["$schema"]


def test_sample_is_valid():
    """An editor finds nothing wrong with a good policy."""
    data = yaml.safe_load((HERE / "sample.yaml").read_text(encoding="utf-8"))

    assert [] == list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


@pytest.mark.parametrize("name", ["misspelt", "percent", "missing_version", "modes"])
def test_bad_file_is_invalid(name):
    """An editor underlines what the reader refuses."""
    data = yaml.safe_load((HERE / "bad" / f"{name}.yaml").read_text(encoding="utf-8"))

    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(data))


def test_every_key_is_described():
    """Each key says what it means; a built-in value is shown."""
    parts = [SCHEMA, *SCHEMA["$defs"].values()]

    assert [] == [
        key
        for part in parts
        for key, entry in part.get("properties", {}).items()
        if not entry.get("description")
    ]
    retry = SCHEMA["$defs"]["Retry"]["properties"]
    assert "Built in (2026.11): 3." in retry["max_attempts"]["description"]
