"""A policy as a service config: what is said, what is refused, what is left out."""

import pytest

from resilience import policy
from resilience.lab.service_config import compile_service_config


QUIET = """
version: 1
edition: "2026.11"
all: {breaker: off, retry_budget: off, retry: {codes: {INTERNAL: off}}}
"""
WAITS = "initial_backoff: 250ms, max_backoff: 2s, backoff_multiplier: 1.5"


def compiled(text, **options):
    return compile_service_config(policy.load([("p.yaml", QUIET + text)]), **options)


def methods(text, **options):
    return compiled(text, **options).config.get("methodConfig", [])


def refusals(text, **options):
    return [
        (problem.path, problem.line, problem.column)
        for problem in compiled(text, **options).problems
    ]


def test_nothing_written():
    """A policy that says nothing gives a config that changes no call."""
    found = compile_service_config(policy.built_in())

    assert {"loadBalancingConfig": [{"round_robin": {}}]} == found.config
    assert () == found.problems


def test_built_in_values_are_left_out_by_name():
    """What nobody wrote is no refusal, but it is named."""
    left_out = compile_service_config(policy.built_in()).left_out
    named = {text.partition(" ")[0] for text in left_out}

    assert {"breaker", "retry_budget", "retry.jitter", "retry_buffer"} <= named


def test_retry_policy():
    """Retries of a method that calls a repeat harmless are said word for word."""
    text = f"""
grpc:
  methods:
    shop.Cart/Get: {{idempotency: safe, retry: {{max_attempts: 4, {WAITS}}}}}
"""
    assert [
        {
            "name": [{"service": "shop.Cart", "method": "Get"}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.25s",
                "maxBackoff": "2s",
                "backoffMultiplier": 1.5,
                "retryableStatusCodes": ["INTERNAL", "UNAVAILABLE"],
            },
        }
    ] == methods(text)
    assert [] == refusals(text)


@pytest.mark.parametrize("word", ["auto", "none"])
def test_no_retry_policy_where_a_repeat_may_harm(word):
    """Codes alone cannot tell what was executed: then nothing is repeated."""
    text = f"grpc: {{methods: {{shop.Cart/*: {{idempotency: {word}}}}}}}"
    found = compiled(text)

    assert "methodConfig" not in found.config
    assert any(line.startswith("shop.Cart/*: idempotency") for line in found.left_out)


def test_duplicates_that_are_accepted():
    """A method that bears duplicates is retried like a safe one."""
    text = "grpc: {methods: {shop.Cart/*: {idempotency: accept_duplicates}}}"
    (only,) = methods(text)

    assert [{"service": "shop.Cart"}] == only["name"]
    assert 3 == only["retryPolicy"]["maxAttempts"]


def test_methods_inherit_nothing_from_each_other():
    """A method's own entry repeats what its service's says: gRPC does not merge."""
    text = """
grpc:
  channel: {wait_for_ready: true}
  methods:
    shop.Cart/*: {idempotency: safe}
    shop.Cart/Get: {timeout: 3s}
"""
    (whole, of_service, of_method) = methods(text, timeouts=True)

    assert ({"waitForReady": True}, [{}]) == (
        {key: whole[key] for key in whole if key != "name"},
        whole["name"],
    )
    assert of_service["retryPolicy"] == of_method["retryPolicy"]
    assert ("3s", True) == (of_method["timeout"], of_method["waitForReady"])


def test_an_empty_entry_guards_its_method():
    """A method without retries keeps the entry of its service away."""
    text = """
grpc:
  methods:
    shop.Cart/*: {idempotency: safe}
    shop.Cart/Pay: {retry: off}
    shop.Cart/Buy: {mode: bypass}
"""
    guarded = [entry for entry in methods(text) if "retryPolicy" not in entry]

    assert [
        {
            "name": [
                {"service": "shop.Cart", "method": "Pay"},
                {"service": "shop.Cart", "method": "Buy"},
            ]
        }
    ] == guarded


