"""What a person copies to get from a page to a shell or a program, quoted so that it runs."""

from __future__ import annotations

import shlex
from urllib.parse import urlencode

from starlette.requests import Request


def of_filter(request: Request, text: str) -> list[tuple[str, str]]:
    """Return how the works of a filter are listed elsewhere: (label, text)."""
    site = _site(request)
    query = urlencode({"q": text})
    return [
        ("CLI", f"longshore works list {shlex.quote(text)}"),
        ("curl", _curl(f"{site}/longshore/v1/works?{query}")),
        (
            "Python",
            "from longshore import Client\n\n"
            f"with Client(url={site!r}) as client:\n"
            f"    for work in client.works.find({text!r}):\n"
            "        print(work.id, work.state)",
        ),
    ]


def of_work(request: Request, work_id: str) -> list[tuple[str, str]]:
    """Return how one work is looked at elsewhere: (label, text)."""
    site = _site(request)
    return [
        ("CLI", f"longshore why {work_id}"),
        ("curl", _curl(f"{site}/longshore/v1/works/{work_id}/why")),
        (
            "Python",
            "from longshore import Client\n\n"
            f"with Client(url={site!r}) as client:\n"
            f"    print(client.works.why({work_id!r}).text)",
        ),
    ]


def _site(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _curl(address: str) -> str:
    return f'curl -H "Authorization: Bearer $LONGSHORE_KEY" {shlex.quote(address)}'
