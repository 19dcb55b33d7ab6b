"""What a step of a workflow has and hands on, for scripts that a worker starts.

    from longshore import step

    @step.main
    def main():
        rows = step.previous["extract"]
        password = step.secret("db_password")
        step.put({"rows": load(rows, password, step.run.date)})

| name | what it is |
|---|---|
| `step.event` | payload of the event that started the run; None where none did |
| `step.previous["load"]` | what another step of the run has put |
| `step.put(value)` | hands a value to later steps, as JSON; again replaces it |
| `step.secret("name")` | an entry of the keystore that the step's definition lists |
| `step.once(key)` | does something once, however often the step is run |
| `step.run` | the run: id, date, attempt, step, workflow, environment, matrix |
| `step.main` | runs a function as the step: exit status, traceback, orderly end when told to stop |

What goes wrong is raised, as classes of `longshore.errors`. A script that raises ends with a
traceback and exit status 1, so that its step fails.

The one-time code of the step is swapped in the background as soon as this module is imported, so
that it cannot grow too old while the script loads what it needs.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar

from longshore import errors

if TYPE_CHECKING:
    import datetime as dt

__all__ = ["event", "main", "once", "previous", "put", "run", "secret"]

P = ParamSpec("P")
R = TypeVar("R")

event: Any
"""Payload of the event that started the run; None where it was started without one."""

ONCE_WAIT_S = 60.0
_PAUSE_MAX_S = 5.0
_ENDED_BY_SIGTERM = 128 + signal.SIGTERM


class Run:
    """The run that this step belongs to.

    Attributes:
        id: of the run; the same for all of its steps and attempts.
        date: its business date.
        attempt: which attempt of the step this is, from 1.
        step: name of the step, with its values where it is an instance of a matrix.
        workflow: name of the workflow.
        environment: name of the organisation.
        matrix: values of this instance of a matrix as texts, by names in lower case.
    """

    __slots__ = ("attempt", "date", "environment", "id", "matrix", "step", "workflow")

    def __init__(self) -> None:
        """Read the environment that the worker has set.

        Raises:
            ConfigurationError: no worker has started this process as a step.
        """
        import datetime as dt  # noqa: PLC0415 - few scripts need it

        self.id: int = int(_variable("RUNID"))
        self.date: dt.date = dt.date.fromisoformat(_variable("RUNDATE"))
        self.attempt: int = int(_variable("ATTEMPT"))
        self.step: str = _variable("STEPNAME")
        self.workflow: str = _variable("WORKFLOW")
        self.environment: str = _variable("ENV")
        self.matrix: dict[str, str] = {
            name[len("MATRIX_") :].lower(): text
            for name, text in _environment().items()
            if name.startswith("MATRIX_")
        }

    def __repr__(self) -> str:
        return f"Run(id={self.id}, date={self.date}, step={self.step!r}, attempt={self.attempt})"


run: Run
"""The run that this step belongs to."""


class Previous:
    """What the other steps of the run have put, by their names in any case.

    A step with a matrix, by its name in the definition, has the list of its instances' values.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        """Return what the step has put: by its attempt that succeeded, else by its latest.

        Raises:
            NotFound: the run has no such step, or it has put nothing.
        """
        return _answer(_library().GetStepPayload(name))["payload"]

    def get(self, name: str, default: Any = None) -> Any:
        """Return what the step has put, or `default` where there is nothing."""
        try:
            return self[name]
        except errors.NotFound:
            return default

    def __contains__(self, name: str) -> bool:
        missing = object()
        return self.get(name, missing) is not missing


previous = Previous()


def put(value: Any) -> None:
    """Hand a value to later steps; what the same attempt has put before is replaced.

    Raises:
        InvalidRequest: it is no JSON: lists, dicts with text as keys, texts, finite numbers, true,
            false and None are.
        TooLarge: it has more than 1 MiB as JSON. Put it somewhere else, and here where it is.
    """
    _answer(_library().PutStepPayload(value))


def secret(name: str) -> str:
    """Return an entry of the keystore; it is masked in what the step prints.

    Raises:
        NotFound: there is none of that name, or the step's definition does not list it.
    """
    answered = _library().GetKeystore(name)
    if answered["status_code"] == 605 or name not in answered.get("answer", (name,)):
        raise errors.NotFound(
            f"The keystore has no {name!r} for this step. Make it with `longshore keystore set "
            f"{name}`, and list it under `keystore:` of the step in the workflow's file."
        )
    return str(_answer(answered)["answer"][name])


class Once(Generic[R]):
    """A guard around what is to be done once; see `once`.

    Attributes:
        key: what it is known by.
        result: what is kept, to be told to whoever comes later: JSON of up to 64 KiB.
    """

    def __init__(self, key: str, wait_s: float) -> None:
        """Keep what to ask for; nothing is asked yet."""
        self.key = key
        self._wait_s = wait_s
        self._new: bool | None = None
        self._was_read = False
        self.result: Any = None

    @property
    def new(self) -> bool:
        """Whether it is to be done now; False where it has been done, and `result` says how."""
        if self._new is None:
            raise errors.ConfigurationError("Ask for `new` inside of `with step.once(...)`.")
        self._was_read = True
        return self._new

    def __bool__(self) -> bool:
        return self.new

    def __enter__(self) -> Once[R]:
        end = time.monotonic() + self._wait_s
        pause_s = 0.2
        while True:
            told = _answer(_ask("/v1/rtstep/once", {"key": self.key}))["answer"]
            if told["state"] != "busy":
                break
            if time.monotonic() + pause_s > end:
                raise errors.Conflict(
                    f"Another attempt that still runs is at {self.key!r}. It is not done twice; "
                    "let this step be retried later, or wait longer with wait_s."
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
        self._new = told["state"] == "new"
        self.result = told["result"]
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            return
        if self._new:
            body = {"key": self.key, "result": self.result}
            _answer(_ask("/v1/rtstep/once/done", body))
            # As those have it who come later: what works with it now is to work then, too.
            self.result = json.loads(json.dumps(self.result))
        elif not self._was_read:
            raise errors.LongshoreError(
                f"{self.key!r} had been done before, and what stands in the block was done again, "
                "because it did not ask. Write `with step.once(key) as once: if once.new: ...`."
            )

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Let a function do it: the first call runs it, later ones give what it returned then."""

        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with Once[R](self.key, self._wait_s) as once:
                if once.new:
                    once.result = function(*args, **kwargs)
            done: R = once.result
            return done

        guarded.__name__ = getattr(function, "__name__", "guarded")
        guarded.__doc__ = function.__doc__
        return guarded


