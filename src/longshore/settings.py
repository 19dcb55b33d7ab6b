"""One frozen Settings; the only reader of the environment."""

from __future__ import annotations

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DATA_DIRECTORY = ".longshore"


def _networks(value: Any) -> Any:
    """Read networks from text such as "10.0.0.0/8, fd00::/8"."""
    if not isinstance(value, str):
        return value
    return tuple(ip_network(part) for part in value.replace(",", " ").split())


Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_networks)]


class Settings(BaseSettings):
    """How this server runs. Each field is read from LONGSHORE_<NAME> unless given."""

    model_config = SettingsConfigDict(env_prefix="LONGSHORE_", frozen=True, extra="forbid")

    data: Path = Field(default=Path(DATA_DIRECTORY), description="Directory of all local state.")
    database: str | None = Field(
        default=None,
        description="Database address: postgresql://... or sqlite:///PATH; "
        "default is longshore.db in the data directory.",
    )
    blobs: str | None = Field(
        default=None,
        description="Blob store: a directory or s3://bucket/prefix; "
        "default is blobs/ in the data directory.",
    )
    secret_key_file: Path | None = Field(
        default=None,
        description="File with the master key that secrets are sealed with, or several, the newest "
        "first; default is secret.key in the data directory, made at the first use.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="The master key itself, in place of a file: 64 hexadecimal digits or base64; "
        "several with blanks in between, the newest first.",
    )
    secret_key_command: str | None = Field(
        default=None,
        description="Command that prints the master key, in place of a file; it is run once at the "
        "start, without a shell.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8400, ge=0, le=65535, description="Port to listen on; 0 takes any.")
    lease_s: float = Field(
        default=15.0, gt=0, le=86_400, description="Length of a worker's lease, in seconds."
    )
    janitor_interval_s: float = Field(
        default=0.5, gt=0, le=60, description="Pause between two janitor passes, in seconds."
    )
    retention_interval_s: float = Field(
        default=60.0, gt=0, description="Pause between two retention passes, in seconds."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    drain_s: float = Field(
        default=20.0, ge=0, description="How long a stop waits for running work, in seconds."
    )
    webhook_networks: Networks = Field(
        default=(),
        description="Private networks that webhooks may be sent to, with commas in between, such as "
        "127.0.0.0/8,::1/128 for a receiver on this machine; without it only public addresses.",
    )
    trusted_proxies: Networks = Field(
        default=(),
        description="Addresses of reverse proxies, such as 127.0.0.1/32, whose X-Forwarded-Proto and "
        "X-Forwarded-For are believed; without it the server thinks that it is called by plain HTTP.",
    )
    slack_webhook_url: SecretStr | None = Field(
        default=None,
        description="Address that works are told to Slack at, an incoming webhook of Slack or of "
        "what understands the same; without it no work is told there.",
    )

    access_code_s: float = Field(
        # limits.ACCESS_CODE_S; settings and limits do not know of each other.
        default=60.0,
        ge=1,
        le=86_400,
        description="How long the one-time code of a script step is valid for its Init, in seconds.",
    )

    tracing: bool = Field(
        default=False,
        description="Whether requests, transactions and attempts are traced (on or off); needs the "
        "extra [otel]. Where to and how many: the OTEL_* variables.",
    )

    fault: str | None = Field(
        default=None,
        description="For tests: kill the server at a point of longshore.storage.faults.",
    )

    @property
    def database_url(self) -> str:
        """The database address, with the default filled in."""
        return self.database or f"sqlite:///{(self.data / 'longshore.db').resolve()}"

    @property
    def blobs_url(self) -> str:
        """The blob store's address, with the default filled in."""
        return self.blobs or str((self.data / "blobs").resolve())


class ClientSettings(BaseSettings):
    """Where the server is and which key to use, as the SDK, the worker and the CLI find it."""

    model_config = SettingsConfigDict(env_prefix="LONGSHORE_", frozen=True, extra="ignore")

    url: str | None = Field(default=None, description="Address of the server.")
    key: str | None = Field(default=None, description="API key.")
    data: Path | None = Field(default=None, description="Data directory of a local server.")
    tracing: bool = Field(
        default=False,
        description="Whether requests and attempts are traced (on or off); needs the extra [otel].",
    )


def child_environment(**extra: str) -> dict[str, str]:
    """Return a copy of this process's environment with `extra` set, for a child process.

    Master keys stay behind: what runs user code has no use for them.
    """
    return {**_without_master_keys(), **extra}


def _without_master_keys() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith("LONGSHORE_SECRET_KEY")
    }


def task_variable(name: str) -> str | None:
    """Return a variable that the protocol of elements workers names, or None where it is not set.

    Their names (ARKINDEX_..., PONOS_..., TASK_...) are those of the published workers, so that
    one environment serves both.
    """
    return os.environ.get(name)


def image_pixels_max() -> int | None:
    """Return the limit on pixels of images that a worker opens: 0 means none, None Pillow's own."""
    value = task_variable("ARKINDEX_MAX_IMAGE_PIXELS")
    return int(value) if value else None
