"""What an attempt tells those who serve it, and what the layer above hears."""

import pytest

from resilience.core.breaker import Permit, Refusal
from resilience.core.event import ARRIVED
from resilience.core.hop import NO_MARKS, Marks, level_of, marks_of, word_above
from resilience.core.outcome import Outcome
from resilience.core.scope import Scope
from resilience.core.target import Facts
from resilience.core.unanswered import lacks_answer
from tests.core.policies import RESET, bind, breaker, call, done, finish_of, policy


SHED = Outcome("UNAVAILABLE", "local", "maybe", shed=True)


def adaptive(**more):
    return policy(breaker=breaker(kind="adaptive", **more))


def opened(scope, made):
    """The breaker of *made* in *scope*, opened at 100 s."""
    found = scope.breaker(made.breaker)
    found.admit(100.0, lambda: 0.5)
    found.move("open", 100.0)
    return found


def due(limiting):
    """When it lets a probe of the highest level through."""
    return limiting.admit(100.0, lambda: 0.999).retry_at + 0.001


@pytest.mark.parametrize(
    ("reason", "sent", "expected"),
    [
        ("breaker-open", 0, "shed"),
        ("limiter", 0, "shed"),
        ("shed", 1, "shed"),
        ("breaker-open", 1, "given-up"),
        ("retry-budget", 2, "given-up"),
        ("deadline", 0, "given-up"),
        ("attempts-exhausted", 3, "given-up"),
        ("not-retryable", 1, ""),
        ("cancelled", 0, ""),
    ],
)
def test_the_layer_above_hears_one_word(reason, sent, expected):
    """A refusal before anything was sent is a shed; what was sent has failed."""
    assert expected == word_above(reason, sent=sent)


def test_a_level_moves_with_the_class_and_keeps_its_place():
    """A handler that lowers its criticality keeps the draw of its work."""
    facts = Facts(level=0.25, criticality="sheddable")
    assert 0.25 / 4 == level_of(facts, "critical", None)

    facts = facts._replace(criticality=None)
    assert 2.25 / 4 == level_of(facts, "critical", None)


def test_a_fallback_may_answer_a_shed():
    """Nobody has answered the call, so somebody else may."""
    assert lacks_answer("local", "UNKNOWN", "shed", sent=1)
    assert not lacks_answer("local", "UNKNOWN", "not-retryable", sent=1)


def test_a_healthy_call_tells_nothing_new():
    """Neither level nor mark, while no breaker limits."""
    made = call(adaptive())
    made.advance(ARRIVED, 100.0)

    assert Marks(0, "critical") == marks_of(made, 1, "critical")
    assert NO_MARKS == Marks()


def test_who_passes_a_limiting_breaker_tells_level_and_mark():
    """A probe of an open breaker says so, and only with its own attempt."""
    scope, made = Scope("s", 0.0), adaptive()
    moment = due(opened(scope, made))
    found = call(bind(made, scope), Facts(level=0.999))

    found.advance(ARRIVED, moment)

    assert Marks(0, "critical", pytest.approx(0.999), is_probe=True) == marks_of(
        found, 1, "critical"
    )
    assert not marks_of(found, 2, "critical").is_probe


def test_an_observing_breaker_tells_nothing():
    """What is only watched changes nothing for anybody."""
    scope, made = Scope("s", 0.0), adaptive(mode="observe")
    moment = due(opened(scope, made))
    found = call(bind(made, scope), Facts(level=0.999))

    found.advance(ARRIVED, moment)

    assert Marks(0, "critical") == marks_of(found, 1, "critical")


def test_a_mark_admits_one_attempt():
    """The mark of a layer above is for one attempt, not for what repeats it."""
    scope, made = Scope("s", 0.0), adaptive()
    limiting = opened(scope, made)
    found = call(bind(made, scope), Facts(level=0.0, is_probe=True))
    assert found.is_marked

    found.advance(ARRIVED, 100.0)

    assert not found.is_marked
    answer = limiting.admit(100.0, lambda: 0.5, caller=found)
    assert isinstance(answer, Refusal)


def test_a_mark_is_a_probe():
    """It is counted as one of the breaker's own."""
    scope, made = Scope("s", 0.0), adaptive()
    limiting = opened(scope, made)
    found = call(bind(made, scope), Facts(level=0.0, is_probe=True))

    answer = limiting.admit(100.0, lambda: 0.5, caller=found)

    assert isinstance(answer, Permit)
    assert answer.probe
    assert limiting.probes == 1


def test_a_shed_is_never_repeated_and_no_evidence():
    """Two hundred sheds of a lower layer move no breaker."""
    scope, made = Scope("s", 0.0), adaptive()
    for number in range(200):
        found = call(bind(made, scope))
        found.advance(ARRIVED, number / 10)
        assert "shed" == finish_of(done(found, 1, SHED, number / 10 + 0.01)).reason

    assert "closed" == scope.breaker(made.breaker).state


def test_failures_are_evidence_where_sheds_are_none():
    """The same number of resets cuts."""
    scope, made = Scope("s", 0.0), adaptive()
    for number in range(50):
        found = call(bind(made, scope))
        if found.advance(ARRIVED, number / 10).commands[0].number:
            done(found, 1, RESET, number / 10 + 0.01)

    assert "closed" != scope.breaker(made.breaker).state


def test_after_a_shed_levels_are_told_for_a_while():
    """Ten seconds, so that every layer can shed the same calls."""
    scope, made = Scope("s", 0.0), adaptive()
    first = call(bind(made, scope))
    first.advance(ARRIVED, 100.0)
    done(first, 1, SHED, 101.0)

    told = []
    for moment in (110.9, 111.1):
        found = call(bind(made, scope))
        found.advance(ARRIVED, moment)
        told.append(marks_of(found, 1, "critical").level)

    assert [0.5, None] == told
