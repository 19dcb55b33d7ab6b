"""What is an extra is not needed to start, and is named where it is needed."""

from __future__ import annotations

import subprocess
import sys


def _without_images(program: str) -> str:
    """Run a program where Pillow and zstandard are not installed; return what it prints."""
    blocked = "import sys; sys.modules.update({'PIL': None, 'zstandard': None})\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_server_worker_and_commands_load_without_the_extra_for_corpora() -> None:
    program = "import longshore.server.app, longshore.worker.runtime, longshore.cli.main"
    assert _without_images(program) == ""


def test_whoever_writes_a_worker_of_corpora_is_told_what_to_install() -> None:
    program = """
try:
    from longshore import ElementsWorker
except ImportError as error:
    print(error)
"""
    told = _without_images(program)
    assert "longshore.corpus needs PIL and zstandard" in told
    assert "pip install 'longshore[corpus]'" in told


def test_a_command_that_needs_the_extra_says_so_in_a_line() -> None:
    program = """
import contextlib, io, os, sys
from longshore.cli.main import main
sys.argv = ["longshore", "corpus", "import", "Letters", "."]
with contextlib.redirect_stderr(io.StringIO()) as told:
    try:
        main()
    except SystemExit as ended:
        print(ended.code, told.getvalue())
"""
    told = _without_images(program)
    assert told.startswith("2 longshore: longshore.corpus needs PIL and zstandard")
    assert len(told.strip().splitlines()) == 1


def test_an_image_is_refused_with_what_to_install() -> None:
    program = """
import asyncio
from longshore.errors import ConfigurationError
from longshore.surfaces.corpus.rendering import Renderer
try:
    asyncio.run(Renderer().inspect(b""))
except ConfigurationError as error:
    print(error)
"""
    assert "pip install 'longshore[corpus]'" in _without_images(program)
