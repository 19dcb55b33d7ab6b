"""Keys and secrets."""

from __future__ import annotations

import secrets

from longshore.cli.demo.filling.reaching import Made, Reach
from longshore.cli.demo.names import DEMO_KEYS, DEMO_MADE, DEMO_SECRETS

_DAY_S = 86_400.0


def fill(reach: Reach, made: Made) -> None:
    """Make keys of several roles, one of them revoked, and secrets of several scopes."""
    present = {key.name for key in reach.client.keys.list() if key.revoked_at is None}
    for number, (name, role) in enumerate(DEMO_KEYS):
        if name in present:
            continue
        key = reach.client.keys.create(name, role, lifetime_s=30 * _DAY_S if number % 2 else None)
        made.keys[name] = key.id
        if name == DEMO_KEYS[-1][0]:
            reach.client.keys.revoke(key.id)
    for name, workflow, scope in DEMO_SECRETS:
        if workflow is None:
            secret(reach, name, None, scope)


def secret(reach: Reach, name: str, workflow: str | None, scope: str | None) -> None:
    """Set a secret to something that nobody knows, twice, so that it has versions."""
    for _ in range(2):
        reach.client.keystore.set(
            name,
            secrets.token_urlsafe(12),
            workflow=workflow,
            scope=scope,
            description=DEMO_MADE,
        )
