"""Real clusters on loopback for tests: Dask's LocalCluster and a Ray head, each in processes of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from longshore.worker.executors import EngineName
from tests.unit.worker_server import poll

_DASK = """
import sys
from distributed import LocalCluster
port, workers, directory = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
with LocalCluster(
    n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1",
    scheduler_port=port, dashboard_address=None, local_directory=directory,
) as cluster:
    print("ready", flush=True)
    sys.stdin.read()
"""
START_S = 60.0
_PROCESSORS = 2


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ClusterProcess:
    """A cluster at an address that stays; it can be killed, and started there again."""

    engine: EngineName

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port
        self.log = directory / "cluster.log"
        directory.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def workers(self) -> list[psutil.Process]:
        """Return the processes that run functions."""
        raise NotImplementedError

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def start(self) -> None:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env={**os.environ, **environment(self.directory)},
                start_new_session=True,
            )
        poll(lambda: self.ready() or self.process.poll() is not None, START_S)
        assert self.process.poll() is None, self.log.read_text()

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End all its processes as `kill -9` does."""
        if self._process is None:
            return
        doomed = self.descendants()
        # The first one would start some of the others again.
        self.process.kill()
        for process in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(doomed, 10)
        self.process.wait(10)
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._process = None

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class DaskProcess(ClusterProcess):
    engine: EngineName = "dask"

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        arguments = [str(self.port), str(_PROCESSORS), str(self.directory)]
        return [sys.executable, "-c", _DASK, *arguments]

    def ready(self) -> bool:
        return "ready" in self.log.read_text()

    def workers(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.Process(self.process.pid).children()
            if "spawn_main" in " ".join(process.cmdline())
        ]


class RayProcess(ClusterProcess):
    engine: EngineName = "ray"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        ray = Path(sys.executable).with_name("ray")
        return [
            str(ray),
            "start",
            "--head",
            "--block",
            f"--port={self.port}",
            "--node-ip-address=127.0.0.1",
            f"--num-cpus={_PROCESSORS}",
            "--object-store-memory=80000000",
            "--include-dashboard=false",
            "--include-log-monitor=false",
            "--disable-usage-stats",
            f"--temp-dir={self.directory}",
        ]

    def ready(self) -> bool:
        return "Ray runtime started" in self.log.read_text()

    def workers(self) -> list[psutil.Process]:
        return [x for x in self.descendants() if x.name().startswith(("ray::IDLE", "ray::compute"))]


def environment(directory: Path) -> dict[str, str]:
    """Return what a cluster and those who connect to it need: no telemetry, no key in the home."""
    return {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",
        "TMPDIR": str(directory),
        "PYTHONUNBUFFERED": "1",
    }


def kill(process: psutil.Process) -> None:
    """End one process as `kill -9` does."""
    process.send_signal(signal.SIGKILL)
