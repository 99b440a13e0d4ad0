"""C-core's own retry scenarios (test/core/end2end/tests/retry_*.cc): none is missing.

Each is a test of the same name against a real counterpart, in this folder, and runs in
every style of call. What is left out only makes sense inside C-core: how operations are
batched, and how it counts references.
"""

import ast
from pathlib import Path

import pytest


SCENARIOS = [
    "retry",
    "retry_cancel_after_first_attempt_starts",
    "retry_cancel_during_delay",
    "retry_cancel_with_multiple_send_batches",
    "retry_cancellation",
    "retry_disabled",
    "retry_exceeds_buffer_size_in_delay",
    "retry_exceeds_buffer_size_in_initial_batch",
    "retry_exceeds_buffer_size_in_subsequent_batch",
    "retry_lb_drop",
    "retry_lb_fail",
    "retry_non_retriable_status",
    "retry_non_retriable_status_before_recv_trailing_metadata_started",
    "retry_per_attempt_recv_timeout",
    "retry_per_attempt_recv_timeout_on_last_attempt",
    "retry_recv_initial_metadata",
    "retry_recv_message",
    "retry_recv_message_replay",
    "retry_recv_trailing_metadata_error",
    "retry_send_op_fails",
    "retry_server_pushback_delay",
    "retry_server_pushback_disabled",
    "retry_streaming",
    "retry_streaming_after_commit",
    "retry_streaming_succeeds_before_replay_finished",
    "retry_throttled",
    "retry_too_many_attempts",
    "retry_transparent_goaway",
    "retry_transparent_max_concurrent_streams",
    "retry_transparent_not_sent_on_wire",
    "retry_unref_before_finish",
    "retry_unref_before_recv",
]
LEFT_OUT = {"retry_send_recv_batch", "retry_send_initial_metadata_refs"}


def functions():
    """The tests of this folder's scenario modules, by name."""
    found = {}
    for path in Path(__file__).parent.glob("test_core_retry_*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = node
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_has_a_test(scenario):
    """It bears the scenario's name, says what must happen, and checks it."""
    test = functions()[f"test_{scenario}"]
    assert ast.get_docstring(test)
    assert any(isinstance(node, ast.Assert) for node in ast.walk(test))
    assert "make_client" in [argument.arg for argument in test.args.args]


def test_no_test_has_a_name_that_only_looks_like_a_scenario():
    """A test whose name begins as a scenario's is one."""
    named = {name[5:] for name in functions() if name.startswith("test_retry")}
    assert set(SCENARIOS) == named
    assert not LEFT_OUT & named
