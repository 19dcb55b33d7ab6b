"""cawbs: what a step of a workflow asks of its server.

One file without dependencies, for Python 3.8 or newer; a step that a worker has started imports it
without installing anything.

    import sys
    import cawbs

    response = cawbs.Init()
    if response["status_code"] >= 400:
        sys.exit(str(response))

Every call returns a dict with `status_code`, and raises nothing. 200 (or 201) is success; whatever
went wrong is 400 or more, so that one test serves all:

    601  an environment variable is missing, or cannot be used
    602  Init was called again after it had succeeded
    603  another call came before Init
    604  an argument cannot be sent: a payload that is no JSON, an empty name
    605  a key that was asked for is not in the keystore, or not for this step
    606  the server could not be reached, or its answer could not be used
    else the HTTP status of the server's refusal

With each of them comes `error`: the server's own answer where that was JSON, the word
"inaccessible" where there was none to be had, else words; and `detail`, words for people, where
`error` does not say it all.

CA_WBS_TIMEOUT_S is how long one request may take (30 seconds), CA_WBS_RETRY_S for how long a call
is repeated that is safe to repeat (30 seconds): when the server cannot be reached, or says that it
is busy or has failed. Only an event is not safe to send twice, and it carries a key by which the
server knows it again.
"""

# The names of the calls are those of the published contract.
# ruff: noqa: N802

from __future__ import annotations

# Alike in all three files, from here on: the imports.
import json
import os
import threading
import time

TYPE_CHECKING = False  # typing takes longer to load than a request takes
if TYPE_CHECKING:
    import socket
    from typing import Any

# As far as here: the imports.

__all__ = [
    "GetActionIdByPayload",
    "GetEventPayload",
    "GetEventStatus",
    "GetKeystore",
    "GetStepPayload",
    "Init",
    "PutStepPayload",
]

_REQUIRED = ("ENV", "ACTIONID", "CA_ACCESS_CODE", "CA_WBS_URL", "STEPNAME")


def GetEventPayload() -> dict[str, Any]:
    """Return what the event says that this step answers: `payload`."""
    return _field(_ask("GET", f"/v1/rtevent/{_own('ACTIONID')}"), "payload")


def PutStepPayload(obj: Any) -> dict[str, Any]:
    """Store what this step hands to those after it, as JSON; again replaces it."""
    session = _Current.session
    if session is None:
        return _before_init()
    body = {
        "actionId": session.variables["ACTIONID"],
        "stepname": session.variables["STEPNAME"].lower(),
        "payload": obj,
    }
    return _plain(_ask("POST", "/v1/rtstep/payload", body))


def GetStepPayload(step: str) -> dict[str, Any]:
    """Return what another step of the same action has stored: `payload`."""
    if not _is_name(step):
        return _failed(604, "the name of a step is a text that is not empty")
    path = f"/v1/rtstep/payload/{_own('ACTIONID')}/{_quoted(step, safe='')}"
    return _field(_ask("GET", path), "payload")


def GetEventStatus(id: int | str | None = None) -> dict[str, Any]:  # noqa: A002 - the contract's
    """Return how far an action is, this step's own without an id: `status`, as the server says it."""
    if id is None and _Current.session is not None:
        id = _Current.session.variables["ACTIONID"]  # noqa: A001
    return _status(id)


def GetActionIdByPayload(path: str, value: Any) -> dict[str, Any]:
    """Return the actions with that value in a step's payload: `match`, as the server says it.

    `path` has the names of the properties down to the value, with commas between them.
    """
    if not _is_name(path):
        return _failed(604, "the path is a text: names of properties with commas between them")
    text = value if isinstance(value, str) else _written(value)
    if not _is_name(text):
        return _failed(604, "the value to look for is a text that is not empty, or a number")
    asked = f"/v1/rtstep/payload/actionid/{_quoted(path, safe=',')}/{_quoted(text, safe='')}"
    return _whole(_ask("GET", asked), "match")


def _own(name: str) -> str:
    """Return a variable of this step, for a path; it is not asked for before Init."""
    session = _Current.session
    return "" if session is None else _quoted(session.variables[name], safe="")


def _written(value: Any) -> str:
    """Return a number, true, false or null as JSON writes it; empty for anything else."""
    try:
        return json.dumps(value) if value is None or isinstance(value, (bool, int, float)) else ""
    except ValueError:  # Python does not write numbers of thousands of digits.
        return ""


# Alike in all three files, from here on: the status.
def _status(id: int | str | None) -> dict[str, Any]:  # noqa: A002
    try:
        text = str(id).strip() if isinstance(id, (int, str)) and not isinstance(id, bool) else ""
    except ValueError:  # Python does not write numbers of thousands of digits.
        text = ""
    if not _is_name(text):
        return _failed(604, "the id of an action is a number, or its digits")
    return _whole(_ask("GET", f"/v1/rtevent/status/{_quoted(text, safe='')}"), "status")


