"""Which extras are installed, in which versions, and whether those are the ones that are needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from longshore.server.diagnosis.finding import Finding, note, ok, warning

USES: Final = {
    "corpus": "images and archives of corpora",
    "dask": "workers on a Dask cluster",
    "ocr": "the receipts app",
    "otel": "traces",
    "pandas": "records in data frames",
    "parquet": "results as Parquet",
    "postgres": "a PostgreSQL database",
    "ray": "workers on a Ray cluster",
    "tui": "longshore top",
    "workbooks": "services made of workbooks",
}
"""What each extra is for; a test holds the names against the package's own."""
_REQUIREMENT: Final = re.compile(
    r"""(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*(?P<wanted>[^;]*?)\s*(?:;(?P<marker>.*))?"""
)
_EXTRA: Final = re.compile(r"""extra\s*==\s*['"]([^'"]+)['"]""")
_CONDITION: Final = re.compile(r"(>=|<=|==|!=|<|>)\s*([0-9A-Za-z.*+!-]+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that an extra needs, and the conditions on its version, such as ">=1.30"."""

    extra: str
    package: str
    wanted: str


def extras() -> Iterator[Finding]:
    """Look at each extra."""
    needed = requirements()
    for extra in sorted(USES):
        yield judge(extra, [each for each in needed if each.extra == extra])


def requirements() -> list[Requirement]:
    """Return what the extras of the installed package need."""
    found = []
    for text in metadata.requires("longshore") or ():
        match = _REQUIREMENT.fullmatch(text)
        extra = _EXTRA.search((match["marker"] or "") if match else "")
        if match and extra:
            found.append(Requirement(extra[1], match["name"], match["wanted"].strip("() ")))
    return found


def judge(extra: str, needed: list[Requirement]) -> Finding:
    """Say whether an extra is there, and whether its packages are of versions that fit."""
    if not needed:
        return note(
            f"[{extra}]",
            "what is installed does not name it: it was installed before there was this extra",
            f"pip install 'longshore[{extra}]'",
        )
    versions = {each.package: _version(each.package) for each in needed}
    there = {package: version for package, version in versions.items() if version is not None}
    name = f"[{extra}]"
    install = f"pip install 'longshore[{extra}]'"
    if len(there) < len(needed):
        missing = ", ".join(sorted(versions.keys() - there.keys()))
        return note(name, f"not installed ({missing}); needed for {USES[extra]}", install)
    wrong = [each for each in needed if not fits(there[each.package], each.wanted)]
    if wrong:
        told = ", ".join(
            f"{each.package} {there[each.package]}, not {each.wanted}" for each in wrong
        )
        return warning(
            name,
            f"{told}: {USES[extra]} may not work",
            f"pip install --upgrade 'longshore[{extra}]'",
        )
    return ok(name, ", ".join(f"{package} {version}" for package, version in there.items()))


def fits(version: str, wanted: str) -> bool:
    """Return whether a version meets conditions such as ">=1.30,<2"."""
    present = _numbers(version)
    for comparison, text in _CONDITION.findall(wanted):
        limit = _numbers(text.removesuffix(".*"))
        same = present[: len(limit)] if text.endswith(".*") else present
        if not _holds(comparison, *_padded(same, limit)):
            return False
    return True


def _holds(comparison: str, present: tuple[int, ...], limit: tuple[int, ...]) -> bool:
    return {
        ">=": present >= limit,
        "<=": present <= limit,
        "==": present == limit,
        "!=": present != limit,
        ">": present > limit,
        "<": present < limit,
    }[comparison]


def _numbers(version: str) -> tuple[int, ...]:
    """Return the release of a version, without what marks it as a preview or a local build."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(map(int, release[0].split("."))) if release else ()


def _padded(
    one: tuple[int, ...], other: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    length = max(len(one), len(other))
    return one + (0,) * (length - len(one)), other + (0,) * (length - len(other))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
