"""The actions on works, as pages offer them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from longshore.surfaces.works.possible import Action


@dataclass(frozen=True, slots=True)
class Button:
    """An action on what matches, as a dialog asks for it."""

    action: Action
    label: str
    question: str
    danger: bool = False


BUTTONS: Final = (
    Button(Action.RETRY, "Retry", "What failed or was cancelled is queued again, now."),
    Button(
        Action.CANCEL,
        "Cancel",
        "What is not over is cancelled; what runs is told to stop.",
        danger=True,
    ),
    Button(Action.HOLD, "Hold", "What is queued or waits is not claimed until it is released."),
    Button(Action.RELEASE, "Release", "What is held can be claimed again."),
    Button(
        Action.DELETE,
        "Delete",
        "Works of buckets are deleted with their documents and artifacts, in whatever state they "
        "are. Works of other surfaces are left alone.",
        danger=True,
    ),
)
