"""Every operation of the server, from its own OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from tests.acceptance.harness import Server

TOKEN = "/auth/realms/{tenant}/protocol/openid-connect/token"
APICODE = "/coreauto/v1/auth/apicode"
OPEN_POSTS = frozenset({TOKEN, APICODE})
"""What takes a body without a key; a key or a code in it is how a client gets its token."""
OPEN = OPEN_POSTS | {
    "/healthz",
    "/readyz",
    "/health",
    "/docs",
    "/openapi.json",
    "/buckets/version",
    "/results/version",
    "/api/v1/openapi/",
}
"""What answers without a key; written down here once more, so that nobody opens a path unseen."""
READING_POSTS = frozenset(
    {
        "/buckets/view",
        "/buckets/count",
        "/results/view",
        "/results/view/count",
        "/{tenant}/api/v3/GetEngineDetailByVersionId/versionid/{version_id}",
        "/coreauto/v1/workflows/validate",
        "/coreauto/v1/workflows/{name}/diff",
        "/coreauto/v1/workflows/{name}/simulate",
        "/coreauto/v1/runs/{run_id}/simulate",
    }
)
"""What only reads: a query does not fit an address, or the published protocol has it so."""
OWN_POSTS = frozenset({"/longshore/v1/sign-in-codes"})
"""What a key makes for itself, whatever its role is: a way into the dashboard, as that very key."""
CHANGING_GETS = frozenset(
    {
        "/buckets/audit/failed",
        "/buckets/audit/expired",
        "/{tenant}/api/v4/batch/{batch_id}/chunkresults",
    }
)
"""What is changed by GET, since the published protocol has it so."""
KINDS = {
    # Parameter of a path -> what it names; a new parameter must be added here.
    "work_id": "work",
    "group_id": "run",
    "run_id": "run",
    "batch_id": "batch",
    "job_id": "job",
    "session_id": "session",
    "document": "document",
    "deployment_id": "deployment",
    "key_id": "key",
    "queue_id": "queue",
    "blob_id": "blob",
    "app_id": "app",
    "path": "path",
    "filename": "file",
    "file_name": "file",
    "name": "file",
    "part_num": "part",
    "part_number": "part",
    "pipeline": "bucket",
    "webhook_id": "webhook",
    "days": "days",
    "tenant": "tenant",
    "folder": "folder",
    "service": "service",
    "service_id": "service_id",
    "version_id": "version",
}
RECORDS_KINDS = {"batch_id": "record_pipeline"}
"""What parameters name in paths of record pipelines, where it is not what they name elsewhere."""
CORPUS_KINDS = {
    "child": "element",
    "parent": "folder_element",
    "element": "element",
    "corpus": "corpus",
    "dataset": "dataset",
    "set": "set",
    "name": "secret",
    "path": "artifact",
}
"""What parameters name in paths of corpora; `id` is told by what is before and after it."""
CORPUS_IDS = {
    # The first that a path begins with counts; a new path must be added here.
    "corpus/{id}/": "corpus",
    "elements/type/{id}/": "element_type",
    "element/{id}/": "element",
    "element/parent/{id}/": "folder_element",
    "elements/{id}/": "element",
    "transcription/{id}/": "transcription",
    "image/{id}/": "image",
    "datasets/{id}/": "dataset",
    "task/{id}/": "task",
    "export/{id}/": "export",
    "model/{id}/": "model",
    "modelversion/{id}/": "model_version",
    "workers/versions/{id}/activity/": "worker_run",
    "workers/versions/{id}/": "worker_version",
    "workers/runs/{id}/": "worker_run",
    "workers/{id}/": "element_worker",
    "process/workers/{id}/": "worker_run",
    "process/{id}/": "process",
}
SCRIPTS_KINDS = {
    "actionId": "script_run",
    "actionid": "script_run",
    "run_id": "script_run",
    "stepname": "step",
    "area": "area",
    "name": "workflow",
    "names": "entry",
    "path": "payload_path",
    "value": "payload_value",
}
"""What parameters name in paths of scripts; `name` is told by what is before it."""
SCRIPTS_NAMES = {"hosts/{name}": "host", "entries/{name}": "entry", "steps/{name}": "step"}
SCRIPTS = ("/coreauto/v1/", "/longshore/v1/scripts/", "/longshore/v1/keystore")
CORPUS = "/api/v1/"
CORPUS_NATIVE = "/longshore/v1/corpus/"
_PIPELINES_AMONG_THEM = ("/api/v1/product/", "/api/v1/config/")
_PARAMETER = re.compile(r"\{([^}:]+)(?::[^}]+)?\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, such as DELETE /api/v2/batches/{batch_id}."""

    method: str
    path: str
    has_body: bool

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(_PARAMETER.findall(self.path))

    @property
    def kinds(self) -> dict[str, str]:
        """Return what each parameter of the path names."""
        kinds = KINDS
        if self.speaks_records:
            kinds = KINDS | RECORDS_KINDS
        elif self.is_of_corpora:
            kinds = CORPUS_KINDS | {"id": self._kind_of_id}
        elif self.is_of_scripts:
            named = (kind for each, kind in SCRIPTS_NAMES.items() if each in self.path)
            kinds = SCRIPTS_KINDS | {"name": next(named, "workflow")}
        return {name: kinds[name] for name in self.parameters}

    @property
    def _kind_of_id(self) -> str:
        rest = self.path.removeprefix(CORPUS)
        found = (kind for begin, kind in CORPUS_IDS.items() if rest.startswith(begin))
        return next(found, "an id of what is not in CORPUS_IDS")

    @property
    def changes(self) -> bool:
        if self.path in READING_POSTS | OWN_POSTS:
            return False
        return self.takes_body or self.path in CHANGING_GETS

    @property
    def takes_body(self) -> bool:
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def speaks_apps(self) -> bool:
        return not self.speaks_corpora and re.match(r"/(api/)?v[12]/", self.path) is not None

    @property
    def speaks_corpora(self) -> bool:
        return self.path.startswith(CORPUS) and not self.path.startswith(_PIPELINES_AMONG_THEM)

    @property
    def is_of_corpora(self) -> bool:
        return self.speaks_corpora or self.path.startswith(CORPUS_NATIVE)

    @property
    def is_of_scripts(self) -> bool:
        return self.path.startswith(SCRIPTS)

    @property
    def speaks_records(self) -> bool:
        return self.path.startswith("/{tenant}/")

    def url(self, values: Mapping[str, str], other: str = "1") -> str:
        """Return the path with parameters filled in."""
        return _PARAMETER.sub(
            lambda match: quote(values.get(match.group(1), other), safe=""), self.path
        )

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(server: Server) -> list[Operation]:
    document: dict[str, Any] = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    found = [
        Operation(method.upper(), path, "requestBody" in operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "put", "post", "delete", "patch", "head", "options")
    ]
    assert len(found) > 30, "the document describes the server"
    return found


def guarded(server: Server) -> list[Operation]:
    """Return the operations that need a key."""
    return [operation for operation in operations(server) if operation.path not in OPEN]
