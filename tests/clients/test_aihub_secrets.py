"""The published client's `client.secrets`, and secrets in runs, against a real server and worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from aihub.exceptions import ApiException, NotFoundException

from tests.acceptance.harness import eventually
from tests.clients.conftest import Hub

VALUE = "correct-horse-battery-staple"


def test_secrets_are_made_listed_changed_and_deleted(hub: Hub) -> None:
    secrets = hub.client.secrets
    secrets.create("token-a", VALUE, "ALL", description="of a service")
    secrets.create("token-b", VALUE, "SOME", allowed_workspaces=["personal"])
    with pytest.raises(ApiException) as taken:
        secrets.create("token-a", VALUE, "ALL")
    assert taken.value.status == 409

    [listed] = secrets.list(alias="token-a").secrets
    assert (listed.alias, listed.description) == ("token-a", "of a service")
    assert listed.allowed_workspaces_type == "ALL"
    assert listed.created_by is not None
    assert listed.updated_at is not None
    aliases = {secret.alias for secret in secrets.list(workspace="personal").secrets}
    assert {"token-a", "token-b"} <= aliases
    assert VALUE not in str(secrets.list())

    secrets.update("token-b", "described", None, "NONE", None)
    [changed] = secrets.list(alias="token-b").secrets
    assert (changed.description, changed.allowed_workspaces_type) == ("described", "NONE")
    for alias in ("token-a", "token-b"):
        secrets.delete(alias)
    with pytest.raises(NotFoundException):
        secrets.delete("token-a")


def everything_in(directory: Path) -> bytes:
    """Return all that a server keeps: its database, blobs and logs."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def test_a_run_uses_a_secret_and_neither_its_results_nor_its_logs_have_the_value(hub: Hub) -> None:
    hub.client.secrets.create("ocr", VALUE, "ALL")
    password = "sesame-open-up"
    batch_id = hub.batch(a="merchant: x\n")

    run_id = hub.start(
        batch_id,
        settings={
            "keys": {"secret": {"ocr_token": "ocr"}, "custom": {"plain": 1}},
            "runtime_config": {"instabase": {"pdf": {"passwords": {"a.txt": password}}}},
        },
    )
    run = hub.finish(run_id)

    assert run.status == "COMPLETE"
    results = hub.client.apps.runs.results(run_id)
    fields = {field.field_name: field.value for field in results.files[0].documents[0].fields}
    assert fields["ocr__token"] == f"{len(VALUE)} letters: ***ocr***"
    assert fields["password"] == f"{len(password)} letters: ***{run_id}/password-1***"
    data = hub.server.data
    printed = b"connecting with ***ocr***"
    eventually(lambda: printed in everything_in(data) or None, 10, "the line is stored")
    stored = everything_in(data)
    for secret in (VALUE, password):
        assert secret.encode() not in stored
        assert secret not in str(results)
    hub.client.secrets.delete("ocr")