# As far as here: the status.


# Alike in all three files, from here on: the calls.
def Init() -> dict[str, Any]:
    """Swap the access code for what all other calls need; once in a process."""
    with _Current.lock:
        if _Current.was_told:
            return _failed(602, "Init was called before; it is called once")
        answered = _open()
        _Current.was_told = answered["status_code"] < 400
        return answered


def _open() -> dict[str, Any]:
    """Swap the access code, if that has not been done."""
    if _Current.session is not None:
        return {"status_code": 200}
    try:
        session = _Session()
    except ValueError as error:
        return _failed(601, str(error))
    answered = session.ask(
        "POST", "/v1/auth/apicode", {"apiCode": session.variables["CA_ACCESS_CODE"]}
    )
    if answered["status_code"] >= 400:
        return answered
    answer = answered["answer"]
    token = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        return _useless("the answer has no token that can be sent")
    if not token or " " in token:
        return _useless("the answer has no token")
    session.headers["Authorization"] = f"Bearer {token}"
    _Current.session = session
    return _plain(answered)


def GetKeystore(keys: str) -> dict[str, Any]:
    """Return entries of the keystore by their names, `"a,b"`: `answer`, a dict of texts."""
    names = keys.replace(" ", "").split(",") if _is_name(keys) else [""]
    if "" in names:
        return _failed(604, "the keys are a text: names with commas between them")
    answered = _ask("GET", "/v1/keystore/" + ",".join(_quoted(name, safe="") for name in names))
    if answered["status_code"] >= 400:
        return answered
    answer = answered["answer"]
    if not isinstance(answer, dict):
        return _useless("the answer is no object of keys and values")
    for name in names:
        if name not in answer:
            return _failed(605, f"{name} not found")
    return answered


# As far as here: the calls.


# Alike in all three files, from here on: the transport.
_TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
"""What a server says that may say otherwise in a moment."""
_PAUSE_S = 0.2
_PAUSE_MAX_S = 5.0


class _Current:
    """The session of this process, once there is one, and whether Init has said so."""

    lock = threading.Lock()
    session: _Session | None = None
    was_told = False


