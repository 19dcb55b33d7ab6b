"""The error of an API call; `longshore.corpus.client` raises it, helpers look at it."""

from __future__ import annotations

from typing import Any


class ErrorResponse(Exception):
    """The API answered with an error.

    Attributes:
        title: code and reason of the answer, such as "404 Not Found".
        status_code: code of the answer.
        content: decoded body of the answer: a dictionary in the API's form for errors, text, or
            None where there is no body.
    """

    def __init__(self, title: str, status_code: int, content: Any = None) -> None:
        """Keep what the API answered."""
        super().__init__(f"{title}: {content}" if content else title)
        self.title = title
        self.status_code = status_code
        self.content = content
