"""Secrets by name: from the API, or from encrypted files of a developer's own machine."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path, PurePath
from typing import Any, Final

from longshore.corpus.client import ErrorResponse
from longshore.corpus.document import ClientError
from longshore.settings import task_variable

logger = logging.getLogger("longshore.corpus")

YAML_SUFFIXES: Final = frozenset({".yaml", ".yml"})


class MissingSecretError(Exception):
    """A secret is neither known to the API nor kept on this machine."""


def load_secret(client: Any, name: str | PurePath) -> Any:
    """Return a secret; one whose name ends in .json, .yaml or .yml is parsed.

    A file of this machine, encrypted with GPG, overrides what the API has, so that developers can
    work with keys of their own.

    Args:
        client: of the API.
        name: of the secret; it may have slashes.

    Raises:
        MissingSecretError: it is nowhere.
    """
    secret = _local(name)
    if secret is None:
        secret = _remote(client, name)
    if secret is None:
        raise MissingSecretError(
            f"Secret {name} is not available on the API nor locally: set it with "
            f"`longshore keystore set --corpus`, or put it into {_path(name)}, encrypted with gpg."
        )
    try:
        return _parsed(secret, PurePath(name).suffix.lower())
    except ValueError as error:
        logger.warning("Failed to parse secret %s, so it is text: %s", name, error)
        return secret


def parse_yaml(text: Any) -> Any:
    """Return what a YAML (or JSON) text or file says.

    Raises:
        ValueError: it is not YAML.
    """
    # Loaded here, since most workers are configured by the API and never need it.
    import yaml  # noqa: PLC0415

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _parsed(secret: str, suffix: str) -> Any:
    if suffix == ".json":
        return json.loads(secret)
    return parse_yaml(secret) if suffix in YAML_SUFFIXES else secret


def _remote(client: Any, name: str | PurePath) -> str | None:
    try:
        content = client.request("RetrieveSecret", name=str(name))["content"]
    except (ErrorResponse, ClientError) as error:
        reason = error.content if isinstance(error, ErrorResponse) else error
        logger.warning("Secret %s not available: %s", name, reason)
        return None
    logger.info("Loaded API secret %s", name)
    return str(content)


def _local(name: str | PurePath) -> str | None:
    path = _path(name)
    if not path.is_file():
        return None
    try:
        found = subprocess.run(  # noqa: S603 - gpg is looked up where the user has installed it
            ["gpg", "--batch", "--quiet", "--decrypt", str(path)],  # noqa: S607
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError) as error:
        detail = getattr(error, "stderr", None) or error
        logger.warning("Local secret %s is not available as %s: %s", name, path, detail)
        return None
    logger.info("Loaded local secret %s", name)
    return found.stdout


def _path(name: str | PurePath) -> Path:
    home = Path(task_variable("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return home / "arkindex" / "secrets" / name
