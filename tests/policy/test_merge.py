"""Most specific wins, leaf by leaf; maps merge, lists replace, `off` switches."""

import pytest

from resilience import policy


def load(*texts, version=True):
    head = 'version: 1\nedition: "2026.11"\n' if version else ""
    return policy.load([(f"{i}.yaml", head + text) for i, text in enumerate(texts)])


def grpc(table, target="x", service="a.B", method="C", mode=None):
    return table.policy_for("grpc", target, service, method, mode)


def leaf(table, path, *, protocol="grpc", where=("x", "a.B", "C")):
    found = table.explain_leaves(protocol, *where)
    return next(one for one in found if one.path == path)


LEVELS = """
all: {timeout: 1s}
grpc:
  all: {timeout: 2s}
  targets: {x: {timeout: 3s}}
  methods:
    a.B/*: {timeout: 4s}
    a.B/C: {timeout: 5s}
"""


@pytest.mark.parametrize(
    ("protocol", "where", "expected"),
    [
        ("grpc", ("x", "a.B", "C"), 5.0),
        ("grpc", ("x", "a.B", "D"), 4.0),
        ("grpc", ("x", "a.E", "D"), 3.0),
        ("grpc", ("y", "a.E", "D"), 2.0),
        ("aws", ("s3", "s3", "GetObject"), 1.0),
        ("app", ("a", "a", "b"), 1.0),
    ],
)
def test_order_of_levels(protocol, where, expected):
    """Method > service > target > protocol all > all."""
    assert expected == load(LEVELS).policy_for(protocol, *where).timeout_s


def test_leaf_by_leaf():
    """A more specific map changes only the leaves it has."""
    table = load(
        "all: {retry: {max_attempts: 5, jitter: none}}\n"
        "grpc: {methods: {a.B/C: {retry: {max_attempts: 2}}}}\n"
    )
    retry = grpc(table).retry

    assert (2, "none", 0.1) == (
        retry.max_attempts,
        retry.backoff.jitter,
        retry.backoff.initial_s,
    )


def test_lists_replace():
    """A more specific list replaces the wider one, built-in codes included."""
    table = load(
        "all: {retry: {retry_on: [default, ABORTED]}}\n"
        "grpc: {methods: {a.B/C: {retry: {retry_on: [UNKNOWN]}}}}\n"
    )

    assert frozenset({"UNKNOWN"}) == grpc(table).retry.retry_on


@pytest.mark.parametrize("off", ["off", "false", "no", '"off"'])
def test_off(off):
    """`off` has four spellings, and switches a mechanism or timeout off."""
    found = grpc(load(f"all: {{breaker: {off}, retry: {off}, timeout: {off}}}\n"))

    assert (None, None, None) == (found.breaker, found.retry, found.timeout_s)


@pytest.mark.parametrize("on", ["on", "true", "{}"])
def test_on_over_off(on):
    """`on` and an empty map over `off` turn a mechanism on with its defaults."""
    table = load(
        "all: {breaker: {min_calls: 7}}\n"
        "grpc:\n  all: {breaker: off}\n"
        f"  methods: {{a.B/C: {{breaker: {on}}}}}\n"
    )

    assert 20 == grpc(table).breaker.min_calls


def test_map_over_off_starts_from_the_edition():
    """A map over `off` has its own leaves and the edition's, none from before."""
    table = load(
        "all: {retry: {max_attempts: 9, jitter: none}}\n"
        "grpc:\n  all: {retry: off}\n"
        "  methods: {a.B/C: {retry: {max_attempts: 2}}}\n"
    )
    retry = grpc(table).retry

    assert (2, "full") == (retry.max_attempts, retry.backoff.jitter)
    assert 2 == retry.codes["INTERNAL"].max_attempts


def test_code_rules_merge():
    """A code's rule merges leaf by leaf with the edition's."""
    table = load("grpc: {all: {retry: {codes: {INTERNAL: {max_attempts: 3}}}}}\n")
    rule = grpc(table).retry.codes["INTERNAL"]

    assert (3, 1.0) == (rule.max_attempts, rule.backoff.initial_s)


def test_code_rule_off():
    """`off` takes a code's rule away."""
    table = load("grpc: {all: {retry: {codes: {INTERNAL: off}}}}\n")

    assert {} == dict(grpc(table).retry.codes)


def test_grpc_codes_of_all_stay_with_grpc():
    """A rule for gRPC's INTERNAL in `all` is not a rule for AWS or functions."""
    table = load("all: {retry: {codes: {INTERNAL: {max_attempts: 2}, X: {}}}}\n")

    assert ["X"] == list(table.policy_for("aws", "s3", "s3", "Op").retry.codes)
    assert ["X"] == list(table.policy_for("app", "a", "a", "b").retry.codes)
    assert {"INTERNAL", "X"} == set(grpc(table).retry.codes)


