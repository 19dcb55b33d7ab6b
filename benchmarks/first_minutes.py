"""The first five minutes, timed, from nothing: a new environment, an installation, and README's commands.

    python benchmarks/first_minutes.py

A wheel is built of this project and installed with the constraints of the project into a fresh
virtual environment, so that what is measured is what a newcomer gets, without extras. Printed are
the seconds of the installation, of the start of the server and until the first result is on the
screen, the size of what was installed, and how many warnings were printed (none are wanted).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WANTED = {"up_ready_s": 2.0, "first_result_s": 60.0, "warnings": 0}
"""What the figures are to be at most."""
WARNING = re.compile(r"\bwarn(?:ing)?\b|Warning:", re.IGNORECASE)
NEXT = re.compile(r"^next:\s+(longshore [^(\n]*\S)", re.MULTILINE)
READY = re.compile(r"ready in ([0-9.]+) s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="longshore-first-minutes-") as directory:
        figures = measure(Path(directory))
    if arguments.json:
        print(json.dumps(figures, indent=2))
    else:
        for name, value in figures.items():
            limit = f"   (at most {WANTED[name]:g})" if name in WANTED else ""
            print(f"{name:<20} {value:>10}{limit}")
    late = [name for name, limit in WANTED.items() if figures[name] > limit]
    if late:
        print(f"more than wanted: {', '.join(late)}", file=sys.stderr)
    return 1 if late else 0


def measure(directory: Path) -> dict[str, Any]:
    """Install into `directory`, type the commands, and return the figures."""
    wheel = _build(directory / "wheel")
    environment = directory / "venv"
    figures: dict[str, Any] = {}
    begun_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    figures["environment_s"] = _since(begun_s)
    install_s = time.monotonic()
    printed = _run(
        directory,
        [*_pip(environment / "bin/python"), "install", "-c", ROOT / "constraints.txt", wheel],
    )
    figures["install_s"] = _since(install_s)
    figures["installed_mb"] = round(_size_bytes(environment / "lib") / 1e6, 1)
    longshore = environment / "bin/longshore"
    home = directory / "home"
    home.mkdir()
    up_s = time.monotonic()
    # On a terminal only warnings are logged; here the same is asked for.
    quiet = {**_clean(), "LONGSHORE_LOG_LEVEL": "warning"}
    with (home / "up.log").open("w") as log:
        server = subprocess.Popen(
            [longshore, "up", "--port", "0"], cwd=home, stdout=log, stderr=log, env=quiet
        )
        try:
            banner = _wait_until_ready(home / "up.log", server)
            figures["up_s"] = _since(up_s)
            figures["up_ready_s"] = float(READY.findall(banner)[0])
            printed += _demos(home, longshore, figures, begun_s)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    printed += (home / "up.log").read_text("utf-8")
    warnings = [line for line in printed.splitlines() if WARNING.search(line)]
    for line in warnings:
        print(line, file=sys.stderr)
    figures["warnings"] = len(warnings)
    return figures


def _demos(home: Path, longshore: Path, figures: dict[str, Any], begun_s: float) -> str:
    """Type the demos, each time what the one before said is next; return all that was printed."""
    begin_s = time.monotonic()
    printed = told = _run(home, [longshore, "demo", "receipts"])
    figures["receipts_s"] = _since(begin_s)
    # From an empty directory, with the environment made and everything installed.
    figures["first_result_s"] = _since(begun_s)
    for name in ("crash_s", "why_s"):
        begin_s = time.monotonic()
        words = NEXT.findall(told)[-1].split()
        told = _run(home, [longshore, *words[1:]])
        figures[name] = _since(begin_s)
        printed += told
    return printed


def _build(directory: Path) -> Path:
    command = [*_pip(Path(sys.executable)), "wheel", "--no-deps", "--wheel-dir", directory, ROOT]
    subprocess.run(command, check=True)
    (wheel,) = directory.glob("*.whl")
    return wheel


def _pip(python: Path) -> list[Any]:
    return [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]


def _run(directory: Path, command: list[Any]) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=directory,
        env=_clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def _wait_until_ready(log: Path, server: subprocess.Popen[bytes]) -> str:
    while server.poll() is None:
        banner = log.read_text("utf-8")
        if READY.search(banner):
            return banner
        time.sleep(0.02)
    raise SystemExit(f"the server ended:\n{log.read_text('utf-8')}")


def _clean() -> dict[str, str]:
    """Return the variables of this process without what would change the installation."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LONGSHORE_")}
    ours.pop("PYTHONPATH", None)
    return ours


def _size_bytes(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file())


def _since(begun_s: float) -> float:
    return round(time.monotonic() - begun_s, 2)


if __name__ == "__main__":
    sys.exit(main())
