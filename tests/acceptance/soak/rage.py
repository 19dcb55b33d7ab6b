"""The soak of a bucket: processes that deposit, work and are killed, and what must be left."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import select

from longshore.engine.states import Reason, State
from longshore.engine.tables import events, is_final, works
from longshore.storage import open_database
from longshore.surfaces.buckets.tables import bucket_works
from tests.acceptance.conftest import Harbour
from tests.acceptance.harness import Command, Server, eventually

PROGRAM = Path(__file__).with_name("program.py")
UNFENCED = Path(__file__).with_name("unfenced.py")
BUCKET = "soak"
WORKERS = 8
DEPOSITORS = 4
TIMEOUT_S = 1
"""Time limit of each work; its lease ends a little later, when the auditor comes by."""
HELD_SHARE = 0.02
"""Share of works whose worker reports only when their time is over."""
DRAINED_WITHIN_S = 60.0
VICTIMS = ("worker", "depositor", "worker", "server", "worker", "depositor", "worker")


class Hand(Command):
    """A process of the soak, started again after each death; its record outlives it."""

    program = (str(PROGRAM),)

    def __init__(
        self, harbour: Harbour, role: str, number: int, server: Server, held_share: float
    ) -> None:
        super().__init__(harbour.directory, f"{role}-{number}", harbour.mark)
        self.role = role
        self.record = harbour.directory / f"{role}-{number}.jsonl"
        self._arguments = [role, str(server.port), server.key, str(self.record)]
        self._arguments += [str(TIMEOUT_S), str(held_share)]

    def start(self) -> None:
        self.launch(self._arguments, {})

    def lines(self) -> list[dict[str, Any]]:
        """Return what was acknowledged to this process in all its lives."""
        if not self.record.exists():
            return []
        return [json.loads(line) for line in self.record.read_text("utf-8").splitlines()]


class UnfencedServer(Server):
    """The control: the same server without the fence."""

    program = (str(UNFENCED),)


@dataclass
class Findings:
    """What a soak left behind, counted from the records of its processes and the database."""

    acknowledged: set[str] = field(default_factory=set)
    held: int = 0
    refused: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    """Works that were acknowledged and are not there, or have no final state."""
    forgotten: list[str] = field(default_factory=list)
    """Works whose success was acknowledged, and that do not carry what was reported."""
    doubles: list[str] = field(default_factory=list)
    """Works of which more than one success was recorded."""
    twins: list[str] = field(default_factory=list)
    """Works that were made twice by one deposit."""

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {name}s" for name, count in sorted(self.kills.items()))
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return (
            f"{len(self.acknowledged)} works acknowledged ({states}); killed {kills}; "
            f"{self.held} held past their time, {self.refused} reports refused; "
            f"{len(self.lost)} lost, {len(self.forgotten)} successes forgotten, "
            f"{len(self.doubles)} recorded twice, {len(self.twins)} twins"
        )


class Soak:
    """One server, its hands, and the one who kills them."""

    def __init__(
        self, harbour: Harbour, server: Server, *, seed: int, held_share: float = HELD_SHARE
    ) -> None:
        self.server = server
        self.findings = Findings()
        self._chance = random.Random(seed)
        self._harbour = harbour
        self._held_share = held_share
        self._hands: list[Hand] = []

    def run(self, for_s: float) -> Findings:
        """Let it all go on for so long, then until everything has ended; look at what is left."""
        self.server.start()
        roles = ["auditor", *["worker"] * WORKERS, *["depositor"] * DEPOSITORS]
        self._hands = [
            Hand(self._harbour, role, number, self.server, self._held_share)
            for number, role in enumerate(roles)
        ]
        self._harbour.commands += self._hands
        for hand in self._hands:
            hand.start()
        self._rage(for_s)
        for hand in self._of("depositor"):
            hand.kill()
        eventually(self._drained, DRAINED_WITHIN_S, "every work has ended")
        for hand in self._hands:
            assert hand.running or hand.role == "depositor", hand.tail()
            hand.kill()
        assert self.server.stop() == 0
        self._look()
        return self.findings

    def _of(self, role: str) -> list[Hand]:
        return [hand for hand in self._hands if hand.role == role]

    def _rage(self, for_s: float) -> None:
        deadline = time.monotonic() + for_s
        pause = threading.Event()
        for role in cycle(VICTIMS):
            pause.wait(self._chance.uniform(0.2, 0.9))
            if time.monotonic() >= deadline:
                return
            self.findings.kills[role] += 1
            if role == "server":
                self.server.restart()
            else:
                victim = self._chance.choice(self._of(role))
                assert victim.running, victim.tail()
                victim.kill()
                victim.start()

    def _drained(self) -> bool:
        pending: list[dict[str, Any]] = [
            {"status": {"$in": ["queued", "running"]}},
            {"status": "failure", "$expr": {"$lt": ["$attempt", "$retries"]}},
        ]
        answer = httpx.post(
            f"{self.server.url}/buckets/view",
            json={"query": {"$or": pending}, "projection": {"id": True}, "limit": 1},
            headers={"x-access-token": self.server.key},
            timeout=30.0,
            trust_env=False,
        )
        assert answer.is_success, answer.text
        return not answer.json()

    def _look(self) -> None:
        lines = [line for hand in self._hands for line in hand.lines()]
        found = self.findings
        found.acknowledged = {work_id for line in lines for work_id in line.get("deposited", ())}
        found.held = sum("held" in line for line in lines)
        found.refused = sum("refused" in line for line in lines)
        reported: dict[str, set[str]] = {}
        for line in lines:
            if "done" in line:
                reported.setdefault(line["done"], set()).add(line["by"])
        kept = self._kept()
        found.states = Counter(row["state"] for row in kept.values())
        found.lost = sorted(
            work_id
            for work_id in found.acknowledged
            if work_id not in kept or not kept[work_id]["final"]
        )
        found.forgotten = sorted(
            work_id
            for work_id, by in reported.items()
            if work_id not in kept
            or kept[work_id]["state"] != State.SUCCESS
            or kept[work_id]["by"] not in by
        )
        found.doubles = sorted(
            {work_id for work_id, by in reported.items() if len(by) > 1}
            | {work_id for work_id, row in kept.items() if row["successes"] > 1}
        )
        keys = Counter(row["key"] for row in kept.values())
        found.twins = sorted(key for key, count in keys.items() if count > 1)

    def _kept(self) -> dict[str, dict[str, Any]]:
        """Return what the database has of each work."""
        opened = open_database(self.server.database)
        statement = select(
            works.c.id, works.c.state, is_final(works).label("final"), bucket_works.c.document
        ).join(bucket_works, bucket_works.c.work_id == works.c.id)
        succeeded = select(events.c.work_id).where(events.c.reason == Reason.DONE)
        try:
            rows = opened.read_blocking(lambda connection: connection.execute(statement).all())
            successes = Counter(
                opened.read_blocking(
                    lambda connection: connection.execute(succeeded).scalars().all()
                )
            )
        finally:
            opened.close()
        kept = {}
        for row in rows:
            document = json.loads(row.document)
            kept[row.id] = {
                "state": row.state,
                "final": row.final,
                "successes": successes[row.id],
                "key": document["parameters"]["key"],
                "by": (document["results"] or {}).get("by"),
            }
        return kept
