"""What a user of the worker might write, good and bad."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import longshore
from longshore import Document, Field, InputFile, Page, Reject, RetryLater

SET_UP: list[int] = []


@longshore.setup
def set_up() -> None:
    SET_UP.append(os.getpid())


def document(value: str) -> Document:
    return Document(
        fields=[Field("value", value, confidence=0.5, page=0, box=(1, 2, 3, 4), alerts=["look"])],
        class_name="Note",
        pages=[Page(0, 10, 20)],
    )


@longshore.app("Good")
def good(file: InputFile) -> list[Document]:
    """Give the text of the file back."""
    return [document(file.path.read_text())]


@longshore.app("Describe")
def describe(file: InputFile) -> list[Document]:
    facts = {
        "name": file.name,
        "suffix": file.path.suffix,
        "mode": oct(file.path.parent.stat().st_mode & 0o777),
        "pid": str(os.getpid()),
        "set_ups": str(len(SET_UP)),
        "keys": repr(dict(file.keys)),
        "secrets": str("ls_test" in repr(sorted(os.environ.items()))),
        "leads_group": str(os.getpgrp() == os.getpid()),
    }
    return [Document(fields=[Field(name, value) for name, value in facts.items()])]


@longshore.app("Lazy")
def lazy(file: InputFile) -> Iterator[Document]:
    yield document("one")
    yield document("two")


@longshore.app("Print")
def prints(file: InputFile) -> list[Document]:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"straight to the descriptor\nbar 1%\rbar 100%\n")
    subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
    sys.stdout.write("without an end")
    return []


@longshore.app("Flood")
def flood(file: InputFile) -> list[Document]:
    for number in range(10_050):
        print(f"line {number}")
    return []


@longshore.app("Raise")
def raises(file: InputFile) -> list[Document]:
    raise ValueError(f"cannot read {file.name}\x00\udc80")


@longshore.app("Retry Later")
def retries(file: InputFile) -> list[Document]:
    raise RetryLater("the other side is busy", delay_s=12.5)


@longshore.app("Reject")
def rejects(file: InputFile) -> list[Document]:
    raise Reject("this is not a receipt")


@longshore.app("Return")
def returns(file: InputFile) -> object:
    wrong: dict[str, Callable[[], object]] = {
        "none": lambda: None,
        "one": lambda: document("x"),
        "dict": lambda: {"a": 1},
        "items": lambda: ["text"],
        "fields": lambda: [Document(fields=[{"name": "x"}])],
        "name": lambda: [Document(fields=[Field(7, "x")])],
        "large": lambda: [document("x" * 9_000_000)],
    }
    return wrong[file.path.read_text()]()


@longshore.app("Segfault")
def segfault(file: InputFile) -> list[Document]:
    print("about to read address zero")
    ctypes.string_at(0)
    return []


@longshore.app("Exit")
def exits(file: InputFile) -> list[Document]:
    print("leaving")
    sys.stdout.flush()
    os._exit(3)


@longshore.app("System Exit")
def system_exits(file: InputFile) -> list[Document]:
    sys.exit(3)


@longshore.app("Kill Myself")
def kills(file: InputFile) -> list[Document]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


@longshore.app("Hog")
def hog(file: InputFile) -> list[Document]:
    return [document(str(len(bytearray(100 * 2**30))))]


@longshore.app("Close Everything")
def closes(file: InputFile) -> list[Document]:
    os.closerange(3, 256)
    return []


@longshore.app("Family")
def family(file: InputFile) -> list[Document]:
    """Start a process that would outlive this one, then never end."""
    child = subprocess.Popen(["sleep", "600"])
    print("child", child.pid, flush=True)
    while True:
        pass


@longshore.app("Stubborn")
def stubborn(file: InputFile) -> list[Document]:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        pass


@longshore.app("Hold Lock")
def hold_lock(file: InputFile) -> list[Document]:
    """Hold the interpreter's lock, as an extension without manners does."""
    print("ready", flush=True)
    ctypes.PyDLL(None).usleep(2_500_000)
    return [document("done")]


@longshore.app("Gate")
def gate(file: InputFile) -> list[Document]:
    """End when the file that the input names exists."""
    print("ready", flush=True)
    pause = threading.Event()
    while not Path(file.path.read_text()).exists():
        pause.wait(0.02)
    return [document("let through")]
