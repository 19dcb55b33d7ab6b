"""The graph of a run's steps: who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longshore.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Graph:
    """Steps by name, without cycles.

    Attributes:
        before: the steps that each one waits for, in the order given, each once.
        after: the steps that wait for each one.
        sorted: all steps, each after those that it waits for; among equals in the order given.
    """

    before: Mapping[str, tuple[str, ...]]
    after: Mapping[str, tuple[str, ...]]
    sorted: tuple[str, ...]

    @classmethod
    def of(cls, depends_on: Mapping[str, Iterable[str]]) -> Graph:
        """Make the graph in which each step waits for those that `depends_on` names.

        Raises:
            InvalidRequest: a step waits for one that is not there, or, over others, for itself;
                the message names all steps of the cycle.
        """
        before = {name: tuple(dict.fromkeys(earlier)) for name, earlier in depends_on.items()}
        after: dict[str, list[str]] = {name: [] for name in before}
        for name, earlier in before.items():
            for each in earlier:
                if each not in after:
                    raise InvalidRequest(
                        f"Step {name!r} depends on {each!r}, which is no step of this workflow."
                    )
                after[each].append(name)
        return cls(
            before=before,
            after={name: tuple(later) for name, later in after.items()},
            sorted=_sorted(before, after),
        )

    def ancestors(self, name: str) -> set[str]:
        """Return all steps that `name` waits for, directly or over others."""
        found: set[str] = set()
        open_names = [name]
        while open_names:
            for earlier in self.before[open_names.pop()]:
                if earlier not in found:
                    found.add(earlier)
                    open_names.append(earlier)
        return found


def cycle(depends_on: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return the steps of a cycle, each depending on the next and the last one on the first.

    None where there is no cycle. Steps that are not there are passed over.
    """
    before = {
        name: tuple(each for each in dict.fromkeys(earlier) if each in depends_on)
        for name, earlier in depends_on.items()
    }
    after: dict[str, list[str]] = {name: [] for name in before}
    for name, earlier in before.items():
        for each in earlier:
            after[each].append(name)
    ordered = _settled(before, after)
    rest = {name for name in before if name not in set(ordered)}
    if not rest:
        return None
    # Each step of the rest waits for another of the rest: whoever follows them comes round.
    name = next(name for name in before if name in rest)
    seen: dict[str, int] = {}
    path: list[str] = []
    while name not in seen:
        seen[name] = len(path)
        path.append(name)
        name = next(each for each in before[name] if each in rest)
    return path[seen[name] :]


def _sorted(
    before: Mapping[str, tuple[str, ...]], after: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    ordered = _settled(before, after)
    if len(ordered) == len(before):
        return tuple(ordered)
    found = cycle(before) or []
    raise InvalidRequest(
        f"The steps wait for each other in a circle: {' -> '.join([*found, *found[:1]])}, where "
        "each depends on the next. Take one of these out of a depends_on.",
        details={"cycle": found},
    )


def _settled(
    before: Mapping[str, tuple[str, ...]], after: Mapping[str, Iterable[str]]
) -> list[str]:
    """Return the steps that can ever be reached, each after those that it waits for."""
    missing = {name: len(earlier) for name, earlier in before.items()}
    ordered = [name for name, count in missing.items() if count == 0]
    for name in ordered:  # It grows while it is walked along.
        for later in after[name]:
            missing[later] -= 1
            if missing[later] == 0:
                ordered.append(later)
    return ordered
