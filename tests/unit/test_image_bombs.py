"""Files that mean harm to whoever opens them as images, opened with little memory to spare."""

from __future__ import annotations

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from longshore.settings import child_environment

MEMORY_BYTES = 600 * 1024 * 1024
PROGRAM = f"""
import resource, sys
from pathlib import Path
from longshore.surfaces.corpus import pixels
from longshore.errors import InvalidRequest
resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES}))
try:
    print(pixels.inspect(Path(sys.argv[1]).read_bytes()))
except InvalidRequest as error:
    print(error.code, error.message)
"""
ZEROS = 500 * 1024 * 1024


def packed(count: int) -> bytes:
    """Return so many zeros, packed; a thousandth of their size."""
    packer = zlib.compressobj(9)
    block = bytes(1024 * 1024)
    whole = b"".join(packer.compress(block) for _ in range(count // len(block)))
    return whole + packer.flush()


def chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(width: int, height: int, *more: bytes) -> bytes:
    sides = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    head = chunk(b"IHDR", sides + bytes([8, 2, 0, 0, 0]))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IEND", b"")


def tiff(width: int, height: int) -> bytes:
    """Return the head of a TIFF file with one strip that is packed by deflate."""
    strip = packed(10 * 1024 * 1024)
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1), (273, 4, 8),
        (277, 3, 1), (278, 4, height), (279, 4, len(strip)),
    ]  # fmt: skip
    entries = b"".join(
        tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, value in tags
    )  # fmt: skip
    directory = len(tags).to_bytes(2, "little") + entries + bytes(4)
    return b"II*\x00" + (8 + len(strip)).to_bytes(4, "little") + strip + directory


def gif(width: int, height: int) -> bytes:
    sides = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    frame = b"\x2c" + bytes(4) + sides + b"\x00\x08\x01\x00\x00"
    return b"GIF89a" + sides + b"\xf0\x00\x00" + bytes(6) + frame + b"\x3b"


FILES = {
    "wide": png(100_000, 100_000, chunk(b"IDAT", packed(ZEROS))),
    "even": png(9_900, 9_900, chunk(b"IDAT", packed(ZEROS))),
    "profile": png(
        10, 10, chunk(b"iCCP", b"x\0\0" + packed(ZEROS)), chunk(b"IDAT", packed(1 << 20))
    ),
    "text": png(10, 10, chunk(b"zTXt", b"x\0\0" + packed(ZEROS)), chunk(b"IDAT", packed(1 << 20))),
    "deflate": tiff(60_000, 60_000),
    "strip": tiff(9_900, 9_900),
    "frame": gif(65_535, 65_535),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_bomb_is_refused_in_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])

    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("too_large "), ended.stdout
