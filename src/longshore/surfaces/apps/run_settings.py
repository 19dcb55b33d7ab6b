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
        secrets: aliases of secrets by what the app knows them by.
        passwords: of PDFs, by the titles of files; sealed with the run, and never kept here.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    runtime_config: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    webhook: Webhook | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict, repr=False)

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
            {**base.secrets, **self.secrets},
            self.passwords,
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
            "secrets": self.secrets,
        }
        if self.webhook is not None:
            kept["webhook"] = asdict(self.webhook)
        return json.dumps(kept)

    def shown(self) -> RunSettings:
        """Return the settings as the protocol words them, without the webhook."""
        return RunSettings(
            keys=RunKeys(custom=self.keys, secret=self.secrets),
            runtime_config=self.runtime_config,
            tags=self.tags,
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
        InvalidRequest: a setting is unknown or has the wrong type, or the webhook cannot be sent
            to.
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
    secrets = sent.keys.secret if sent.keys is not None else {}
    if len(secrets) > limits.KEYSTORE_KEYS_PER_READ:
        raise TooLarge(
            f"settings.keys.secret names {len(secrets)} secrets and may name "
            f"{limits.KEYSTORE_KEYS_PER_READ}.",
            details={"limit": limits.KEYSTORE_KEYS_PER_READ},
        )
    config, passwords = _without_passwords(sent.runtime_config or {})
    return Settings(
        keys,
        config,
        tags,
        _webhook(sent.webhook_config, networks),
        secrets,
        passwords,
    )


def lasting(sent: RunSettings | None, networks: Sequence[Network] = ()) -> Settings:
    """Return the settings of a deployment; see `checked`. Passwords of files are none of them."""
    settings = checked(sent, networks)
    if settings.passwords:
        raise InvalidRequest(
            "settings.runtime_config.instabase.pdf.passwords belongs to the files of one run. Send "
            "it when you start the run."
        )
    return settings


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
    config = sent.runtime_config or {}
    if not isinstance(config.get(_PDF, False), bool):
        raise InvalidRequest(f"settings.runtime_config.{_PDF} must be true or false.")


def _without_passwords(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the configuration as it may be kept, and the passwords of PDFs that it had."""
    instabase = config.get("instabase")
    pdf = instabase.get("pdf") if isinstance(instabase, dict) else None
    if not isinstance(instabase, dict) or not isinstance(pdf, dict) or "passwords" not in pdf:
        return config, {}
    passwords = pdf["passwords"] or {}
    if not isinstance(passwords, dict) or not all(map(_is_text, passwords.values())):
        raise InvalidRequest(
            "settings.runtime_config.instabase.pdf.passwords must be an object: the title of a "
            "file, and its password as a text."
        )
    rest = {name: value for name, value in pdf.items() if name != "passwords"}
    return {**config, "instabase": {**instabase, "pdf": rest}}, passwords


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
