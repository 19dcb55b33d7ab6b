"""Calls the published client as it is told, line by line: a request in, an answer out, as JSON.

A request names a method and its arguments: {"call": "buckets.view", "args": [...], "kwargs": {...}}.
An answer is {"value": ...} or {"error": {"type", "message", "cause", "status"}}. Work objects stay
here; a request speaks of them by the number that `work.create` or `work.withdraw` gave.
"""

import json
import os
import sys

# What the client logs goes to the standard error; the answers have the standard output alone.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

from workflow.definitions.work import Work  # noqa: E402
from workflow.http.context import HTTPContext  # noqa: E402

works = []


def describe(error):
    """Say what was raised, and what the client's own retries have hidden beneath it."""
    cause = error
    attempt = getattr(error, "last_attempt", None)
    if attempt is not None:
        cause = attempt.exception()
    response = getattr(cause, "response", None)
    return {
        "type": type(error).__name__,
        "message": str(error),
        "cause": type(cause).__name__,
        "status": getattr(response, "status_code", None),
    }


def keep(work):
    works.append(work)
    return {"number": len(works) - 1, "payload": work.payload}


def call_work(verb, args, kwargs):
    if verb == "create":
        return keep(Work(**kwargs))
    if verb == "withdraw":
        work = Work.withdraw(*args, http=http, **kwargs)
        return keep(work) if work else None
    number, *args = args
    work = works[number]
    if verb == "set":
        for name, value in kwargs.items():
            setattr(work, name, value)
        return work.payload
    if verb == "deposit":
        return work.deposit(*args, http=http, **kwargs)
    return getattr(work, verb)(*args, **kwargs)


def become(key):
    """Go on as the user with this key. The client reads keys from the environment only."""
    global http
    os.environ["WORKFLOW_TOKEN"] = key
    http = HTTPContext(backends=["buckets", "results"])


http = HTTPContext(backends=["buckets", "results"])
for line in sys.stdin:
    request = json.loads(line)
    part, verb = request["call"].split(".")
    try:
        if part == "work":
            value = call_work(verb, request["args"], request["kwargs"])
        elif part == "console":
            value = become(*request["args"])
        else:
            value = getattr(getattr(http, part), verb)(*request["args"], **request["kwargs"])
        answer = {"value": value}
    except Exception as error:
        answer = {"error": describe(error)}
    print(json.dumps(answer, default=str), file=answers, flush=True)
