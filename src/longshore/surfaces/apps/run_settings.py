"""The settings of a run: checked when they arrive, and merged over those of its deployment."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import httpx

from longshore import ids, limits
from longshore.edge import outbound
from longshore.edge.addresses import Network
from longshore.errors import InvalidRequest, TooLarge
from longshore.wire.apps import RunKeys, RunSettings, WebhookConfig

_PDF = "generate_post_process_pdf"


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told when a run has ended; nothing of it but the host is ever shown.

    Attributes:
        url: where to; may hold credentials, as the headers may.
        headers: sent with each delivery.
        job_id: the job that is going to deliver it; a deployment's webhook has none.
    """

    url: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    job_id: str | None = None

    @property
    def host(self) -> str:
        """Who is told, which is all that may be shown."""
        return httpx.URL(self.url).host


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run goes by.

    Attributes:
        keys: custom keys, any JSON values; handed to the app and echoed with results.
        runtime_config: as it was sent.
        tags: for people.
        webhook: who is told of the end.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    runtime_config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    webhook: Webhook | None = None

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
            self.webhook or base.webhook,
        )

    def for_run(self) -> Settings:
        """Return these settings as a new run keeps them, with the id of the job to come."""
        if self.webhook is None:
            return self
        return replace(self, webhook=replace(self.webhook, job_id=ids.new(ids.WORK)))

    def text(self) -> str:
        """Return the settings as JSON, for the database."""
        kept: dict[str, Any] = {
            "keys": self.keys,
            "runtime_config": self.runtime_config,
            "tags": self.tags,
        }
        if self.webhook is not None:
            kept["webhook"] = asdict(self.webhook)
        return json.dumps(kept)

    def shown(self) -> RunSettings:
        """Return the settings as the protocol words them, without the webhook."""
        return RunSettings(
            keys=RunKeys(custom=self.keys), runtime_config=self.runtime_config, tags=self.tags
        )


def load(text: str) -> Settings:
    """Read settings that `Settings.text` wrote."""
    kept = json.loads(text)
    webhook = kept.pop("webhook", None)
    return Settings(**kept, webhook=None if webhook is None else Webhook(**webhook))


def checked(sent: RunSettings | None, networks: Sequence[Network] = ()) -> Settings:
    """Return the settings of a request.

    Args:
        sent: what the request has under `settings`.
        networks: private networks that a webhook may be in.

    Raises:
        InvalidRequest: a setting is unknown, cannot be honoured yet, or has the wrong type, or the
            webhook cannot be sent to.
        TooLarge: tags, custom keys or the webhook are too long.
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
    return Settings(keys, sent.runtime_config or {}, tags, _webhook(sent.webhook_config, networks))


def _webhook(sent: WebhookConfig | None, networks: Sequence[Network]) -> Webhook | None:
    """Check what can be known of a webhook now; where its host leads is checked when it is sent."""
    if sent is None or not (sent.url or sent.headers):
        return None
    if not sent.url:
        raise InvalidRequest(
            "settings.webhook_config has headers and no url. Send the url to be told at."
        )
    headers = sent.headers or {}
    outbound.checked_url(sent.url, networks, what="settings.webhook_config.url")
    outbound.check_headers(headers, what="settings.webhook_config.headers")
    return Webhook(sent.url, headers)


def _refuse_unusable(sent: RunSettings) -> None:
    unknown = sorted(sent.model_extra or {})
    if unknown:
        raise InvalidRequest(
            f"settings.{unknown[0][:80]} is not a setting of a run. Known are keys, "
            "runtime_config, tags and webhook_config."
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