def test_rules_of_a_target():
    """The named target's rules hold; without a name they are named as left out."""
    text = """
grpc:
  all: {idempotency: safe}
  targets: {cart: {retry: {max_attempts: 2}}, pay: {retry: off}}
"""
    assert 2 == methods(text, target="cart")[0]["retryPolicy"]["maxAttempts"]
    assert [] == methods(text, target="pay")
    assert "rules of targets (cart, pay): --target names one" in compiled(text).left_out
    assert (
        "no rule is written for target card" in compiled(text, target="card").left_out
    )


def test_tokens():
    """A budget of tokens is retryThrottling, once for the channel."""
    text = """
grpc:
  all:
    idempotency: safe
    retry_budget: {kind: tokens, max_tokens: 20, token_ratio: 0.25}
"""
    assert {"maxTokens": 20, "tokenRatio": 0.25} == compiled(text).config[
        "retryThrottling"
    ]


def test_half_a_token():
    """C-core takes whole tokens only: a fraction would make every call fail."""
    text = "grpc: {all: {idempotency: safe, retry_budget: {max_tokens: 2.5}}}"

    assert ["grpc.all.retry_budget.max_tokens"] == [p for p, _, _ in refusals(text)]
    assert 2 == compiled(text).config["retryThrottling"]["maxTokens"]


def test_two_budgets():
    """A method with tokens of its own is refused: the channel has one throttle."""
    text = """
grpc:
  all: {idempotency: safe, retry_budget: {max_tokens: 10}}
  methods: {a.B/C: {retry_budget: {max_tokens: 20}}}
"""
    assert ["grpc.methods.a.B/C.retry_budget"] == [p for p, _, _ in refusals(text)]


def test_channel():
    """Balancing, health, readiness and message sizes of a channel are said."""
    text = """
grpc:
  channel:
    load_balancing: round_robin
    health_check: shop.Cart
    wait_for_ready: true
    max_send_size: 1MiB
    max_receive_size: 64KiB
"""
    assert {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": "shop.Cart"},
        "methodConfig": [
            {
                "name": [{}],
                "waitForReady": True,
                "maxRequestMessageBytes": 1 << 20,
                "maxResponseMessageBytes": 1 << 16,
            }
        ],
    } == compiled(text).config


def test_hedging_policy():
    """Hedges after a fixed time are said, for a harmless method without retries."""
    text = """
grpc:
  methods:
    a.B/C: {idempotency: safe, retry: off, hedging: {hedging_delay: 50ms}}
"""
    (only,) = methods(text)

    assert {
        "maxAttempts": 2,
        "hedgingDelay": "0.05s",
        "nonFatalStatusCodes": ["UNAVAILABLE"],
    } == only["hedgingPolicy"]


# One written value each, and the key that is refused for it.
REFUSED = [
    ("all: {timeout: 5s}", "timeout"),
    ("all: {attempt_timeout: 1s}", "attempt_timeout"),
    ("all: {first_message_timeout: 1s}", "first_message_timeout"),
    ("all: {idle_timeout: 1s}", "idle_timeout"),
    ("all: {idempotency: keyed}", "idempotency"),
    ("all: {criticality: sheddable}", "criticality"),
    ("all: {retry: {jitter: equal}}", "retry.jitter"),
    ("all: {retry: {max_attempts: 6}}", "retry.max_attempts"),
    ("all: {retry: {retry_on: [ABORTED]}}", "retry.retry_on"),
    ("all: {retry: {overload: {initial_backoff: 1s}}}", "retry.overload"),
    ("all: {retry: {codes: {ABORTED: {max_attempts: 2}}}}", "retry.codes.ABORTED"),
    ("all: {retry_budget: {ratio: 0.1}}", "retry_budget"),
    ("all: {retry_buffer: {size: 2MiB}}", "retry_buffer"),
    ("all: {breaker: on}", "breaker"),
    ("all: {limiter: on}", "limiter"),
    ("all: {trust_transport_details: true}", "trust_transport_details"),
    ("all: {native_retries: forbid}", "native_retries"),
    ("all: {hedging: {hedging_delay: 1s}}", "hedging"),
    ("all: {retry: off, hedging: {hedging_delay: 1s}}", "hedging"),
    (
        "all: {idempotency: safe, retry: off, hedging: {hedging_delay: p95}}",
        "hedging.hedging_delay",
    ),
    ("channel: {keepalive: {time: 30s}}", "keepalive"),
    ("channel: {reconnect: {max_backoff: 5s}}", "reconnect"),
    ("channel: {resolve_interval: 5s}", "resolve_interval"),
    ("channel: {user_agent: shop}", "user_agent"),
    ("channel: {max_receive_size: 8MiB}", "max_receive_size"),
    ("channel: {max_receive_size: off}", "max_receive_size"),
]


