"""The dashboard: what the system knows, as pages, with each action that a person needs.

Pages are made on the server (Jinja) and work without a build step and offline. htmx swaps parts of
them, server-sent events say when something has changed (`live`), uPlot draws the charts. A page
reads through the same services as the API and writes through them too, so that both show and
allow the same things; it is only another form of request and answer.

    router.py      all routes, put together
    access.py      who is signed in, which role a page needs, forgery of requests
    signing.py     signing in and out
    templating.py  from a template to an answer
    live.py        word of changes, as server-sent events
    assets.py      style sheet and scripts
    errors.py      errors as pages
    pages/         one module per page, or per family of them
"""

from __future__ import annotations
