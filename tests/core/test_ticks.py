"""The rings of evidence: light while little happens, and nothing in sight is lost."""

import random

import pytest

from resilience.core.ticks import (
    CELLS,
    HEAD_CELLS,
    LENGTH,
    OK,
    SHORT,
    SIGHT,
    TICK_CELLS,
    OwnRows,
    begin,
    make_cells,
    total_of,
    with_room,
)


def held(rows: OwnRows) -> int:
    """Ticks that the ring has places for."""
    return (len(rows.own) - HEAD_CELLS) // TICK_CELLS


def live(rows: OwnRows, ticks: list[int]) -> None:
    """Begin *ticks* one after the other, with as many good results as its number."""
    for tick in ticks:
        rows.turn(tick / 10, tick, 0.1, 1.0)
        own = rows.own
        own[begin(own, tick) + OK] = tick


def test_a_scope_that_is_called_rarely_stays_light() -> None:
    """Ticks far apart need no more places than a new ring has."""
    rows = OwnRows()
    live(rows, [*range(1, 5000, SIGHT + 1)])

    assert held(rows) == SHORT


@pytest.mark.parametrize(("is_alarmed", "sight"), [(False, SIGHT), (True, LENGTH)])
@pytest.mark.parametrize("most_apart", [1, 3, 30])
def test_nothing_in_sight_gives_way(is_alarmed, sight, most_apart) -> None:
    """The newest 16 ticks are kept, and 56 once something bad was seen."""
    draw, rows, tick = random.Random(most_apart), OwnRows(), 100
    if is_alarmed:
        rows.alarm(tick)
    begun: list[int] = []
    for _ in range(400):
        tick += draw.randint(1, most_apart)
        begun.append(tick)
        live(rows, [tick])
        seen = [each for each in begun[-sight:] if tick - each < sight]

        assert [rows.total(each).ok for each in seen] == seen
    assert len(rows.own) <= CELLS


def test_an_alarm_keeps_what_is_there() -> None:
    """A ring that grows has all that was in sight, and counts of the running tick."""
    rows = OwnRows()
    live(rows, [*range(1000, 1012)])
    rows.own[0] = 77
    rows.alarm(1011)
    live(rows, [*range(1012, 1000 + LENGTH)])

    assert held(rows) == LENGTH
    assert rows.own[0] == 77
    assert sum(rows.total(tick).ok for tick in range(1000, 1000 + LENGTH)) == sum(
        range(1000, 1000 + LENGTH)
    )


def test_an_empty_place_hides_no_tick() -> None:
    """Growing a ring that is not full keeps the tick that empty places point to."""
    cells = make_cells(SHORT)
    for tick in (LENGTH * 20, LENGTH * 20 + SHORT - 1):
        cells[begin(cells, tick) + OK] = 5
    grown = with_room(cells, LENGTH * 20 + SHORT, LENGTH)

    assert len(grown) > len(cells)
    assert total_of((grown,), LENGTH * 20).ok == 5
