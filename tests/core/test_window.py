"""Windows count; they judge nothing."""

import pytest

from resilience.core.window import COLUMNS, MAX_BUCKETS, CountWindow, TimeWindow, Totals


def test_an_empty_window_has_ratios_of_zero() -> None:
    """With no calls, no ratio is bad."""
    totals = TimeWindow(10).totals(0)

    assert totals == Totals(0, 0, 0)
    assert (totals.failure_ratio, totals.slow_ratio) == (0, 0)


def test_a_count_window_keeps_the_newest_results() -> None:
    """The oldest result leaves a full window, with all that it counted."""
    window = CountWindow(3)
    window.add(0, failed=True, slow=True)
    for _ in range(2):
        window.add(0, failed=True, slow=False)

    assert window.totals(0) == Totals(3, 3, 1)

    window.add(0, failed=False, slow=True)

    assert window.totals(0) == Totals(3, 2, 1)


def test_a_time_window_forgets_by_buckets() -> None:
    """A result is inside for the window's length, the running second included."""
    window = TimeWindow(3)
    window.add(0.9, failed=True, slow=True)
    window.add(1.0, failed=True, slow=False)
    window.add(2.5, failed=False, slow=True)

    assert window.totals(2.9) == Totals(3, 2, 2)
    assert window.totals(3.0) == Totals(2, 1, 1)
    assert window.totals(4.0) == Totals(1, 0, 1)
    assert window.totals(5.0) == Totals(0, 0, 0)


def test_a_long_silence_empties_a_time_window() -> None:
    """After a pause of many windows nothing old is left, and counting goes on."""
    window = TimeWindow(3)
    for moment in range(3):
        window.add(moment, failed=True, slow=True)
    window.add(1e6, failed=False, slow=False)

    assert window.totals(1e6) == Totals(1, 0, 0)


def test_a_late_moment_counts_in_the_running_bucket() -> None:
    """Time that seems to go back (another thread was quicker) loses no result."""
    window = TimeWindow(3)
    window.add(10.0, failed=False, slow=False)
    window.add(8.9, failed=True, slow=False)

    assert window.totals(10.0) == Totals(2, 1, 0)
    assert window.totals(8.0) == Totals(2, 1, 0)


@pytest.mark.parametrize("kind", [CountWindow, TimeWindow])
def test_adding_says_whether_anything_is_wrong(kind) -> None:
    """Only a window with something bad inside has to be judged."""
    window = kind(5)

    assert window.add(0, failed=False, slow=False)
    assert not window.add(0, failed=True, slow=False)
    assert not window.add(0, failed=False, slow=False)

    window.clear()

    assert window.add(0, failed=False, slow=False)
    assert not window.add(0, failed=False, slow=True)
    assert window.totals(0) == Totals(2, 0, 1)


def test_long_windows_have_coarser_buckets() -> None:
    """A window of an hour is no list of 3600 seconds."""
    window = TimeWindow(3600)
    window.add(0, failed=True, slow=False)

    assert len(window._cells) == COLUMNS * MAX_BUCKETS
    assert window.totals(3599).calls == 1
    assert window.totals(3600).calls == 0
