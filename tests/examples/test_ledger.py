"""The ledger tells attempts from effects, and survives its server."""

from examples.servers import ledger


def test_repeated_effect_is_a_duplicate(tmp_path):
    """Two executions of one intent are one duplicate; attempts are counted apart."""
    book = ledger.Ledger(tmp_path / "ledger")
    for _ in range(3):
        book.attempt("AddItem", "a")
    book.effect("AddItem", "a")
    book.effect("AddItem", "a")
    book.effect("AddItem", "b")

    entries = ledger.read(tmp_path / "ledger")

    assert entries.attempts_of("AddItem") == 3
    assert entries.effects_of("AddItem") == 3
    assert entries.duplicates_of("AddItem") == 1
    assert entries.duplicates_of("Charge") == 0


def test_key_is_remembered_by_the_next_server(tmp_path):
    """A key that was used before a crash executes nothing after it."""
    first = ledger.Ledger(tmp_path / "ledger")
    assert first.attempt("Charge", "a") == 1
    assert first.effect("Charge", "a", "key-1")

    second = ledger.Ledger(tmp_path / "ledger")

    assert second.attempt("Charge", "a") == 2
    assert not second.effect("Charge", "a", "key-1")
    assert second.effect("Charge", "a", "key-2")
    assert ledger.read(tmp_path / "ledger").duplicates_of("Charge") == 1


def test_missing_ledger_is_empty(tmp_path):
    """A server that never ran has done nothing."""
    assert ledger.read(tmp_path / "none").effects_of("Charge") == 0