def once(key: str, *, wait_s: float = ONCE_WAIT_S) -> Once[Any]:
    """Guard what is to be done once over all attempts and runs of the workflow.

        with step.once(f"invoice {number}") as once:
            if once.new:
                once.result = send_invoice(number)

    or around a function, whose result is kept and given again:

        @step.once(f"invoice {number}")
        def send() -> str: ...

    The block is done when it ends without an exception; then `result` is kept. Where it raises,
    or its process dies, the next attempt does it: between the deed and the word that it is done
    there is always a moment in which both can be lost, so hand the key on to the service that you
    call, where that takes one. Two threads of one attempt are not kept from each other.

    Args:
        key: 1 to 256 printable characters, such as "invoice 17".
        wait_s: how long to wait while another attempt that runs is at it.

    Raises:
        Conflict: another attempt is at it, and was not done within `wait_s`.
        InvalidRequest: the key cannot be one, or the result is no JSON.
    """
    return Once(key, wait_s)


def main(function: Callable[[], object]) -> Callable[[], object]:
    """Run a function as the step, if this is the script that was started; put it last in the file.

    The process ends with status 0 when it returns, whatever it returns; with a traceback and
    status 1 when it raises; with the status of `sys.exit` when it calls that. When the worker asks
    the process to stop, it ends as by `sys.exit`, so that `finally` and `with` clean up.
    """
    if function.__module__ != "__main__":
        return function
    signal.signal(signal.SIGTERM, _stop)
    function()
    sys.exit(0)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    # Once is enough: what cleans up is not to be interrupted by a second one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(_ENDED_BY_SIGTERM)


