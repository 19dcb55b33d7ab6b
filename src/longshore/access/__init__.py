"""Who may do what: organisations, workspaces, API keys with roles, and the audit log."""

from __future__ import annotations

from longshore.access.roles import Permission, Principal, Role

__all__ = ["Permission", "Principal", "Role"]
