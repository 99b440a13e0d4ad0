"""Text and data in, one table or every problem out."""

import textwrap
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resilience import policy
from resilience.errors import PolicyError


HEAD = 'version: 1\nedition: "2026.11"\n'


def codes(*texts):
    with pytest.raises(PolicyError) as caught:
        policy.load([(f"{i}.yaml", text) for i, text in enumerate(texts)])
    return [(problem.file, problem.code) for problem in caught.value.problems]


# -- hash ---------------------------------------------------------------------------


def table_hash(*texts):
    return policy.load([(f"{i}", HEAD + text) for i, text in enumerate(texts)]).hash


def test_hash_ignores_formatting():
    """The same content in another spelling and order has the same hash."""
    one = "name: a\nall: {timeout: 1s, hedging: off, retry: {max_attempts: 2}}\n"
    other = textwrap.dedent("""\
        # a comment
        all:
            retry:
                max_attempts:    2
            hedging: false
            timeout: "1000ms"
        name: "a"
        """)

    assert table_hash(one) == table_hash(other)


def test_hash_of_an_overlay():
    """Two files that overlay to one policy have that policy's hash."""
    assert table_hash("all: {timeout: 2s}\n") == table_hash(
        "all: {timeout: 1s}\n", "all: {timeout: 2s}\n"
    )


@pytest.mark.parametrize(
    "text", ["all: {timeout: 2s}\n", "name: b\n", "mode: observe\n", "state: host\n"]
)
def test_hash_shows_a_change(text):
    """Another content has another hash."""
    assert table_hash("") != table_hash(text)


def test_hash_is_twelve_digits():
    """The hash is twelve hexadecimal digits, the same in each process."""
    assert "932ca7ba0730" == policy.built_in().hash


# -- refusals -----------------------------------------------------------------------


def test_problems_of_all_files():
    """Problems of every file come in one run, file after file."""
    assert [
        ("0.yaml", "bare-number"),
        ("1.yaml", "unknown-word"),
        ("1.yaml", "unknown-key"),
    ] == codes(f"{HEAD}all: {{timeout: 5}}\n", "mode: of\ntimout: 5s\n")


def test_huge_text_is_refused_fast():
    """Ten megabytes are refused by their size, unparsed."""
    text = HEAD + "# " + "x" * 10_000_000
    before = time.perf_counter()

    assert [("0.yaml", "too-large")] == codes(text)
    assert time.perf_counter() - before < 1


