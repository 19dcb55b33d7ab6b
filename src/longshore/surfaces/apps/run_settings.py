"""The settings of a run: checked when they arrive, and merged over those of its deployment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from longshore import limits
from longshore.errors import InvalidRequest, TooLarge
from longshore.wire.apps import RunKeys, RunSettings

_PDF = "generate_post_process_pdf"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run goes by.

    Attributes:
        keys: custom keys, any JSON values; handed to the app and echoed with results.
        runtime_config: as it was sent.
        tags: for people.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    runtime_config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)

    @property
    def generate_pdf(self) -> bool:
        """Whether the run is to make a post-processed PDF of each file."""
        return self.runtime_config.get(_PDF) is True

    def over(self, base: Settings) -> Settings:
        """Return these settings laid over those of a deployment, key by key."""
        return Settings(
            {**base.keys, **self.keys},
            {**base.runtime_config, **self.runtime_config},
            self.tags or base.tags,
        )

    def text(self) -> str:
        """Return the settings as JSON, for the database."""
        return json.dumps(
            {"keys": self.keys, "runtime_config": self.runtime_config, "tags": self.tags}
        )

    def shown(self) -> RunSettings:
        """Return the settings as the protocol words them."""
        return RunSettings(
            keys=RunKeys(custom=self.keys), runtime_config=self.runtime_config, tags=self.tags
        )


def load(text: str) -> Settings:
    """Read settings that `Settings.text` wrote."""
    return Settings(**json.loads(text))


def checked(sent: RunSettings | None) -> Settings:
    """Return the settings of a request.

    Raises:
        InvalidRequest: a setting is unknown, cannot be honoured yet, or has the wrong type.
        TooLarge: tags or custom keys are too long.
    """
    if sent is None:
        return Settings()
    _refuse_unusable(sent)
    keys = sent.keys.custom if sent.keys is not None else {}
    size = len(json.dumps(keys).encode())
    if size > limits.RUN_KEYS_BYTES:
        raise TooLarge(
            f"settings.keys.custom takes {size} bytes as JSON and may take "
            f"{limits.RUN_KEYS_BYTES}. Put large values into a file of the batch.",
            details={"limit_bytes": limits.RUN_KEYS_BYTES},
        )
    tags = sent.tags or []
    characters = sum(len(tag) for tag in tags)
    if characters > limits.TAGS_CHARACTERS:
        raise TooLarge(
            f"The tags have {characters} characters together and may have "
            f"{limits.TAGS_CHARACTERS}. Shorten them.",
            details={"limit": limits.TAGS_CHARACTERS},
        )
    return Settings(keys, sent.runtime_config or {}, tags)


def _refuse_unusable(sent: RunSettings) -> None:
    extra = sent.model_extra or {}
    if extra.get("webhook_config"):
        raise InvalidRequest(
            "settings.webhook_config is not available: Longshore sends no webhooks yet. Leave it "
            "out and poll the run's status."
        )
    unknown = sorted(set(extra) - {"webhook_config"})
    if unknown:
        raise InvalidRequest(
            f"settings.{unknown[0][:80]} is not a setting of a run. Known are keys, "
            "runtime_config and tags."
        )
    if sent.keys is not None and sent.keys.secret:
        raise InvalidRequest(
            "settings.keys.secret cannot be used: secrets are not available yet. Give the app what "
            "it needs in settings.keys.custom, or in the environment of its worker."
        )
    config = sent.runtime_config or {}
    if not isinstance(config.get(_PDF, False), bool):
        raise InvalidRequest(f"settings.runtime_config.{_PDF} must be true or false.")
    if _passwords(config):
        raise InvalidRequest(
            "settings.runtime_config.instabase.pdf.passwords cannot be used: passwords would need "
            "the secrets that are not available yet. Upload the PDFs without a password."
        )


def _passwords(config: dict[str, Any]) -> Any:
    value: Any = config
    for key in ("instabase", "pdf", "passwords"):
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
