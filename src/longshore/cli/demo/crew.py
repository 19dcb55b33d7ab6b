"""The workers of `longshore demo all`: child processes that live as long as the demo."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from longshore.cli.demo.filling import corpus
from longshore.cli.demo.filling.reaching import Reach
from longshore.cli.demo.names import (
    DEMO_HOST,
    DEMO_HOST_OTHER,
    DEMO_WORKER_KEY,
    DEMO_WORKER_NAMES,
)
from longshore.cli.demo.processes import Process
from longshore.errors import ConfigurationError

CODE: Final = Path(__file__).parent / "code"


class _Worker(Process):
    def __init__(self, directory: Path, name: str, arguments: list[str], url: str) -> None:
        super().__init__(directory, name)
        self._arguments = ["worker", *arguments, "--name", name, "--server", url, "--drain-s", "1"]

    def start(self, url: str, key: str) -> None:
        """Start the worker; it claims as soon as it is ready."""
        self._start(self._arguments, LONGSHORE_URL=url, LONGSHORE_KEY=key)


class Crew:
    """The workers of one server; the logs and nothing else are kept in `directory`."""

    def __init__(self, reach: Reach, directory: Path) -> None:
        """Choose whom they work for; nothing is started yet."""
        self._reach = reach
        code, slow, ship, quay = DEMO_WORKER_NAMES
        steps = str(CODE / "steps")
        modules = [str(CODE / "living.py"), str(CODE / "receipts.py")]
        slower = [str(CODE / "receipts_before.py")]
        if corpus.available():
            slower.append(str(CODE / "elements.py"))
        self._workers = [
            _Worker(directory, name, arguments, reach.url)
            for name, arguments in (
                (code, [*modules, "--executor", "thread", "--slots", "12"]),
                (slow, [*slower, "--slots", "3"]),
                (ship, ["--host", DEMO_HOST, "--scripts", steps, "--slots", "4"]),
                (quay, ["--host", DEMO_HOST_OTHER, "--scripts", steps, "--slots", "2"]),
            )
        ]
        self._key_id: str | None = None

    def __enter__(self) -> Self:
        """Start the workers, with a key of their own; they are ready a moment later."""
        key = self._reach.client.keys.create(DEMO_WORKER_KEY, "worker")
        self._key_id = key.id
        try:
            for worker in self._workers:
                worker.start(self._reach.url, key.key)
        except BaseException:
            self._stop()
            raise
        self._reach.watch(self.expect_alive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the workers and end their key; what they held is queued again."""
        self._stop()

    def expect_alive(self) -> None:
        """Raise ConfigurationError when a worker has ended by itself."""
        for worker in self._workers:
            if worker.ended:
                raise ConfigurationError(
                    f"A worker of the demo ended by itself. Its last words: {worker.last_words()}"
                )

    def _stop(self) -> None:
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.stop()
        if self._key_id is not None:
            self._reach.client.keys.revoke(self._key_id)