def __getattr__(name: str) -> Any:
    """Fetch what is asked of the server, or of the environment, when it is first used."""
    if name == "event":
        found: Any = _answer(_library().GetEventPayload())["payload"]
    elif name == "run":
        found = Run()
    else:
        raise AttributeError(f"module 'longshore.step' has no attribute {name!r}")
    globals()[name] = found
    return found


# The session is that of cawbs: a script may use both, and the code of a step is good for once.

_KINDS: dict[int, type[errors.LongshoreError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthenticated,
    403: errors.PermissionDenied,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.TooLarge,
    422: errors.InvalidRequest,
    601: errors.ConfigurationError,
    604: errors.InvalidRequest,
    606: errors.ServerUnreachable,
}


class _Session:
    lock = threading.Lock()
    library: Any = None
    is_open = False


def _library() -> Any:
    """Return cawbs with its session open.

    Raises:
        LongshoreError: it cannot be opened.
    """
    with _Session.lock:
        library = _cawbs()
        if not _Session.is_open:
            with library._Current.lock:  # noqa: SLF001 - both are ours
                _answer(library._open())  # noqa: SLF001
            _Session.is_open = True
        return library


def _cawbs() -> Any:
    """Return the module that the script has imported as cawbs, or will."""
    if _Session.library is None:
        found: Any = sys.modules.get("cawbs")
        if not hasattr(found, "_open"):
            # Not at the top: who only asks for the names here needs no server.
            from longshore.cawbs import cawbs as found  # noqa: PLC0415

            sys.modules.setdefault("cawbs", found)
        _Session.library = found
    return _Session.library


def _ask(path: str, body: dict[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = _library()._ask("POST", path, body)  # noqa: SLF001 - both are ours
    return asked


def _answer(answered: dict[str, Any]) -> dict[str, Any]:
    """Return what cawbs has answered, or raise what it says."""
    code = answered["status_code"]
    if code < 400:
        return answered
    said = answered.get("error")
    details = said if isinstance(said, dict) else {}
    words = details.get("detail") or answered.get("detail") or said or "no reason was given"
    request_id = details.get("request_id")
    kind = _KINDS.get(code, errors.ServerFault)
    raise kind(
        _explained(code, str(words)),
        request_id=request_id if isinstance(request_id, str) else None,
    )


def _explained(code: int, words: str) -> str:
    if code == 601:
        return f"This process was not started as a step by `longshore worker --host`: {words}."
    if code == 606:
        return f"The server cannot be reached, or does not answer as it should: {words}."
    return words


def _environment() -> dict[str, str]:
    # Settings are those of Longshore's own processes; this one is a user's.
    return dict(os.environ)  # noqa: TID251


def _variable(name: str) -> str:
    text = _environment().get(name, "")
    if not text:
        raise errors.ConfigurationError(
            f"{name} is not set: this process was not started as a step by "
            "`longshore worker --host`."
        )
    return text


def _begin() -> None:
    """Swap the code of the step; what goes wrong is said to who uses it, and tried again then."""
    try:
        _library()
    except errors.LongshoreError:
        return


if _environment().get("CA_ACCESS_CODE") and _environment().get("ACTIONID"):
    _cawbs()
    # A child that is forked meanwhile would wait for ever for a thread that it has not.
    os.register_at_fork(
        before=_Session.lock.acquire,
        after_in_parent=_Session.lock.release,
        after_in_child=_Session.lock.release,
    )
    _beginning = threading.Thread(target=_begin, name="longshore.step", daemon=True)
    _beginning.start()
    # An interpreter that ends while a thread is in the middle of something may crash, and a step
    # that is finished would count as killed. A server that hangs is not waited for longer.
    atexit.register(_beginning.join, 2.0)
