"""C-core's retry scenarios (test/core/end2end/tests/retry_*.cc), as far as they decide.

Each names the behaviour row that says the same here. Those about bytes on the wire
(replay of messages, buffers, leaks) belong to the gRPC adapter.
"""

import pytest

from tests.spec.test_behaviour import ROWS


SCENARIOS = {
    "retry": "A failure is repeated and masked.",
    "retry_too_many_attempts": (
        "Attempts end with max_attempts, and the last status is the call's."
    ),
    "retry_non_retriable_status": "An answer that is not listed is not repeated.",
    "retry_recv_message": "After the first message there is no retry.",
    "retry_recv_initial_metadata": "After the first message there is no retry.",
    "retry_streaming_after_commit": (
        "An attempt that ends before its first message is repeated."
    ),
    "retry_server_pushback_delay": (
        "A pushback is kept to the letter and restarts the backoff."
    ),
    "retry_server_pushback_disabled": "A negative pushback ends the call.",
    "retry_throttled": "Tokens stop retries at half, and successes bring them back.",
    "retry_disabled": "Without a retry policy there is no retry.",
    "retry_cancel_during_delay": "A caller who leaves during a wait ends it at once.",
    "retry_cancellation": "A caller who leaves during an attempt cancels it.",
    "retry_cancel_after_first_attempt_starts": (
        "A caller who leaves a later attempt leaves its history."
    ),
    "retry_per_attempt_recv_timeout": (
        "After a silent attempt and an aborted one the third succeeds."
    ),
    "retry_per_attempt_recv_timeout_on_last_attempt": (
        "Attempts that never answer end with max_attempts."
    ),
    "retry_lb_drop": ("Half of four failures open it; then calls are rejected unsent."),
    "retry_lb_fail": "A write is repeated when it was refused.",
    "retry_send_op_fails": "Waits double up to the cap.",
    "retry_transparent_goaway": "Free repeats do not use up the others.",
    "retry_transparent_not_sent_on_wire": (
        "Ten failures that never left the client are ten free repeats."
    ),
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scenario_is_a_row(scenario) -> None:
    """The behaviour that the scenario asks for is said by one of our rows."""
    (row,) = [row for row in ROWS if row.says == SCENARIOS[scenario]]

    assert row.story.strip()
    assert len(row.drivers) == 5
