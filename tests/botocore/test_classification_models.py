"""Every error that a service model calls retryable, and every wait that one models."""

import gzip
import json
import re
from pathlib import Path

import botocore
import pytest
from botocore.model import ServiceModel

from resilience.botocore.extract import from_response
from resilience.botocore.wait_hints import wait_hint
from resilience.core.classify import evidence, verdict
from resilience.engine import PolicyEngine


DATA = Path(botocore.__file__).parent / "data"
COUNTS = {"1.41.0": (176, 48), "1.43.117": (220, 58), "1.44.5": (237, 64)}
"""Version -> shapes that are retryable, and those of them that are throttling."""
WAIT = re.compile("retry.?after", re.IGNORECASE)
MENTIONS = re.compile(rb'"retryable"|etry-?_?after', re.IGNORECASE)


def models():
    """Yield the newest model of each service that says something about retries."""
    for folder in sorted(path for path in DATA.iterdir() if path.is_dir()):
        for path in sorted(folder.glob("*/service-2.json*"))[-1:]:
            raw = path.read_bytes()
            raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
            if MENTIONS.search(raw):
                yield folder.name, json.loads(raw)


@pytest.fixture(scope="module")
def raws():
    return list(models())


@pytest.fixture(scope="module")
def retryable(raws):
    """Return (service, shape's name, its model, an operation) of each such error."""
    found = []
    for service, raw in raws:
        marked = {n: s for n, s in raw["shapes"].items() if "retryable" in s}
        by_error = {
            error["shape"]: name
            for name, operation in raw["operations"].items()
            for error in operation.get("errors", ())
        }
        model = ServiceModel(raw, service)
        found += [
            (service, name, shape, model.operation_model(by_error[name]))
            for name, shape in marked.items()
        ]
    return found


def judged(service, name, shape, operation):
    """Return a shape's own code, its status, whether it throttles, and the outcome."""
    error = shape.get("error") or {}
    throttles = bool(shape["retryable"].get("throttling"))
    status = error.get("httpStatusCode") or (500 if shape.get("fault") else 400)
    parsed = {
        "Error": {"Code": error.get("code") or name, "Message": "m"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
    }
    return status, throttles, from_response(parsed, operation)


def test_their_number(retryable):
    """As many as were counted in the models of this version."""
    throttling = sum(bool(s["retryable"].get("throttling")) for _, _, s, _ in retryable)
    counts = len(retryable), throttling

    assert counts == COUNTS.get(botocore.__version__, counts)
    assert len(retryable) >= 176


def test_each_is_repeated(retryable):
    """A safe call that ends in one is tried again, whatever its status."""
    retry = PolicyEngine().table.policy_for("aws", "s3", "s3", "GetObject", "enforce")
    left_out = [
        (service, name)
        for service, name, shape, operation in retryable
        if not verdict(
            judged(service, name, shape, operation)[2], retry.retry, "safe"
        ).repeat
    ]

    assert [] == left_out


def test_each_kind(retryable):
    """Throttling was not executed; a client's error is an answer, a fault is none."""
    for row in retryable:
        status, throttles, found = judged(*row)
        if throttles or status == 429 or found.code == "ThrottlingException":
            expected = ("overload", "no", "overload")
        elif status >= 500 or status == 408 or not found.retryable:
            expected = ("transport", "maybe", "failure")
        elif status in {409, 423} or found.code == "ReplicatedWriteConflictException":
            expected = ("application", "no", "success")
        else:
            expected = ("application", "maybe", "success")

        assert (row[:2], expected) == (
            row[:2],
            (found.kind, found.reached, evidence(found)),
        )


def test_none_is_a_fault_without_a_word_for_it(retryable):
    """What is held against a service has a status or a code of a fault."""
    named = {"Internal", "Unavailable", "Timeout", "TimedOut"}
    for row in retryable:
        status, _, found = judged(*row)
        if found.kind == "transport" and status < 500:
            assert any(word in found.code for word in named), row[:2]


def test_each_modelled_wait(raws):
    """Every member by which a model asks for a wait is read as one."""
    members = {
        member
        for _, raw in raws
        for shape in raw["shapes"].values()
        if shape.get("exception")
        for member, about in shape.get("members", {}).items()
        if re.search(
            "retry.?after", member + about.get("locationName", ""), re.IGNORECASE
        )
    }

    assert members
    assert {(4.0, "hint")} == {wait_hint({member: 4}, {}) for member in members}
