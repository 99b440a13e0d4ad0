"""The behaviour tables, each row on every driver."""

import pytest

from tests.spec import (
    breaker_rows,
    mode_rows,
    pushback_rows,
    retry_rows,
    time_rows,
)
from tests.spec.drivers import run
from tests.spec.story import Row


ROWS: list[Row] = [
    *retry_rows.ROWS,
    *pushback_rows.ROWS,
    *time_rows.ROWS,
    *breaker_rows.ROWS,
    *mode_rows.ROWS,
]


@pytest.mark.parametrize(
    ("row", "driver"),
    [
        pytest.param(row, driver, id=f"{row.says} [{driver}]")
        for row in ROWS
        for driver in row.drivers
    ],
)
def test_behaviour(row, driver) -> None:
    """The story is the row's, whichever driver tells it."""
    told, binding = run(driver, row)
    expected = "\n".join(line.strip() for line in row.story.strip().splitlines())

    assert expected == told
    if binding.breaker is not None:
        assert binding.breaker._leases == {}


def test_the_tables_are_large_enough() -> None:
    """Each sentence is said once, and most are said on all drivers."""
    said = [row.says for row in ROWS]

    assert len(said) == len(set(said)) >= 40
    assert sum(len(row.drivers) == 5 for row in ROWS) >= 40
