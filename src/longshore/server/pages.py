"""The reference of the API as a page, which needs no key and no script."""

from __future__ import annotations

from html import escape
from typing import Any, Final

from starlette.responses import HTMLResponse

# The pages have one inline style sheet and nothing else; it is allowed by its checksum.
_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b2733;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #d5dde5}
code{font:.9em ui-monospace,monospace;background:#eef2f6;padding:.1em .3em;border-radius:3px}
details{margin:.3rem 0}summary{cursor:pointer}a{color:#0b5cad}
.method{display:inline-block;min-width:4.5em;font-weight:600}
table{border-collapse:collapse;margin:.5rem 0 1rem 1rem}td{padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#dbe4ec;background:#12181e}code{background:#222c36}
h2{border-color:#33404c}a{color:#7db8f0}}
"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head><body>
{body}
</body></html>
"""


def reference(document: dict[str, Any]) -> HTMLResponse:
    """Show an OpenAPI document as a page without scripts, readable offline."""
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    sections = [f"<h2>{escape(tag)}</h2>{''.join(parts)}" for tag, parts in sorted(by_tag.items())]
    intro = (
        f"<h1>{escape(document['info']['title'])}</h1><p>{escape(document['info']['description'])}"
        '</p><p><a href="openapi.json">openapi.json</a> is the same for programs.</p>'
    )
    return _page("Longshore API", intro + "".join(sections))


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    summary = escape(operation.get("description") or operation.get("summary", ""))
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}"
        f"</td><td>{escape(_kind(parameter.get('schema', {})))}</td></tr>"
        for parameter in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, form in content.items():
        rows += [
            f"<tr><td><code>{escape(name)}</code></td><td>body ({escape(media_type)})</td>"
            f"<td>{escape(_kind(schema))}</td></tr>"
            for name, schema in form.get("schema", {}).get("properties", {}).items()
        ]
    table = f"<table>{''.join(rows)}</table>" if rows else ""
    return (
        f'<details><summary><span class="method">{escape(method.upper())}</span> '
        f"<code>{escape(path)}</code></summary><p>{summary}</p>{table}</details>"
    )


def _kind(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf") or [schema]
    return " or ".join(str(option.get("type", "any")) for option in options)


def _page(title: str, body: str) -> HTMLResponse:
    page = _PAGE.format(title=escape(title), style=_STYLE, body=body)
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


def _policy() -> str:
    from base64 import b64encode  # noqa: PLC0415
    from hashlib import sha256  # noqa: PLC0415

    checksum = b64encode(sha256(_STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{checksum}'; frame-ancestors 'none'"


POLICY: Final = _policy()
