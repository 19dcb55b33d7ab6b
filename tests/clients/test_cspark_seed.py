"""The published example of the client: everything that is pushed comes out of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.spark_client import EARLY, PRESENT, finish, run_program
from tests.clients.spark_rig import SparkServer, StartSpark
from tests.conftest import KINDS

PROGRAM_OF = {EARLY: "spark_create_and_run.py", PRESENT: "spark_create_and_run_today.py"}
RECORDS = {"seed/fast": 1_500, "seed/slow": 450, "seed/failing": 1_500}
FINISH_S = 60.0


@dataclass
class Example:
    """One run of the example, in a home of its own."""

    client: str
    service: str
    home: Path
    program: subprocess.Popen[str] | None = None

    @property
    def records(self) -> int:
        return RECORDS[self.service]

    def start(self, server: SparkServer) -> None:
        self.home.mkdir()
        rows: list[Any] = [{"value": number} for number in range(self.records)]
        if self.client == PRESENT:
            rows = [["value"], *[[number] for number in range(self.records)]]
        (self.home / "inputs.json").write_text(json.dumps(rows))
        self.program = run_program(
            self.client,
            self.home,
            PROGRAM_OF[self.client],
            INPUTS=str(self.home / "inputs.json"),
            OUTPUTS=str(self.home / "outputs.json"),
            SERVICE=self.service,
            SPARK_URL=server.url,
            SPARK_TENANT=server.tenant,
            CSPARK_API_KEY=server.key,
        )

    def squares(self) -> list[tuple[int, int] | None]:
        """Return what came out, with None for each record that failed."""
        assert self.program is not None
        printed = finish(self.program, FINISH_S)
        outputs = json.loads((self.home / "outputs.json").read_text())
        header: list[str] = []
        found: list[tuple[int, int] | None] = []
        for each in outputs:
            if isinstance(each, list) and (not each or isinstance(each[0], str)):
                # A chunk without records, which the client makes of a header, has no names.
                header = each
                continue
            output = dict(zip(header, each, strict=True)) if isinstance(each, list) else each
            square = output and output["square"]
            found.append((output["value"], square) if square is not None else None)
        assert len(found) == self.records, printed
        return found


@pytest.fixture
def examples(spark_servers: StartSpark, tmp_path: Path) -> Iterator[dict[str, list[Example]]]:
    """All runs of the example, which begin together since they wait most of the time."""
    made = {
        kind: [
            Example(client, service, tmp_path / f"{kind}-{client}-{service.replace('/', '-')}")
            for client in PROGRAM_OF
            for service in (RECORDS if kind == "sqlite" else ["seed/failing"])
        ]
        for kind in KINDS
    }
    yield made
    for example in (example for each in made.values() for example in each):
        if example.program is not None:
            example.program.kill()
            example.program.communicate()


@pytest.mark.slow
def test_the_example_returns_all_outputs(
    spark_servers: StartSpark, examples: dict[str, list[Example]]
) -> None:
    for kind, runs in examples.items():
        for example in runs:
            example.start(spark_servers(kind))
    for example in (example for each in examples.values() for example in each):
        squares = example.squares()
        failed = [n for n in range(example.records) if n % 100 == 7]
        expected = {(n, n * n) for n in range(example.records)}
        if example.service == "seed/failing":
            expected -= {(n, n * n) for n in failed}
            assert squares.count(None) == len(failed)
        assert {each for each in squares if each is not None} == expected
