"""`explain` as a library."""

import pytest

from resilience import policy
from resilience.lab.explain import explain


def table(**sections):
    return policy.load_mapping({"edition": "2026.11", **sections})


def test_worst_case_multiplies_lower_layers():
    """Worst case: attempts times native ones, longest waits, all timeouts."""
    found = explain(
        table(
            all={
                "attempt_timeout": "1s",
                "native_retries": {"max_attempts": 5},
                "retry": {"codes": {"INTERNAL": False}},
            }
        ),
        "shop.Cart/Get",
    ).worst

    assert (3, 5, 15) == (found.attempts, found.native_attempts, found.wire_attempts)
    assert (0.3, pytest.approx(3.3)) == (found.wait_s, found.seconds)
    assert pytest.approx(6.0) == found.sustained


def test_worst_case_counts_the_late_retry_once():
    """The rule of one code bounds only as many waits as it has retries."""
    assert 1.2 == explain(policy.built_in(), "shop.Cart/Get").worst.wait_s


def test_worst_case_counts_waits_for_a_place():
    """Each attempt may stand in line, where a limiter acts."""
    rule = {"limiter": {"max_wait": "2s"}, "retry": {"max_attempts": 3}}
    watching = {**rule, "limiter": {"max_wait": "2s", "mode": "observe"}}
    waits = [
        explain(table(app={"all": one}), "app:a/b").worst.wait_s
        for one in (rule, watching)
    ]

    assert round(waits[0] - waits[1], 6) == 6.0


def test_worst_case_is_cut_by_the_timeout():
    """The whole call's timeout bounds everything."""
    rule = {"timeout": "2s", "attempt_timeout": "1s"}

    assert 2.0 == explain(table(all=rule), "shop.Cart/Get").worst.seconds


def test_no_timeout_no_bound():
    """Without a timeout nothing here bounds the call, and a note says so."""
    found = explain(policy.built_in(), "shop.Cart/Get")

    assert found.worst.seconds is None
    assert "no timeout: only the caller's own deadline ends the call" in found.notes


@pytest.mark.parametrize(
    ("rule", "attempts", "sustained"),
    [
        ({"retry": False}, 1, 1.0),
        ({"retry_budget": False}, 3, 3.0),
        ({"retry_budget": {"kind": "tokens"}}, 3, 1.0),
        ({"mode": "observe"}, 1, 1.0),
    ],
)
def test_sustained(rule, attempts, sustained):
    """While everything fails the budget decides what is added."""
    found = explain(table(all=rule), "shop.Cart/Get").worst

    assert (attempts, sustained) == (found.attempts, found.sustained)


def test_decorrelated_waits():
    """Decorrelated jitter may triple a wait, up to the maximum."""
    retry = {"jitter": "decorrelated", "max_backoff": "500ms", "codes": {}}
    found = explain(table(app={"all": {"retry": retry}}), "app:a/b").worst

    assert 0.8 == pytest.approx(found.wait_s)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shop.Cart/Get", "grpc:shop.Cart/Get"),
        ("rates/quote", "app:rates/quote"),
        ("grpc:rates/quote", "grpc:rates/quote"),
        ("s3.PutObject", "aws:s3.PutObject"),
        ("app:a/b", "app:a/b"),
    ],
)
def test_method_names(text, expected):
    """Spelling, prefix and the policy's own rules tell the protocol."""
    found = explain(table(app={"operations": {"rates/*": {}}}), text)

    assert expected == str(found.method)


@pytest.mark.parametrize("text", ["", "foo", "x:y", "shop.Cart/", "S3.PutObject"])
def test_no_method(text):
    """What names no method is a ValueError."""
    with pytest.raises(ValueError, match=r"expected|protocol"):
        explain(policy.built_in(), text)


@pytest.mark.parametrize(
    ("aws", "expected"),
    [
        ({}, "resilience; botocore's own retries keep still"),
        (
            {"profile": "honour-client-config"},
            "botocore, by the client's configuration; resilience may veto",
        ),
        ({"mode": "observe"}, "botocore, as without us (mode observe)"),
        ({"retry": False}, "nobody here (retry: off)"),
        (
            {"retry": {"mode": "observe"}},
            "botocore, as without us (retry.mode observe)",
        ),
    ],
)
def test_who_retries(aws, expected):
    """For AWS it is said who owns the retries."""
    assert expected == explain(table(aws={"all": aws}), "s3.PutObject").retries_by


def test_auto_idempotency_of_aws():
    """For AWS `auto` is resolved from the written table and the model."""
    pytest.importorskip("botocore")
    found = explain(policy.built_in(), "dynamodb.GetItem")

    assert "safe" == found.idempotency
    assert found.idempotency_reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("s3.PutObjct", "s3 has no operation PutObjct; nearest: PutObject"),
        ("dynamodbb.GetItem", "botocore knows no service dynamodbb; nearest: dynamodb"),
    ],
)
def test_misspelt_operation(text, reason):
    """An operation that does not exist is found out."""
    pytest.importorskip("botocore")

    assert reason == explain(policy.built_in(), text).idempotency_reason


def test_written_idempotency_names_its_line():
    """A written idempotency is explained by its line."""
    text = 'version: 1\nedition: "2026.11"\nall: {idempotency: keyed}\n'
    found = explain(policy.load([("p.yaml", text)]), "shop.Cart/Get")

    assert ("keyed", "p.yaml:3") == (found.idempotency, found.idempotency_reason)
    assert any("idempotency-key" in note for note in found.notes)


def test_targets():
    """A target's rule holds when the target is named."""
    rules = {"targets": {"eu": {"timeout": "2s"}}}

    assert 2.0 == explain(table(grpc=rules), "a.B/C", target="eu").policy.timeout_s
    assert explain(table(grpc=rules), "a.B/C").policy.timeout_s is None
