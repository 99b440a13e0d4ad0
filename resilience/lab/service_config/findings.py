"""What cannot be said: refused where somebody wrote it, left out where nobody did.

Only here it is decided which of the two it is, and where a value was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from resilience.errors import Problem
from resilience.policy.merge import Path, Source
from resilience.policy.narrowing import is_map


@dataclass(slots=True)
class Findings:
    """What one compilation could not say. Owned by it."""

    texts: Sequence[Source]
    refused: dict[tuple[str, str, str], Problem] = field(
        default_factory=dict[tuple[str, str, str], Problem]
    )
    """By file, key path and code: one written value is refused once."""
    left_out: dict[str, None] = field(default_factory=dict[str, None])
    """What holds without being written, in words, each once."""

    def cannot(
        self,
        levels: Sequence[Path],
        path: Path,
        message: str,
        *,
        found: str = "",
        hint: str = "",
    ) -> None:
        """Note that the value at *path* of a rule cannot be said.

        Args:
            levels: the places that speak about the calls, the least specific first.
            path: key path inside a rule.
            message: why not, as a sentence without its subject.
            found: the value as written.
            hint: what to do instead.
        """
        place = self._written(levels, path)
        if place is None:
            self.left_out[f"{'.'.join(path)} (built in): {message}"] = None
            return
        source, whole = place
        problem = Problem(
            file=source.file,
            line=source.lines.get(whole, 0),
            column=source.columns.get(whole, 0),
            path=".".join(whole),
            code="not-in-service-config",
            found=found,
            message=message,
            hint=hint,
        )
        self.refused.setdefault((source.file, problem.path, message), problem)

    def is_written(self, levels: Sequence[Path], path: Path) -> bool:
        """Tell whether any text says something at *path* of a rule."""
        return self._written(levels, path) is not None

    def _written(
        self, levels: Sequence[Path], path: Path
    ) -> tuple[Source, Path] | None:
        """Return where the value that holds was written; None: nowhere."""
        for base in reversed(levels):
            for source in reversed(self.texts):
                if _has(source, (*base, *path)):
                    return source, (*base, *path)
        return None

    def problems(self) -> tuple[Problem, ...]:
        """Return what was refused, in the order of the files."""
        order = [source.file for source in self.texts]
        return tuple(
            sorted(
                self.refused.values(),
                key=lambda one: (order.index(one.file), one.line, one.column),
            )
        )


def _has(source: Source, path: Path) -> bool:
    found: object = source.values
    for key in path:
        if not is_map(found) or key not in found:
            return False
        found = found[key]
    return True