def test_later_file_overlays_at_the_same_level():
    """A later file wins at its level; a more specific rule of an earlier one stays."""
    table = load(
        "all: {timeout: 1s, attempt_timeout: 500ms}\n"
        "grpc: {methods: {a.B/C: {timeout: 3s}}}\n",
        "all: {timeout: 2s}\n",
    )

    assert (2.0, 0.5) == (
        grpc(table, method="D").timeout_s,
        grpc(table, method="D").attempt_timeout_s,
    )
    assert 3.0 == grpc(table).timeout_s
    assert "1.yaml:3" == leaf(table, "timeout", where=("x", "a.B", "D")).source


def test_overlay_needs_no_version():
    """Only the first file must name the version of the format."""
    first = 'version: 1\nedition: "2026.11"\nname: one\n'
    table = policy.load([("a", first), ("b", "name: two\nmode: observe\n")])

    assert ("two", "observe") == (table.name, table.mode)


# -- modes -------------------------------------------------------------------------


def test_mode_is_merged():
    """Sections, targets and methods override the root mode."""
    table = load(
        "mode: observe\n"
        "grpc: {mode: enforce, methods: {a.B/C: {mode: bypass}}}\n"
        "aws: {operations: {s3.*: {mode: enforce}}}\n"
    )

    assert ["bypass", "enforce", "enforce", "observe"] == [
        grpc(table).mode,
        grpc(table, method="D").mode,
        table.policy_for("aws", "s3", "s3", "Op").mode,
        table.policy_for("app", "a", "a", "b").mode,
    ]


@pytest.mark.parametrize(
    ("mechanism", "rule", "expected"),
    [
        ("enforce", "enforce", "enforce"),
        ("observe", "enforce", "observe"),
        ("enforce", "observe", "observe"),
        ("bypass", "enforce", None),
        ("enforce", "bypass", None),
    ],
)
def test_a_mechanism_has_the_weaker_mode(mechanism, rule, expected):
    """A mechanism's mode is the weaker of its own and the rule's; bypass is off."""
    found = grpc(load(f"all: {{mode: {rule}, breaker: {{mode: {mechanism}}}}}\n"))

    assert expected == (found.breaker.mode if found.breaker else None)


def test_a_weaker_engine_mode_caps_everything():
    """The engine's switch holds for sections that say otherwise."""
    table = load("mode: enforce\ngrpc: {methods: {a.B/C: {mode: enforce}}}\n")

    assert ["bypass", "observe", "enforce"] == [
        grpc(table, mode=mode).mode for mode in ("bypass", "observe", "enforce")
    ]


def test_a_stronger_engine_mode_keeps_what_sections_say():
    """A section written as observe stays so when the engine enforces."""
    table = load("mode: observe\ngrpc: {methods: {a.B/C: {mode: observe}}}\n")

    assert "observe" == grpc(table, mode="enforce").mode
    assert "enforce" == grpc(table, method="D", mode="enforce").mode


# -- conflicts with a wider rule --------------------------------------------------


def test_attempt_timeout_is_cut_to_timeout():
    """An inherited attempt timeout above the timeout is cut, with a note."""
    table = load("all: {attempt_timeout: 3s}\ngrpc: {all: {timeout: 2s}}\n")

    assert 2.0 == grpc(table).attempt_timeout_s
    assert "cut to timeout, 2s" == leaf(table, "attempt_timeout").note


def test_the_inherited_value_gives_way():
    """The less specific of two conflicting values gives way, whichever it is."""
    table = load(
        "all: {retry: {initial_backoff: 20s}, breaker: {open_for: 30s, probes: 1}}\n"
        "grpc: {all: {breaker: {concurrent_probes: 3, window: 10 calls}}}\n"
    )
    found = grpc(table)

    assert (20.0, 20.0) == (found.retry.backoff.initial_s, found.retry.backoff.max_s)
    assert (30.0, 30.0) == (found.breaker.open_for_s, found.breaker.max_open_for_s)
    assert (3, 3) == (found.breaker.probes, found.breaker.concurrent_probes)
    assert (10, 10) == (found.breaker.window_calls, found.breaker.min_calls)
    assert "gave way" in leaf(table, "breaker.max_open_for").note


def test_waits_of_a_code_keep_within_the_maximum():
    """A code's inherited first wait gives way to a written maximum."""
    table = load("grpc: {all: {retry: {max_backoff: 500ms}}}\n")
    rule = grpc(table).retry.codes["INTERNAL"]

    assert (0.5, 0.5) == (rule.backoff.initial_s, rule.backoff.max_s)


# -- sources ----------------------------------------------------------------------


def test_sources():
    """Each value names the file and line, the edition, or the profile it is from."""
    table = load("all:\n  timeout: 5s\n")
    where = ("s3", "s3", "GetObject")

    assert ["0.yaml:4", "edition 2026.11", "profile aws-standard-2.1"] == [
        leaf(table, "timeout").source,
        leaf(table, "retry.max_attempts").source,
        leaf(table, "retry.max_attempts", protocol="aws", where=where).source,
    ]
