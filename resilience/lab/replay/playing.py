"""A replay: every recorded call arrives again, under another policy."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from resilience.core.record import Mode
from resilience.drivers.virtual import VirtualLoop
from resilience.policy import PolicyTable

from .answers import AHEAD_S, MOST_AHEAD, Answers, Certainty, counts
from .counting import Methods
from .differences import Difference, differs, why
from .fleet import Fleet
from .notes import notes_on
from .passage import Passage
from .reading import Contents, Reading, calls_of
from .recorded import Recorded
from .result import Replayed
from .sorting import IN_MEMORY, Sorter


MOST_EXAMPLES = 200
"""Examples of differences that are kept, of all methods together."""


class Player:
    """Plays calls, and counts what comes of them. Use it once."""

    def __init__(
        self,
        table: PolicyTable,
        *,
        mode: Mode | None,
        seed: int,
        examples: int,
        ahead_s: float,
        most_ahead: int,
    ) -> None:
        self._ahead = ahead_s, most_ahead
        self._loop = VirtualLoop()
        self._fleet = Fleet(table, self._loop, mode, seed)
        self._each = examples
        self._kept: Counter[tuple[str, str, str]] = Counter()
        self._began_at = 0.0
        self.methods = Methods()
        self.attempts = counts(())
        self.calls = counts(())
        self.differences: Counter[str] = Counter()
        self.differing = counts(())
        self.examples: list[Difference] = []
        self.breakers: Counter[tuple[str, str]] = Counter()
        self.bypassed = 0

    def play(self, calls: Iterator[Recorded], began_at: float) -> None:
        """Let all *calls* arrive, in their order; to the last event."""
        loop, fleet = self._loop, self._fleet
        loop.now = self._began_at = began_at
        ahead_s, most_ahead = self._ahead
        answers = Answers(calls, ahead_s=ahead_s, most_ahead=most_ahead)
        try:
            for recorded in answers:
                loop.run(until=recorded.arrived_at)
                call = fleet.call(recorded)
                if call is None:
                    self.bypassed += 1
                    continue
                Passage(loop, recorded, answers, self._ended).begin(call)
            loop.run()
        finally:
            fleet.close()

    def _ended(self, passage: Passage) -> None:
        recorded, ended = passage.recorded, passage.call_ended
        count = self.methods.of(recorded.target)
        count.recorded.add(recorded.ended, recorded.attempts)
        count.replayed.add(ended, passage.attempts)
        for change in passage.changes:
            self.breakers[change.scope, change.new] += 1
        for one in passage.certainties:
            self.attempts[one] += 1
        certainty = _least(passage.certainties)
        self.calls[certainty] += 1
        kind = differs(recorded.ended, ended)
        if kind is None:
            return
        self.differences[kind] += 1
        self.differing[certainty] += 1
        count.differences[kind] += 1
        target = recorded.target
        key = (target.name, target.full_method, kind)
        if self._kept[key] >= self._each or len(self.examples) >= MOST_EXAMPLES:
            return
        self._kept[key] += 1
        before = recorded.ended
        self.examples.append(
            Difference(
                call_id=before.call_id,
                at_s=round(recorded.arrived_at - self._began_at, 6),
                method=target.full_method,
                target=target.name,
                kind=kind,
                why=why(recorded, passage.attempts, ended),
                certainty=certainty,
                attempts=(before.attempts, ended.attempts),
                code=(before.outcome.code, ended.outcome.code),
                reason=(before.reason, ended.reason),
            )
        )


def _least(certainties: Sequence[Certainty]) -> Certainty:
    for one in ("unknown", "assumed"):
        if one in certainties:
            return one
    return "known"


def play(
    paths: Sequence[str | os.PathLike[str]],
    table: PolicyTable,
    *,
    mode: Mode | None = None,
    seed: int = 0,
    examples: int = 3,
    in_memory: int = IN_MEMORY,
    ahead_s: float = AHEAD_S,
    most_ahead: int = MOST_AHEAD,
) -> Replayed:
    """Read *paths* and play them under *table*; see `resilience.lab.replay.replay`."""
    with Sorter(in_memory) as sorter:
        contents: Contents = Reading(paths, sorter).read()
        with undisturbed():
            player = Player(
                table,
                mode=mode,
                seed=seed,
                examples=examples,
                ahead_s=ahead_s,
                most_ahead=most_ahead,
            )
            player.play(calls_of(sorter), contents.began_at or 0.0)
    return Replayed(
        policy={
            "name": table.name,
            "edition": table.edition,
            "mode": mode or table.mode,
            "state": table.state,
            "hash": table.hash,
            "files": list(table.sources),
        },
        contents=contents,
        methods=player.methods,
        attempts=player.attempts,
        calls=player.calls,
        differences=player.differences,
        differing=player.differing,
        examples=tuple(
            sorted(player.examples, key=lambda one: (one.at_s, one.call_id))
        ),
        breakers=player.breakers,
        bypassed=player.bypassed,
        notes=notes_on(contents, table, player.attempts),
    )


@contextmanager
def undisturbed() -> Iterator[None]:
    """No mode or control file of this machine's environment acts on a replay."""
    names = ("RESILIENCE_MODE", "RESILIENCE_CONTROL_FILE")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