def test_huge_file_is_not_read(tmp_path):
    """Of a huge file no more is read than shows that it is too large."""
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(10_000_000)

    with pytest.raises(PolicyError) as caught:
        policy.load_files([path])
    assert ["too-large"] == [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("text", ["[" * 9999, "{a: " * 9999, "- " * 9999])
def test_deep_text(text):
    """Deep nesting is a problem like any other."""
    assert [("0.yaml", "too-deep")] == codes(text)


def test_many_problems_are_cut():
    """A file of another kind does not bury its reader."""
    text = HEAD + "all:\n" + "".join(f"  k{i}: 1\n" for i in range(5000))
    found = codes(text)

    assert (501, "too-many") == (len(found), found[-1][1])


def test_byte_order_mark():
    """A byte order mark, as some editors write it, is no content."""
    assert policy.load([("p", b"\xef\xbb\xbf" + HEAD.encode())]).name == "default"


def test_edition_left_out():
    """Without an edition the first one holds, for ever, and a notice says so."""
    table = policy.load([("p", "version: 1\n")])

    assert "2026.11" == table.edition
    assert ("no edition is written: the values of 2026.11 hold",) == table.notices


def test_notices_of_what_is_not_acted_on():
    """Nothing is: shared state, a limiter, hedges and either breaker act."""
    rules = "{limiter: on, hedging: {hedging_delay: 5ms}, breaker: {kind: adaptive}}"
    table = policy.load([("p", f"{HEAD}state: host\nall: {rules}\n")])

    assert not table.notices


# -- data ---------------------------------------------------------------------------


def test_mapping():
    """A mapping is read as the file's form, `version` optional."""
    table = policy.load_mapping(
        {"all": {"timeout": "5s", "breaker": False, "retry": {"retry_on": ("X",)}}}
    )
    found = table.policy_for("app", "a", "a", "b")

    assert (5.0, None, frozenset({"X"})) == (
        found.timeout_s,
        found.breaker,
        found.retry.retry_on,
    )


def test_bad_mapping():
    """Data is refused as text is, without a line."""
    data = {
        "all": {"timeout": None, 3: 4, "retry": {"backoff_multiplier": float("nan")}}
    }
    with pytest.raises(PolicyError) as caught:
        policy.load_mapping(data)

    assert {"null", "bad-key", "not-finite"} <= {
        problem.code for problem in caught.value.problems
    }
    assert {0} == {problem.line for problem in caught.value.problems}


def test_endless_mapping():
    """A mapping that holds itself, twice, ends in a problem."""
    data = {}
    data["all"] = data["grpc"] = data
    with pytest.raises(PolicyError) as caught:
        policy.load_mapping(data)

    assert "too-deep" == caught.value.problems[0].code


# -- anything at all ----------------------------------------------------------------

words = st.sampled_from(
    [
        "version: 1",
        "all:",
        "  retry:",
        "  timeout: 5s",
        "    max_attempts: 3",
        "grpc: {methods: {a.B/C: ",
        "off",
        "[default]",
        "{",
        "}",
        "- ",
        "&a",
        "*a",
        "<<",
        "!!str",
        "null",
        ".nan",
        "0x1",
        "? ",
        ": ",
        "\n",
        "\t",
        "---",
        '"\\e"',
        "breaker: {window: ",
        "5 calls",
        "2001-01-01",
        "%TAG",
        "'",
        "|",
        ">",
    ]
)
junk_text = st.lists(st.one_of(words, st.text(max_size=8)), max_size=25)


@given(
    junk_text.flatmap(
        lambda parts: st.sampled_from(["", " ", "\n"]).map(
            lambda glue: glue.join(parts)
        )
    )
)
def test_any_text(text):
    """Whatever the text, it is a table or a PolicyError with problems."""
    check_any(text)


@given(st.binary(max_size=200))
def test_any_bytes(raw):
    """Whatever the bytes, it is a table or a PolicyError with problems."""
    check_any(raw)


KEYS = """
version edition name mode state all grpc aws app targets methods operations retry
retry_budget breaker hedging limiter timeout attempt_timeout codes retry_on overload
max_attempts window min_calls scope profile native_retries INTERNAL a.B/C s3.* ratio
kind initial_backoff max_backoff forced x
"""
keys = st.sampled_from(KEYS.split())
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-5, 2000),
        st.floats(),
        st.sampled_from(["5s", "off", "2026.11", "enforce", "safe", "100 calls"]),
        st.text(max_size=6),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.dictionaries(keys, values, max_size=4))
def test_any_data(data):
    """Whatever the data, it is a table whose policies compile, or a PolicyError."""
    table, problems = outcome(policy.load_mapping, data)

    assert (table is None) == bool(problems)
    assert_compiles(table)


def check_any(text):
    table, problems = outcome(policy.load, [("junk", text)])

    assert (table is None) == bool(problems)
    assert all(str(problem).replace("\n", "").isprintable() for problem in problems)
    assert_compiles(table)


def outcome(read, source):
    try:
        return read(source), ()
    except PolicyError as error:
        return None, error.problems


def assert_compiles(table):
    if table is None:
        return
    for protocol, service in (("grpc", "a.B"), ("aws", "s3"), ("app", "a.B")):
        assert table.policy_for(protocol, service, service, "C").criticality
        assert table.explain_leaves(protocol, service, service, "C")
