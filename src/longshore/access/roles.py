"""Roles, what each permits, and the principal that a request acts as."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from longshore.errors import PermissionDenied


class Permission(StrEnum):
    READ = "read"
    """See batches, runs, results, queues and works."""
    OPERATE = "operate"
    """Start, cancel and delete runs; upload files; hold and release queues."""
    DEVELOP = "develop"
    """Change what runs: deployments, apps, schedules."""
    WORK = "work"
    """Claim works and report on them."""
    SIGNAL = "signal"
    """Send events and set flags, and nothing else."""
    ADMIN = "admin"
    """Keys, the audit log and the state of the server."""


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    DEVELOPER = "developer"
    WORKER = "worker"
    INGRESS = "ingress"
    ADMIN = "admin"


PERMISSIONS: Final[dict[Role, frozenset[Permission]]] = {
    Role.VIEWER: frozenset({Permission.READ}),
    Role.OPERATOR: frozenset({Permission.READ, Permission.OPERATE}),
    Role.DEVELOPER: frozenset({Permission.READ, Permission.OPERATE, Permission.DEVELOP}),
    Role.WORKER: frozenset({Permission.READ, Permission.WORK}),
    Role.INGRESS: frozenset({Permission.SIGNAL}),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The key that a request carries, and where it belongs.

    A key without a workspace reaches all workspaces of its organisation. `work` is set for the
    token of an attempt: the id of the work, and which attempt of it; `surface` is then the one
    whose routes it opens.
    """

    key_id: str
    key_name: str
    organisation_id: str
    organisation_name: str
    workspace_id: str | None
    workspace_name: str | None
    role: Role
    work: tuple[str, int] | None = None
    surface: str | None = None

    def allows(self, permission: Permission) -> bool:
        """Return whether the key's role includes `permission`."""
        return permission in PERMISSIONS[self.role]

    def require(self, *permissions: Permission) -> None:
        """Raise PermissionDenied unless the key's role includes one of `permissions`."""
        if any(self.allows(permission) for permission in permissions):
            return
        able = ", ".join(role for role in Role if PERMISSIONS[role].intersection(permissions))
        wanted = " or ".join(permissions)
        raise PermissionDenied(
            f"The key {self.key_name!r} has the role {self.role}, which does not include "
            f"{wanted}. Use a key with one of the roles {able}.",
            details={"role": str(self.role), "permission": wanted},
        )