class _Session:
    """A server, and what is sent to it with each request.

    Raises:
        ValueError: the environment lacks something, or has something that cannot be used.
    """

    def __init__(self) -> None:
        self.variables = {name: _read_variable(name) for name in _REQUIRED}
        missing = [name for name in _REQUIRED if not self.variables[name]]
        if missing:
            raise ValueError(f"environment variables are missing or empty: {', '.join(missing)}")
        for name, text in self.variables.items():
            if not text.isprintable():
                raise ValueError(f"{name} has characters that cannot be sent")
        self.timeout_s = _seconds("CA_WBS_TIMEOUT_S", 30.0, least_s=0.001)
        self.retry_s = _seconds("CA_WBS_RETRY_S", 30.0, least_s=0.0)
        from urllib.parse import urlsplit  # noqa: PLC0415 - see _exchange

        address = urlsplit(self.variables["CA_WBS_URL"].strip("/ "))
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ValueError("CA_WBS_URL is no address that begins with http:// or https://")
        self.secure = address.scheme == "https"
        self.host: str = address.hostname
        self.port: int | None = address.port  # raises ValueError where it is no number
        self.path = _quoted(address.path, safe="/%")
        self.headers: dict[str, Any] = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Environment": self.variables["ENV"].encode("utf-8", "replace"),
        }

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Send a request, again and again while that may help; return `answer`, or what failed."""
        try:
            data = None if body is None else json.dumps(body, allow_nan=False).encode()
        except Exception as error:  # noqa: BLE001 - an object of the script may raise anything
            return _failed(604, f"this cannot be written as JSON: {type(error).__name__}: {error}")
        sent = dict(self.headers, **(headers or {}))
        end = time.monotonic() + self.retry_s
        pause_s = _PAUSE_S
        while True:
            answered, again_s = self._once(method, path, data, sent)
            if again_s is None:
                return answered
            # Not all at the same moment: many steps may have lost the same server.
            wait_s = max(again_s, pause_s * (0.5 + os.urandom(1)[0] / 510))
            if time.monotonic() + wait_s > end:
                return answered
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)

    def _once(
        self, method: str, path: str, data: bytes | None, headers: dict[str, Any]
    ) -> tuple[dict[str, Any], float | None]:
        """Send a request once; return what came, and the least pause before it is worth repeating."""
        try:
            status, text, heads = self._exchange(method, self.path + path, data, headers)
        except (OSError, ValueError) as error:
            where = f"{self.host}:{self.port or (443 if self.secure else 80)}"
            return _useless(f"{where}: {error}"), 0.0
        if 200 <= status < 300:
            return _read(status, text), None
        if 300 <= status < 400:
            return _useless(f"it sends us elsewhere, to {heads.get('Location')}"), None
        if not 400 <= status < 600:
            return _useless(f"it answered with the status {status}"), None
        later = heads.get("Retry-After") or ""
        again_s = float(later) if later.isdecimal() else 0.0
        return _refused(status, text), again_s if status in _TRANSIENT else None

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: dict[str, Any]
    ) -> tuple[int, bytes, Any]:
        """Return status, body and headers of the answer, all of it within the time limit.

        Raises:
            OSError: there was no answer.
            ValueError: the host's name or a header cannot be sent.
        """
        # Loaded by who needs it: it takes as long as the interpreter's own start.
        import contextlib  # noqa: PLC0415
        import http.client  # noqa: PLC0415

        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=self.timeout_s)
        begun = time.monotonic()
        cut = threading.Event()
        timer = None
        try:
            connection.connect()
            # The limit of a socket is for each read of it; a server that drips would hold us for ever.
            left_s = max(0.0, self.timeout_s - (time.monotonic() - begun))
            timer = threading.Timer(left_s, _cut, (connection.sock, cut))
            timer.daemon = True
            # No thread is started any more while the interpreter ends.
            with contextlib.suppress(RuntimeError):
                timer.start()
            # A server that refuses what is too long may answer before it has read it all.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            text = response.read()
            if cut.is_set():
                raise TimeoutError
        except (OSError, http.client.HTTPException) as error:
            if cut.is_set() or time.monotonic() - begun >= self.timeout_s:
                message = f"no answer within {self.timeout_s:g} s"
                raise TimeoutError(message) from None
            raise ConnectionError(f"{type(error).__name__}: {error}") from error
        else:
            return response.status, text, response.headers
        finally:
            if timer is not None:
                timer.cancel()
            connection.close()


def _quoted(text: str, safe: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - see _exchange

    return quote(text, safe=safe)


def _cut(connected: socket.socket, cut: threading.Event) -> None:
    cut.set()
    try:
        connected.shutdown(2)  # both ways
    except OSError:
        return  # It has just been closed, which is as good.


def _seconds(name: str, default_s: float, *, least_s: float) -> float:
    text = _read_variable(name)
    try:
        seconds = float(text) if text else default_s
    except ValueError:
        seconds = -1.0
    if not least_s <= seconds <= 86_400:
        raise ValueError(f"{name} is no number of seconds from {least_s:g} on")
    return seconds


def _read_variable(name: str) -> str:
    # This file stands alone, in the process of a script: there are no settings to ask.
    return os.environ.get(name, "").strip()  # noqa: TID251


def _ask(
    method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    session = _Current.session
    return _before_init() if session is None else session.ask(method, path, body, headers)


def _read(status: int, text: bytes) -> dict[str, Any]:
    try:
        return {"status_code": status, "answer": json.loads(text) if text else None}
    except (ValueError, RecursionError):
        return _useless("the answer is no JSON")


def _refused(status: int, text: bytes) -> dict[str, Any]:
    try:
        return {"status_code": status, "error": json.loads(text)}
    except (ValueError, RecursionError):
        return {"status_code": status, "error": "inaccessible", "detail": "the answer is no JSON"}


def _plain(answered: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of which nothing but the status matters."""
    if answered["status_code"] >= 400:
        return answered
    return {"status_code": answered["status_code"]}


def _whole(answered: dict[str, Any], name: str) -> dict[str, Any]:
    """Return all of an answer under a name."""
    if answered["status_code"] >= 400:
        return answered
    if answered["answer"] is None:
        return _useless("the answer is empty")
    return {"status_code": answered["status_code"], name: answered["answer"]}


def _field(answered: dict[str, Any], name: str) -> dict[str, Any]:
    """Return one property of an answer."""
    if answered["status_code"] >= 400:
        return answered
    answer = answered["answer"]
    if not isinstance(answer, dict) or name not in answer:
        return _useless(f"the answer has no {name}")
    return {"status_code": answered["status_code"], name: answer[name]}


def _failed(code: int, words: str) -> dict[str, Any]:
    return {"status_code": code, "error": words}


def _useless(words: str) -> dict[str, Any]:
    return {"status_code": 606, "error": "inaccessible", "detail": words}


def _before_init() -> dict[str, Any]:
    return _failed(603, "call Init first, and look at its status_code")


def _is_name(value: Any) -> bool:
    """Whether a value is a text that can stand in a path."""
    try:
        return isinstance(value, str) and bool(value.strip()) and bool(value.encode())
    except UnicodeEncodeError:
        return False


# As far as here: the transport.
