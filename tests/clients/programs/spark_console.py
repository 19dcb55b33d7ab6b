"""Calls the published client `cspark` as it is told, line by line: JSON in, JSON out.

A request names an object and what to reach in it: {"on": 0, "path": "batches.create", "args": [...],
"kwargs": {...}}. Number 0 is the module `cspark.sdk` itself; what cannot be written as JSON stays
here and is spoken of by its number, as {"$object": 3, "path": ""}. A request without `args` reads an attribute.
An answer is {"value": ...} or {"error": {"type", "message", "status", "body", "request_id"}}.
"""

import asyncio
import inspect
import json
import os
import sys

# What the client logs goes to the standard error; the answers have the standard output alone.
answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)

import cspark.sdk  # noqa: E402

objects = [cspark.sdk]
loop = asyncio.new_event_loop()


def reach(found, path):
    for name in filter(None, path.split(".")):
        found = getattr(found, name)
    return found


def decode(value):
    if isinstance(value, dict):
        if "$object" in value:
            return reach(objects[value["$object"]], value["path"])
        return {name: decode(each) for name, each in value.items()}
    if isinstance(value, list):
        return [decode(each) for each in value]
    return value


def encode(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, dict):
        return {name: encode(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(each) for each in value]
    if hasattr(value, "raw_response"):
        sent = value.raw_request
        request = {"method": sent.method, "url": str(sent.url), "headers": dict(sent.headers)}
        headers = dict(value.headers)
        return {"$answer": {"status": value.status, "data": value.data, "headers": headers, "request": request}}
    objects.append(value)
    return {"$object": len(objects) - 1}


def describe(error):
    cause = getattr(error, "cause", None)
    response = getattr(cause, "response", None)
    return {
        "type": type(error).__name__,
        "message": getattr(error, "message", None) or str(error),
        "status": getattr(error, "status", None),
        "body": getattr(response, "body", None),
        "headers": dict(getattr(response, "headers", None) or {}),
        "request_id": getattr(error, "request_id", None),
    }


async def result_of(awaitable):
    return await awaitable


def call(request):
    found = reach(objects[request["on"]], request["path"])
    if "args" in request:
        found = found(*decode(request["args"]), **decode(request["kwargs"]))
    if inspect.isawaitable(found):
        found = loop.run_until_complete(result_of(found))
    return encode(found)


for line in sys.stdin:
    try:
        answer = {"value": call(json.loads(line))}
    except Exception as error:
        answer = {"error": describe(error)}
    print(json.dumps(answer, default=str), file=answers, flush=True)
