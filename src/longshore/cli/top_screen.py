"""The screen of `longshore top`; needs textual, of the extra [tui]."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Final

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Label, Static

from longshore.cli.console import printable
from longshore.cli.top_data import Look, Looker, age_text, by_state
from longshore.errors import LongshoreError
from longshore.sdk import Client

_COLUMNS: Final = {
    "queues": ("QUEUE", "WAITING", "RUNNING", "FAILED", "DONE", "PER S", "OLDEST", "HELD"),
    "needs": ("NEEDS A PERSON", "WHAT", "WHY"),
    "works": ("RUNNING WORK", "QUEUE", "ATTEMPT", "FOR"),
    "workers": ("WORKER", "SLOTS", "RUNNING", "SEEN"),
}
_STATES: Final = ("queued", "waiting", "running", "retrying", "success", "failure", "cancelled")
_WHY_HELD: Final = "held from longshore top"
_TROUBLE: Final = "not done: "
_WHY_CANCELLED: Final = "cancelled from longshore top"
Cells = tuple[str, ...]


class Told(ModalScreen[None]):
    """A text over the screen, until a key."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "dismiss", "Back")]

    def __init__(self, heading: str, text: str) -> None:
        """Show a text below a heading."""
        super().__init__()
        self._heading, self._text = heading, text

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with VerticalScroll(id="told"):
            yield Label(self._heading, id="heading", markup=False)
            yield Static(self._text, id="text", markup=False)
            yield Label("Esc goes back", markup=False)


class Asked(ModalScreen[bool]):
    """A question over the screen; only y is yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        """Ask it."""
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lay it out."""
        with Vertical(id="asked"):
            yield Static(self._question, id="question", markup=False)
            yield Label("y  yes      n  no", markup=False)

    def action_answer(self, yes: bool) -> None:
        """Take the answer."""
        _ = self.dismiss(yes)


