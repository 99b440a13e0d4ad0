"""`resilience audit`: which writes are listed, exit codes, text and JSON."""

import json

import botocore.session
import pytest

from resilience import policy
from resilience.lab.audit import audit, services_of
from resilience.lab.explain import explain


pytest.importorskip("click")
pytest.importorskip("rich")
from click.testing import CliRunner

from resilience.cli.commands import cli


@pytest.fixture
def listed(loader):
    """Return a function: rules -> the unguarded writes, by name."""
    session = botocore.session.Session()
    session.register_component("data_loader", loader)

    def look(operations=None, *, services=("s3",), mode="enforce", rules=None):
        written = {"all": rules or {}, "operations": operations or {}}
        table = policy.load_mapping(
            {"version": 1, "name": "t", "mode": mode, "aws": written}
        )
        found = audit(table, services, session=session)
        assert found.is_clean is not bool(found.unguarded)
        return {
            f"{row.operation}{' (condition)' if row.condition else ''}": row
            for row in found.unguarded
        }

    return look


def test_built_in_values(listed):
    """Writes that keys, conditions or their nature make safe are not listed."""
    found = listed()

    assert {
        "CompleteMultipartUpload (condition)",
        "CopyObject (condition)",
        "CreateMultipartUpload",
        "DeleteObject (condition)",
        "PutObject (condition)",
        "WriteGetObjectResponse",
    } == {*found}
    assert "idempotency: keyed" in found["PutObject (condition)"].remedy


def test_keyed_guards_what_can_carry_a_key(listed):
    """Where nothing can, the word alone does not help, and that is said."""
    found = listed({"s3.*": {"idempotency": "keyed"}})

    assert {
        "CreateMultipartUpload",
        "DeleteObject (condition)",
        "WriteGetObjectResponse",
    } == {*found}
    assert "nothing in its requests" in found["CreateMultipartUpload"].reason


@pytest.mark.parametrize("word", ["accept_duplicates", "none", "safe"])
def test_what_the_policy_accepts(word, listed):
    """A write about which the policy speaks is not listed."""
    assert "SendMessage" in listed(services=("sqs",))
    found = listed({"sqs.SendMessage": {"idempotency": word}}, services=("sqs",))
    assert "SendMessage" not in found


def test_tokens(listed):
    """Filled ones guard; those that botocore leaves empty guard under `keyed`."""
    services = ("cloudformation", "ecs")
    found = listed(services=services)
    keyed = listed({"cloudformation.*": {"idempotency": "keyed"}}, services=services)

    assert "RunTask" not in found
    assert "ClientRequestToken" in found["CreateStack"].remedy
    assert "CreateStack" not in keyed


def test_reads_are_not_listed(listed):
    """Neither reads nor batches of reads are writes."""
    found = listed(services=("cloudformation", "ecr", "dynamodb"))

    assert not [name for name in found if "Describe" in name or "Get" in name]
    assert "UpdateItem" in found


@pytest.mark.parametrize(
    ("mode", "rules", "expected"),
    [
        ("enforce", {}, "not-repeated"),
        ("observe", {}, "repeated-natively"),
        ("enforce", {"retry": {"mode": "observe"}}, "repeated-natively"),
        ("enforce", {"profile": "honour-client-config"}, "repeated-natively"),
    ],
)
def test_who_repeats(mode, rules, expected, listed):
    """Where the engine does not act, botocore repeats what nothing guards."""
    found = listed(services=("lambda",), mode=mode, rules=rules)

    assert expected == found["Invoke"].consequence


def test_keyed_that_is_not_acted_upon(listed):
    """In mode observe nothing puts a key in."""
    rules = {"dynamodb.UpdateItem": {"idempotency": "none"}}
    found = listed(rules, services=("dynamodb",), mode="observe")

    assert ("none", "mode: enforce") == (
        found["UpdateItem"].idempotency,
        found["UpdateItem"].remedy,
    )


def test_services():
    """Those that the policy names, else those of the written table."""
    named = policy.load_mapping(
        {"version": 1, "name": "t", "aws": {"operations": {"sns.Publish": {}}}}
    )

    assert ("sns",) == services_of(named)
    assert {"s3", "dynamodb", "sqs"} <= {*services_of(policy.built_in())}


def run(*words):
    return CliRunner().invoke(cli, ["audit", *words])


def test_the_command(tmp_path):
    """Exit code 1 and a table with findings, 0 and one line without."""
    found = run("--service", "sts", "--service", "sqs")
    clean = tmp_path / "p.yaml"
    clean.write_text(
        "version: 1\nname: t\naws:\n  operations:\n    sqs.*: {idempotency: none}\n"
    )
    fine = run(str(clean))

    assert (1, 0) == (found.exit_code, fine.exit_code), fine.output
    assert "sqs.SendMessage " in found.output
    assert "unguarded writes of" in found.output
    assert fine.output.startswith("ok: ")


def test_json():
    """Stable keys for programs."""
    done = run("--service", "sqs", "--format", "json")
    data = json.loads(done.output)

    assert 1 == done.exit_code
    assert {"command", "ok", "policy", "services", "operations", "unguarded"} == {*data}
    assert {
        "service",
        "operation",
        "idempotency",
        "condition",
        "consequence",
        "reason",
        "remedy",
    } == {*data["unguarded"][0]}


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--service", "dynamodbb"), 2, "no service dynamodbb; nearest: dynamodb"),
        (("not-there.yaml",), 2, "cannot read not-there.yaml"),
    ],
)
def test_wrong_use(words, code, text):
    """Exit code 2 and a sentence."""
    done = run(*words)

    assert code == done.exit_code
    assert text in done.output


def test_a_policy_that_cannot_be_used(tmp_path):
    """Its problems are shown, as text or as JSON."""
    bad = tmp_path / "p.yaml"
    bad.write_text("version: 1\nnmae: t\n")
    shown, data = run(str(bad)), run(str(bad), "--format", "json")

    assert (1, 1) == (shown.exit_code, data.exit_code)
    assert "nmae" in shown.output
    assert "audit" == json.loads(data.output)["command"]


@pytest.mark.parametrize(
    ("method", "note"),
    [
        ("s3.PutObject", "keyed holds by an intent id"),
        ("cloudformation.CreateStack", "keyed holds by token ClientRequestToken"),
        ("dynamodb.UpdateItem", "nothing in its requests can carry a key"),
        ("s3.GetObject", "keyed asks for nothing here: reads only"),
    ],
)
def test_explain_says_what_keyed_comes_to(method, note):
    """The word alone does not tell what carries the key."""
    rules = {"idempotency": "keyed"}
    table = policy.load_mapping(
        {"version": 1, "name": "t", "aws": {"operations": {method: rules}}}
    )

    assert any(text.startswith(note) for text in explain(table, method).notes)
