"""The files in deploy: what of them can be run without a container engine or systemd is run.

Images are not built here. What a Containerfile names is there, its health check and its command
run in this environment, and the units are looked at by systemd-analyze where there is one.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from moto.server import ThreadedMotoServer
from PIL import Image

from longshore.settings import ClientSettings, Settings
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Server, eventually
from tests.conftest import PostgreSQLServer

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
UNITS = ("longshore.service", "longshore-worker.service")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PROGRAM = str(Path(sys.executable).with_name("longshore"))
SECRET_KEY = "A" * 43 + "="


def instructions(word: str) -> list[str]:
    return re.findall(rf"^{word}\s+(.*)$", CONTAINERFILE, re.MULTILINE)


def environment() -> dict[str, str]:
    """Return the variables that the image sets."""
    (line,) = instructions("ENV")
    return dict(part.split("=", 1) for part in line.split())


def test_what_the_containerfile_copies_and_installs_is_there() -> None:
    for line in instructions("COPY"):
        *sources, _ = [word for word in line.split() if not word.startswith("--")]
        if "--from=" not in line:
            assert [name for name in sources if not (ROOT / name).exists()] == []
    (extras,) = (line.partition("=")[2].split(",") for line in instructions("ARG"))
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    python = instructions("FROM")[0].rpartition("python:")[2].partition("-")[0]
    assert f"Programming Language :: Python :: {python}" in PROJECT["classifiers"]
    ignored = (DEPLOY / "Containerfile.dockerignore").read_text("utf-8").splitlines()
    kept = [line[1:] for line in ignored if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)


def test_the_image_runs_as_nobody_special() -> None:
    assert re.search(r"useradd .*--uid 10001", CONTAINERFILE)
    assert instructions("USER") == ["10001:10001"]


def known_variables(found: dict[str, Any]) -> list[str]:
    """Return those that begin with LONGSHORE_ and are no settings."""
    known = {*Settings.model_fields, *ClientSettings.model_fields}
    names = [name for name in found if name.startswith("LONGSHORE_")]
    return [name for name in names if name.removeprefix("LONGSHORE_").lower() not in known]


def test_the_composition_names_only_what_there_is() -> None:
    services = COMPOSE["services"]
    for name, service in services.items():
        assert set(service.get("depends_on", ())) <= set(services), name
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"]), name
        assert known_variables(service.get("environment", {})) == [], name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            there = (
                (DEPLOY / source).exists()
                if source.startswith("./")
                else source in COMPOSE["volumes"]
            )
            assert there, f"{name}: {volume}"
    written = (DEPLOY / "compose.yaml").read_text("utf-8")
    asked = set(re.findall(r"(?<!\$)\$\{(\w+):\?", written))
    example = (DEPLOY / "compose.env.example").read_text("utf-8")
    assert asked <= set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    assert services["worker"]["command"][1] == "/apps/line_count.py"
    for file in ("server.env.example", "worker.env.example"):
        text = (DEPLOY / file).read_text("utf-8")
        assert known_variables(dict.fromkeys(re.findall(r"^#?(\w+)=", text, re.MULTILINE))) == []


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The address of an S3 server with the bucket of the composition."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    with urllib.request.urlopen(urllib.request.Request(f"{address}/longshore", method="PUT")):
        yield address
    server.stop()


def composed(name: str, url: str, bucket: str) -> dict[str, str]:
    """Return what the composition sets for a server, with addresses of this machine."""
    variables = {
        key: re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] or "secret", value)
        for key, value in COMPOSE["services"][name]["environment"].items()
    }
    return {
        **variables,
        "LONGSHORE_DATABASE": url,
        "LONGSHORE_SECRET_KEY": SECRET_KEY,
        "LONGSHORE_TRUSTED_PROXIES": "127.0.0.1/32",
        "AWS_ENDPOINT_URL": bucket,
    }


@pytest.fixture
def harbour(tmp_path: Path) -> Iterator[Harbour]:
    with Harbour(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_two_servers_of_the_composition_share_a_database_and_a_bucket(
    harbour: Harbour, postgresql_server: PostgreSQLServer, bucket: str
) -> None:
    url = postgresql_server.new_database()
    servers: list[Server] = []
    for name in ("server1", "server2"):
        server = harbour.server(settings=composed(name, url, bucket))
        server.start()
        servers.append(server)
    first, second = servers
    # A key of one server is good at the other, and so are the files.
    made = longshore(
        "key", "create", "--role", "worker", "--name", "worker", "--json",
        LONGSHORE_DATA=str(first.data),
    )  # fmt: skip
    user = harbour.user(first)
    batch = user.batch_of({"a.txt": b"one\ntwo\n"})
    worker = harbour.worker(
        second,
        apps=DEPLOY / "apps/line_count.py",
        environment={"LONGSHORE_KEY": json.loads(made)["key"]},
    )
    worker.start()
    eventually(lambda: user.get("/api/v2/apps")["apps"], 30, "the worker has offered its app")
    run = user.post("/api/v2/apps/runs", {"app_name": "line count", "batch_id": batch})["id"]
    user.finished(run, 30)
    other = harbour.user(second, key=first.key)
    assert other.values(run)["a.txt"]["lines"] == "2"
    proxied(first)
    health_check(first)
    first.kill()
    eventually(lambda: ready(second) == 200, 20, "the other server goes on")
    again = other.post("/api/v2/apps/runs", {"app_name": "line count", "batch_id": batch})["id"]
    other.finished(again, 30)
    assert ready(first) is None


def longshore(*arguments: str, **variables: str) -> str:
    """Run a command of the command line; return its output."""
    inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
    return subprocess.run(
        [sys.executable, "-m", "longshore", *arguments],
        env={**inherited, **variables}, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip


def ready(server: Server) -> int | None:
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5, trust_env=False).status_code
    except httpx.TransportError:
        return None


def proxied(server: Server) -> None:
    """Check that addresses begin as the caller of the proxy wrote them."""
    types = [{"slug": "page"}]
    headers = {"Authorization": f"Bearer {server.key}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False) as client:
        corpus = client.post("/api/v1/corpus/", json={"name": "letters", "types": types}).json()
        image = client.post(
            "/longshore/v1/corpus/images?name=dot.png", content=picture()
        ).raise_for_status()
        assert corpus["id"]
        forwarded = {"Host": "longshore.example.org", "X-Forwarded-Proto": "https"}
        shown = client.get(f"/api/v1/image/{image.json()['id']}/", headers=forwarded).json()
    assert shown["url"].startswith("https://longshore.example.org/iiif/")


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("L", (8, 8)).save(made, "PNG")
    return made.getvalue()


def health_check(server: Server) -> None:
    """Run the health check of the image; it sees a server that is well, and one that is not there."""
    (line,) = instructions("HEALTHCHECK")
    _, program, code = json.loads(line.partition("CMD ")[2])
    assert program == "-c"
    for port, well in ((server.port, True), (1, False)):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "LONGSHORE_PORT": str(port)},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (ended.returncode == 0) is well


@pytest.mark.slow
def test_the_command_of_the_image_starts_a_server_with_its_environment(tmp_path: Path) -> None:
    (entry,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")
    words = [*json.loads(entry), *json.loads(command)]
    variables = environment()
    assert variables["LONGSHORE_HOST"] == "0.0.0.0"
    inherited = {name: text for name, text in os.environ.items() if "LONGSHORE" not in name}
    data = tmp_path / "data"
    with subprocess.Popen(
        [PROGRAM, *words[1:]],
        env={
            **inherited, **variables, "PATH": os.environ["PATH"],
            "LONGSHORE_DATA": str(data), "LONGSHORE_PORT": "0", "LONGSHORE_HOST": "127.0.0.1",
        },
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as server:  # fmt: skip
        try:
            eventually((data / "credentials.json").is_file, 30, "the server has started")
            found = json.loads((data / "credentials.json").read_text("utf-8"))
            eventually(lambda: answers(found["url"]), 20, "it is ready")
        finally:
            server.terminate()
            server.wait(30)
    assert server.returncode == 0


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_understands_the_units_and_finds_the_server_well_shut_in(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DEPLOY / name).read_text("utf-8")
        assert "/opt/longshore/bin/longshore" in text
        text = text.replace("/opt/longshore/bin/longshore", PROGRAM)
        (tmp_path / name).write_text(
            re.sub(r"^EnvironmentFile=/", "EnvironmentFile=-/", text, flags=re.M)
        )
    units = [str(tmp_path / name) for name in UNITS]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (verified.returncode, verified.stderr) == (0, "")
    looked = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", units[0]],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stdout[-300:]


@pytest.mark.parametrize("name", UNITS)
def test_the_commands_of_the_units_exist_with_their_options(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    (line,) = re.findall(r"^ExecStart=/opt/longshore/bin/longshore (.*)$", text, re.MULTILINE)
    command, *rest = line.split()
    helped = longshore(command, "--help")
    assert [word for word in rest if word.startswith("--") and word not in helped] == []