class Top(App[None]):
    """Queues, workers, running works, and what needs a person."""

    TITLE = "longshore top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #totals { height: 1; padding: 0 1; text-style: bold; }
    #trouble { height: auto; padding: 0 1; color: $error; display: none; }
    Grid { grid-size: 2 2; grid-columns: 3fr 2fr; }
    DataTable { height: 1fr; border: round $panel; }
    DataTable:focus { border: round $accent; }
    Told, Asked { align: center middle; }
    #told, #asked { width: 80%; height: auto; max-height: 80%; border: thick $accent;
                    background: $surface; padding: 1 2; }
    #heading { text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("tab", "app.focus_next", "Next table", show=False),
        Binding("h", "hold", "Hold or release a queue"),
        Binding("c", "cancel", "Cancel a work"),
        Binding("r", "look", "Look now"),
    ]

    def __init__(self, client: Client, *, interval_s: float = 1.0) -> None:
        """Look at a server; the client stays open, whoever opened it closes it."""
        super().__init__()
        self._client = client
        self._looker = Looker(client)
        self._interval_s = interval_s
        self.latest: Look | None = None

    def compose(self) -> ComposeResult:
        """Lay the tables out."""
        yield Static("", id="totals", markup=False)
        yield Static("", id="trouble", markup=False)
        with Grid():
            for name in _COLUMNS:
                yield DataTable(id=name, cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look."""
        for name, columns in _COLUMNS.items():
            self._table(name).add_columns(*columns)
        self._table("queues").focus()
        self.action_look()
        self.set_interval(self._interval_s, self.action_look)

    @work(thread=True, exclusive=True, group="look")
    def action_look(self) -> None:
        """Ask the server in the background, and show what it says."""
        try:
            look = self._looker.look()
        except LongshoreError as error:
            self.call_from_thread(self._show_trouble, str(error))
            return
        self.call_from_thread(self._show, look)

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Say why: of a work, or of a queue and its oldest work."""
        self._explain(str(event.data_table.id), str(event.row_key.value))

    @work(thread=True, group="act")
    def _explain(self, table: str, key: str) -> None:
        work_id = self._work_of(table, key)
        if work_id is None:
            heading, text = key, self._about(table, key)
        else:
            heading, text = work_id, self._asked(lambda: self._client.why(work_id).text)
        self.call_from_thread(self.push_screen, Told(heading, printable_lines(text)))

    def action_hold(self) -> None:
        """Hold the queue of the row, or release it, after asking."""
        queue = self._queue_of_row()
        if queue is None:
            self.notify("Choose a queue first.")
            return
        word = "Hold" if queue.held is None else "Release"
        question = f"{word} queue {printable(queue.name)}?"

        def answered(yes: bool | None) -> None:
            if not yes:
                return
            if queue.held is None:
                self._act(lambda: self._client.queues.hold(queue.id, _WHY_HELD), "held")
            else:
                self._act(lambda: self._client.queues.release(queue.id), "released")

        _ = self.push_screen(Asked(question), answered)

    def action_cancel(self) -> None:
        """Cancel the work of the row, after asking."""
        table, key = self._row()
        work_id = None if key is None else self._work_of(table, key)
        if work_id is None:
            self.notify("Choose a work first.")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                cancel = self._client.works.cancel
                self._act(lambda: cancel(work_id, _WHY_CANCELLED), f"{work_id}: cancelled")

        _ = self.push_screen(Asked(f"Cancel work {work_id}?"), answered)

    @work(thread=True, group="act")
    def _act(self, change: Callable[[], object], done: str) -> None:
        told = self._asked(change)
        self.call_from_thread(self.notify, told if told.startswith(_TROUBLE) else done)
        self.call_from_thread(self.action_look)

    def _asked(self, ask: Callable[[], object]) -> str:
        """Return what the server says, or what is wrong."""
        try:
            return str(ask())
        except LongshoreError as error:
            return f"{_TROUBLE}{error}"

    def _show(self, look: Look) -> None:
        self.latest = look
        self.query_one("#trouble").styles.display = "none"
        counts = "  ".join(f"{state} {look.totals.get(state, 0):,}" for state in _STATES)
        slots = sum(worker.slots for worker in look.workers)
        busy = sum(worker.running for worker in look.workers)
        rate = sum(look.rates.values())
        line = f"{self._client.url}   {counts}   {rate:,.1f}/s   {busy} of {slots} slots"
        self.query_one("#totals", Static).update(line)
        self._fill("queues", ((str(queue.id), _queue_cells(queue, look)) for queue in look.queues))
        self._fill(
            "needs",
            (
                (each.work_id or str(each.queue_id), (each.kind, each.what, each.why))
                for each in look.needs
            ),
        )
        self._fill("works", ((str(each["id"]), _work_cells(each)) for each in look.running))
        self._fill(
            "workers",
            (
                (each.id, (each.name, str(each.slots), str(each.running), age_text(each.seen_at)))
                for each in look.workers
            ),
        )

    def _show_trouble(self, text: str) -> None:
        trouble = self.query_one("#trouble", Static)
        trouble.update(printable(text))
        trouble.styles.display = "block"

    def _fill(self, name: str, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
        """Replace the rows of a table; the cursor stays on the row that it was on."""
        table = self._table(name)
        _, key = self._row_of(table)
        table.clear()
        seen: set[str] = set()
        for row_key, cells in rows:
            if row_key not in seen:
                seen.add(row_key)
                table.add_row(*(printable(cell) for cell in cells), key=row_key)
        if key in seen:
            table.move_cursor(row=table.get_row_index(key), animate=False)

    def _table(self, name: str) -> DataTable[str]:
        table: DataTable[str] = self.query_one(f"#{name}", DataTable)
        return table

    def _row(self) -> tuple[str, str | None]:
        focused = self.focused
        return self._row_of(focused) if isinstance(focused, DataTable) else ("", None)

    def _row_of(self, table: DataTable[Any]) -> tuple[str, str | None]:
        if not table.is_valid_coordinate(table.cursor_coordinate):
            return str(table.id), None
        return str(table.id), table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value

    def _work_of(self, table: str, key: str) -> str | None:
        return key if table in ("works", "needs") and key.startswith("wk_") else None

    def _queue_of_row(self) -> Any:
        table, key = self._row()
        if self.latest is None or key is None or table == "workers":
            return None
        if self._work_of(table, key) is not None:
            wanted = {str(each["queue"]) for each in self.latest.running if each["id"] == key}
            wanted |= {str(need.queue_id) for need in self.latest.needs if need.work_id == key}
        else:
            wanted = {key}
        return next((each for each in self.latest.queues if str(each.id) in wanted), None)

    def _about(self, table: str, key: str) -> str:
        """Say what there is to say about a queue or a worker."""
        look = self.latest
        if look is None:
            return "Nothing is known yet."
        if table == "workers":
            worker = next((each for each in look.workers if each.id == key), None)
            if worker is None:
                return "It has left."
            return f"{worker.name} is online since {worker.started_at}, with {worker.slots} slots."
        queue = next((each for each in look.queues if str(each.id) == key), None)
        if queue is None:
            return "It is gone."
        if queue.held is not None:
            return f"{queue.name} is held since {queue.held.since}: {queue.held.why}"
        return (
            f"{queue.name} ({queue.surface}): {by_state(queue, 'queued')} queued, "
            f"{queue.workers_online or 0} workers online"
        )


def printable_lines(text: str) -> str:
    """Return a text of several lines without what steers a terminal."""
    return "\n".join(printable(line) for line in text.splitlines())


def _queue_cells(queue: Any, look: Look) -> Cells:
    return (
        queue.name,
        str(by_state(queue, "queued", "waiting", "retrying")),
        str(by_state(queue, "running")),
        str(by_state(queue, "failure")),
        str(by_state(queue, "success")),
        f"{look.rates.get(queue.id, 0.0):.1f}",
        age_text(queue.oldest_at),
        "" if queue.held is None else queue.held.why,
    )


def _work_cells(found: dict[str, Any]) -> Cells:
    attempt = f"{found['attempt']} of {found['attempts_max']}"
    return str(found["id"]), str(found["queue_name"]), attempt, age_text(found["started"])
