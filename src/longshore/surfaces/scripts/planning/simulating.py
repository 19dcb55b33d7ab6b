"""What would happen: a run played through on paper, event by event, without chance.

A simulated step starts when all that it waits for is over, its concurrency keys have room and its
host has a free slot. Of those that could start, the host takes the highest priority first (the
very numbers of `ordering.priority`), then the one that was ready first, then the one that was
submitted first, as the engine's claim does. Every attempt succeeds, conditions hold, flags are
set, nothing else runs on the hosts, and starting takes no time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from longshore.surfaces.scripts.definition.model import Order
from longshore.surfaces.scripts.planning.graph import Graph
from longshore.surfaces.scripts.planning.ordering import longest_paths, priority, remaining_paths


@dataclass(frozen=True, slots=True)
class Task:
    """A step as the simulator sees it.

    Attributes:
        name: unique.
        host: where it needs a slot; None for what takes none and no time, such as a step that is
            over, or the one that stands for all instances of a matrix.
        duration_s: still to run, or to run altogether where it has not started.
        before: steps that it waits for.
        keys: concurrency keys that it holds from the moment it is ready, with their limits.
        running: it has its slot already.
        submitted: it is ready already, and holds its concurrency keys.
        held: it never starts, and nothing that waits for it.
        ready_s: when it became ready, in seconds relative to the start, where that was before it.
        event_priority: 0 to 999, lower first.
        priority: the engine's, of what has one already that is not to be worked out here.
    """

    name: str
    host: str | None
    duration_s: float
    before: tuple[str, ...] = ()
    keys: tuple[tuple[str, int], ...] = ()
    running: bool = False
    submitted: bool = False
    held: bool = False
    ready_s: float = 0.0
    event_priority: int = 100
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Tasks with their graph and priorities, made once and simulated as often as wanted."""

    tasks: tuple[Task, ...]
    graph: Graph
    priorities: tuple[int, ...]
    after: tuple[tuple[int, ...], ...]

    @classmethod
    def of(
        cls,
        tasks: Sequence[Task],
        order: Order | None,
        *,
        expected: Mapping[str, float] | None = None,
    ) -> Plan:
        """Plan tasks, given in the order of their submission.

        Args:
            tasks: what is to be run.
            order: how ready steps are ordered; None for first come, first served.
            expected: seconds that the priorities are made from, where other durations than
                those of the tasks are expected.

        Raises:
            InvalidRequest: the tasks wait for each other in a circle.
        """
        graph = Graph.of({task.name: task.before for task in tasks})
        known = expected or {task.name: task.duration_s for task in tasks}
        paths = remaining_paths(graph, known, order) if order is not None else {}
        place = {task.name: index for index, task in enumerate(tasks)}
        return cls(
            tasks=tuple(tasks),
            graph=graph,
            priorities=tuple(
                priority(task.event_priority, paths.get(task.name, 0.0))
                if task.priority is None
                else task.priority
                for task in tasks
            ),
            after=tuple(tuple(place[each] for each in graph.after[task.name]) for task in tasks),
        )

    @property
    def hosts(self) -> list[str]:
        """The hosts that tasks need, in the order in which they are first named."""
        return list(dict.fromkeys(task.host for task in self.tasks if task.host is not None))

    def lasting(self, durations: Sequence[float]) -> Plan:
        """Return the same plan with other durations, and the priorities that it had."""
        tasks = tuple(
            replace(task, duration_s=duration_s)
            for task, duration_s in zip(self.tasks, durations, strict=True)
        )
        return Plan(tasks, self.graph, self.priorities, self.after)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a simulated run went; times in seconds from the start.

    Attributes:
        makespan_s: until the last step was over.
        starts: of each step that started; 0 for what was running.
        ends: of each step that ended.
        busy_s: seconds in which slots of each host were taken.
        slots: of each host.
        stuck: steps that never started: held, without a worker for their host, or behind such.
    """

    makespan_s: float
    starts: Mapping[str, float]
    ends: Mapping[str, float]
    busy_s: Mapping[str, float]
    slots: Mapping[str, int]
    stuck: tuple[str, ...]

    @property
    def idle_s(self) -> float:
        """Seconds in which slots had nothing to do, added up over all slots."""
        return max(sum(self.slots.values()) * self.makespan_s - sum(self.busy_s.values()), 0.0)

    @property
    def utilisation(self) -> float:
        """Which part of the time of all slots was used, 0 to 1."""
        whole = sum(self.slots.values()) * self.makespan_s
        return min(sum(self.busy_s.values()) / whole, 1.0) if whole else 0.0


def simulate(plan: Plan, slots: Mapping[str, int]) -> Outcome:
    """Play a plan through with so many slots on each host; a host not named has none."""
    play = _Play(plan, {host: slots.get(host, 0) for host in plan.hosts})
    play.begin()
    while play.running:
        play.step()
    return play.outcome()


def lower_bound(plan: Plan, slots: Mapping[str, int]) -> float:
    """Return the seconds that no order can beat: the longest chain, or a host's work over its slots."""
    chain = max(
        longest_paths(plan.graph, {task.name: task.duration_s for task in plan.tasks}).values(),
        default=0.0,
    )
    work: defaultdict[str, float] = defaultdict(float)
    for task in plan.tasks:
        if task.host is not None:
            work[task.host] += task.duration_s
    shares = (seconds / slots[host] for host, seconds in work.items() if slots.get(host, 0) > 0)
    return max(chain, *shares, 0.0)


