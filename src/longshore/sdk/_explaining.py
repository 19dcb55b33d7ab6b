"""From the explanations of single works to one of their run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from longshore import ids
from longshore.sdk.operations import Counts, Why, WorkInfo, WorkState

_REASONS_EXPLAINED = 5


def is_work(id: str) -> bool:  # noqa: A002
    """Return whether an id is a work's; otherwise it is taken for a run's or group's."""
    return id.startswith(f"{ids.WORK}_")


def to_explain(works: Iterable[WorkInfo]) -> list[WorkInfo]:
    """Return one work of each (state, reason) that needs an explanation, the commonest first."""
    open_works = [work for work in works if work.state is not WorkState.SUCCESS]
    frequency = Counter((work.state, work.reason) for work in open_works)
    first: dict[tuple[WorkState, str | None], WorkInfo] = {}
    for work in open_works:
        first.setdefault((work.state, work.reason), work)
    return [first[kind] for kind, _ in frequency.most_common(_REASONS_EXPLAINED)]


def group_why(
    id: str,  # noqa: A002
    works: Sequence[WorkInfo],
    counts: Counts,
    explained: Mapping[str, Why],
) -> Why:
    """Put the explanations of single works together to one of their run.

    Args:
        id: the run or group.
        works: its works.
        counts: their counts.
        explained: the explanations, by the id of the work that was asked about.
    """
    alike = Counter((work.state, work.reason) for work in works)
    lines = [
        f"{counts.done} of {counts.submitted} done, {counts.failed} failed, "
        f"{counts.cancelled} cancelled, {counts.pending} pending."
    ]
    for work in works:
        why = explained.get(work.id)
        if why is not None:
            count = alike[work.state, work.reason]
            lines.append(f"{count} {'work' if count == 1 else 'works'}: {why.text}")
    state = "running" if counts.pending else "finished"
    facts = {
        "counts": counts.model_dump(),
        "works": {work_id: why.model_dump() for work_id, why in explained.items()},
    }
    return Why(id=id, state=state, reason=None, text="\n".join(lines), facts=facts)
