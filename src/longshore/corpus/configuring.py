"""The configuration of a worker run: merged by the server where it can, else here.

What comes later wins: worker version, model version, defaults of what people may choose, and what
they chose. A default gives way to the model version's value of the same name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

logger = logging.getLogger("longshore.corpus")

MERGED_BY_SERVER: Final = "RetrieveWorkerRunConfiguration"


@dataclass(slots=True)
class RunConfiguration:
    """The configuration of a worker run.

    Attributes:
        merged: all of it.
        user: what people chose, and defaults of what they did not.
        model: what belongs to the model version.
        secrets: the secrets, by name.
    """

    merged: dict[str, Any] = field(default_factory=dict)
    user: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, Any] = field(default_factory=dict)


def run_configuration(
    client: Any, run_id: str | None, run: dict[str, Any], load_secret: Callable[[str], Any]
) -> RunConfiguration:
    """Return the configuration of a worker run.

    Args:
        client: of the API.
        run_id: of the worker run.
        run: what RetrieveWorkerRun answered.
        load_secret: returns a secret by its name, or raises.
    """
    described = run["worker_version"].get("configuration") or {}
    model_version = run.get("model_version") or {}
    made = RunConfiguration(model=dict(model_version.get("configuration") or {}))
    for name, option in (described.get("user_configuration") or {}).items():
        if "default" in option and name not in made.model:
            made.user[name] = option["default"]
    made.secrets = {name: load_secret(name) for name in described.get("secrets") or ()}
    chosen = (run.get("configuration") or {}).get("configuration")
    if chosen:
        logger.info("Loaded user configuration from WorkerRun")
        made.user |= chosen
    if MERGED_BY_SERVER in client.document:
        items = client.request(MERGED_BY_SERVER, id=run_id)
        by_server = local_items(items["configuration"], client, load_secret)
        made.merged = by_server.merged
        made.secrets |= by_server.secrets
    else:
        made.merged = {**(described.get("configuration") or {}), **made.model, **made.user}
    return made


def local_items(
    items: Iterable[dict[str, Any]], client: Any, load_secret: Callable[[str], Any]
) -> RunConfiguration:
    """Return the configuration that a list of `{"key", "value", "secret"}` describes.

    The value of a secret is its name, unless the server has no secrets by name: then it is the
    secret. A secret whose value is None is one that nobody set.
    """
    made = RunConfiguration()
    for item in items:
        name, value = item["key"], item["value"]
        if item.get("secret"):
            if value is None:
                logger.info("Optional secret `%s` is not set", name)
            elif "RetrieveSecret" in client.document:
                value = load_secret(value)
            made.secrets[name] = value
        made.merged[name] = value
    return made