@dataclass(slots=True)
class _Play:
    """One simulation under way; tasks are known by their places in the plan."""

    plan: Plan
    slots: dict[str, int]
    now_s: float = 0.0
    missing: list[int] = field(default_factory=list)
    free: dict[str, int] = field(default_factory=dict)
    ready: dict[str, list[tuple[int, float, int]]] = field(default_factory=dict)
    running: list[tuple[float, int]] = field(default_factory=list)
    keyed: list[tuple[int, float, int]] = field(default_factory=list)
    taken: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    starts: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    busy_s: dict[str, float] = field(default_factory=dict)

    def begin(self) -> None:
        tasks = self.plan.tasks
        self.missing = [len(self.plan.graph.before[task.name]) for task in tasks]
        self.free = dict(self.slots)
        self.ready = {host: [] for host in self.slots}
        self.busy_s = dict.fromkeys(self.slots, 0.0)
        first: list[int] = []
        for index, task in enumerate(tasks):
            if task.running or task.submitted:
                self._take_keys(task)
            if task.running:
                self._run(index)
            elif not self.missing[index]:
                first.append(index)
        self._make_ready(first)
        self._claim()

    def step(self) -> None:
        """Go to the next moment at which a step ends; all that end then have ended at once."""
        self.now_s = self.running[0][0]
        ended: list[int] = []
        while self.running and self.running[0][0] <= self.now_s:
            ended.append(heapq.heappop(self.running)[1])
        able: list[int] = []
        for index in ended:
            task = self.plan.tasks[index]
            if task.host is not None:
                self.free[task.host] += 1
            for key, _ in task.keys:
                self.taken[key] -= 1
            able += self._over(index)
        self._make_ready(able)
        self._claim()

    def outcome(self) -> Outcome:
        return Outcome(
            makespan_s=max(self.ends.values(), default=0.0),
            starts=self.starts,
            ends=self.ends,
            busy_s=self.busy_s,
            slots=self.slots,
            stuck=tuple(task.name for task in self.plan.tasks if task.name not in self.ends),
        )

    def _over(self, index: int) -> list[int]:
        """Note that a task is over; return those that waited for nothing else."""
        self.ends[self.plan.tasks[index].name] = self.now_s
        able: list[int] = []
        for later in self.plan.after[index]:
            self.missing[later] -= 1
            if not self.missing[later]:
                able.append(later)
        return able

    def _make_ready(self, able: list[int]) -> None:
        """Submit what waits for nothing any more; a task without a host is over at once."""
        tasks, priorities = self.plan.tasks, self.plan.priorities
        while able:
            index = able.pop()
            task = tasks[index]
            if task.running or task.held:
                continue
            if task.host is None:
                self.starts[task.name] = self.now_s
                able += self._over(index)
                continue
            place = (-priorities[index], self.now_s + task.ready_s, index)
            if task.keys and not task.submitted:
                heapq.heappush(self.keyed, place)
            else:
                heapq.heappush(self.ready[task.host], place)
        if self.keyed:
            self._admit_keyed()

    def _admit_keyed(self) -> None:
        kept: list[tuple[int, float, int]] = []
        for place in sorted(self.keyed):
            task = self.plan.tasks[place[2]]
            if task.host is None or any(self.taken[key] >= limit for key, limit in task.keys):
                kept.append(place)
                continue
            self._take_keys(task)
            # It is submitted now, however long it has waited for its keys.
            heapq.heappush(self.ready[task.host], (place[0], max(place[1], self.now_s), place[2]))
        self.keyed = kept

    def _claim(self) -> None:
        for host, waiting in self.ready.items():
            while waiting and self.free[host] > 0:
                self._run(heapq.heappop(waiting)[2])

    def _run(self, index: int) -> None:
        task = self.plan.tasks[index]
        self.starts[task.name] = self.now_s
        heapq.heappush(self.running, (self.now_s + task.duration_s, index))
        if task.host is not None:
            self.free[task.host] -= 1
            self.busy_s[task.host] += task.duration_s

    def _take_keys(self, task: Task) -> None:
        for key, _ in task.keys:
            self.taken[key] += 1