@pytest.mark.parametrize(("text", "path"), REFUSED, ids=[text for text, _ in REFUSED])
def test_refused_by_name(text, path):
    """Each written value that cannot be said is refused where it stands."""
    line = len(QUIET.splitlines()) + 1
    home = text.partition(":")[0]

    assert [(f"grpc.{home}.{path}", line)] == [
        place[:2] for place in refusals(f"grpc: {{{text}}}")
    ]


def test_place():
    """A refusal names file, line and column of the value, and what to do."""
    text = "grpc:\n  all:\n    retry:\n      max_attempts: 9\n"
    (problem,) = compiled(text).problems
    line = len(QUIET.splitlines()) + 4

    assert ("p.yaml", line, 21, "not-in-service-config", "9") == (
        problem.file,
        problem.line,
        problem.column,
        problem.code,
        problem.found,
    )
    assert "write `max_attempts: 5`" == problem.hint


def test_one_value_is_refused_once():
    """A value that holds for many methods is one refusal."""
    text = "grpc: {all: {attempt_timeout: 1s}, methods: {a.B/*: {}, a.B/C: {}}}"

    assert ["grpc.all.attempt_timeout"] == [path for path, _, _ in refusals(text)]


def test_the_nearest_place_is_refused():
    """Of two files the one whose value holds is named."""
    table = policy.load(
        [
            ("a.yaml", QUIET + "grpc: {all: {idle_timeout: 1s}}"),
            ("b.yaml", "grpc:\n  all:\n    idle_timeout: 2s\n"),
        ]
    )
    (problem,) = compile_service_config(table).problems

    assert ("b.yaml", 3, 19) == (problem.file, problem.line, problem.column)


def test_timeouts_on_demand():
    """Timeouts are said when they are asked for."""
    text = "grpc: {all: {timeout: 1500ms}}"

    assert [{"name": [{}], "timeout": "1.5s"}] == methods(text, timeouts=True)
    assert [] == refusals(text, timeouts=True)


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_modes(mode):
    """Nothing acts in a mode that leaves calls alone, so nothing is said."""
    text = f"grpc: {{mode: {mode}, all: {{idempotency: safe, idle_timeout: 1s}}}}"
    found = compiled(text)

    assert ("methodConfig" not in found.config, ()) == (True, found.problems)
    assert (mode == "observe") == any("mode observe" in text for text in found.left_out)


def test_other_protocols_do_not_matter():
    """What is written for AWS or functions is none of gRPC's business."""
    text = "aws: {all: {attempt_timeout: 1s}}\napp: {all: {idle_timeout: 1s}}"

    assert [] == refusals(text)


def test_lengths_have_at_most_nine_digits():
    """A length is written so that protobuf's JSON can read it."""
    text = "grpc: {all: {idempotency: safe, retry: {initial_backoff: 3001us}}}"

    assert "0.003001s" == methods(text)[0]["retryPolicy"]["initialBackoff"]


def test_waits_that_hang_calls():
    """Waits of a millisecond or less, over which C-core's calls hang, are refused."""
    text = "grpc: {all: {idempotency: safe, retry: {initial_backoff: 1ms}}}"
    found = compiled(text)

    assert ["grpc.all.retry.initial_backoff"] == [p.path for p in found.problems]
    (only,) = found.config["methodConfig"]
    assert "0.002s" == only["retryPolicy"]["initialBackoff"]


def test_shared_state_is_refused():
    """Budgets shared by processes have no word."""
    table = policy.load_mapping({"state": "host"})
    (problem,) = compile_service_config(table).problems

    assert "state" == problem.path


def test_as_dict_has_stable_keys():
    """The answer as data has these keys."""
    found = compile_service_config(policy.built_in(), target="cart").as_dict()

    assert ["target", "config", "problems", "left_out"] == list(found)
    assert "cart" == found["target"]
