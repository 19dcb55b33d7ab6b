"""Keep the code alike that cawbs, cawbsbatch and cawbsingress share: each is one file to copy.

    python tools/cawbs_alike.py            copy what is shared from cawbs.py into the others
    python tools/cawbs_alike.py --check    compare only; exit 1 when they differ

A part that is shared lies between `# Alike in all three files, from here on: the NAME.` and
`# As far as here: the NAME.` The check also
reads all three files as the oldest Python does that they promise to run on, and looks that they
import nothing but its standard library.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = Path(__file__).resolve().parent.parent / "src" / "longshore" / "cawbs"
SOURCE = "cawbs.py"
COPIES = ("cawbsbatch.py", "cawbsingress.py")
OLDEST = (3, 8)
FIRST = "# Alike in all three files, from here on: the {}.\n"
LAST = "# As far as here: the {}."
PART = re.compile(rf"(?ms)^{FIRST.format('([a-z]+)')}(.*?)^{LAST.format('[a-z]+')}$")


def parts(text: str) -> dict[str, str]:
    """Return the shared parts of a file by name."""
    return {found[1]: found[2] for found in PART.finditer(text)}


def with_parts(text: str, shared: dict[str, str]) -> str:
    """Return a file with its shared parts as they should be.

    Raises:
        KeyError: it names a part that the source has not.
    """

    def replaced(found: re.Match[str]) -> str:
        return FIRST.format(found[1]) + shared[found[1]] + LAST.format(found[1])

    return PART.sub(replaced, text)


def troubles(name: str, text: str) -> Iterator[str]:
    """Say what keeps a file from running on the oldest Python, without anything installed."""
    try:
        tree = ast.parse(text, feature_version=OLDEST)
    except SyntaxError as error:
        yield f"{name}:{error.lineno}: Python {OLDEST[0]}.{OLDEST[1]} cannot read it: {error.msg}"
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "."]
        else:
            continue
        for module in names:
            if module.partition(".")[0] not in sys.stdlib_module_names:
                yield f"{name}:{node.lineno}: {module} is not in the standard library"


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    arguments = parser.parse_args()
    texts = {name: (LIBRARIES / name).read_text("utf-8") for name in (SOURCE, *COPIES)}
    shared = parts(texts[SOURCE])
    found = []
    for name in COPIES:
        renewed = with_parts(texts[name], shared)
        if renewed != texts[name] and arguments.check:
            found.append(f"{name}: not as {SOURCE} has it: run `python tools/cawbs_alike.py`")
        elif renewed != texts[name]:
            (LIBRARIES / name).write_text(renewed, encoding="utf-8")
            texts[name] = renewed
    for name, text in texts.items():
        found += troubles(name, text)
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
