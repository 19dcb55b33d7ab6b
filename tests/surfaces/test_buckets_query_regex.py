"""Regular expressions mean the same in Python, in our automaton and in PostgreSQL."""

from __future__ import annotations

import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from longshore.errors import InvalidRequest
from longshore.storage.automaton import Automaton
from longshore.storage.regex import Pattern, parse
from tests.conftest import PostgreSQLServer
from tests.surfaces.query_rig import Rig, both

EXAMPLES = int(os.environ.get("LONGSHORE_TEST_EXAMPLES", "0")) or 150
PIECES = ("a", "b", "A", "é", ".", "^", "$", "|", "(", ")", "(?:", "[", "]", "[^", "?", "*", "+", "\\d", "\\W", "\\s", "\\n", "\\.", "-", "{2}", "{1,3}", "{2,}", "[a-c]", "1", "\n")  # fmt: skip
TEXTS = ("", "a", "b", "ab", "aab", "AB", "é", "É", "a\n", "a\nb", "\n", "\n\n", "b1", "1", "-", " ", "]", "x.y", "aaa", "b\na\n")  # fmt: skip
FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}

sources = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)
options = st.sampled_from(("", "", "i", "m", "s", "ims"))


@pytest.fixture(scope="module")
def rigs(
    tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQLServer
) -> Iterator[list[Rig]]:
    with both(tmp_path_factory.mktemp("regex"), postgresql_server) as opened:
        for rig in opened:
            rig.fill([{"id": str(index), "a": text} for index, text in enumerate(TEXTS)])
        yield opened


def in_python(pattern: Pattern) -> re.Pattern[str]:
    flags = sum(FLAGS[option] for option in pattern.options)
    if "\\" in pattern.source:
        flags |= re.ASCII  # Python's classes hold all of Unicode, ours are MongoDB's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of sets that may be nested one day
        return re.compile(pattern.source, flags)


def read(source: str, chosen: str) -> Pattern | None:
    try:
        return parse(source, chosen)
    except InvalidRequest:
        return None


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_a_pattern_finds_what_pythons_finds_on_both_databases(rigs: list[Rig]) -> None:
    counted: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.tuples(sources, options), min_size=30, max_size=30))
    def ask(given_patterns: list[tuple[str, str]]) -> None:
        read_ones = [read(*each) for each in given_patterns]
        patterns = [each for each in read_ones if each is not None]
        # With classes in ASCII, Python does not know é and É for the same letter.
        patterns = [each for each in patterns if not ("i" in each.options and "\\" in each.source)]
        counted["refused"] += read_ones.count(None)
        counted["asked"] += len(patterns)
        filters = [{"a": {"$regex": each.source, "$options": each.options}} for each in patterns]
        answers = [rig.ask(*filters) for rig in rigs] if filters else []
        for number, pattern in enumerate(patterns):
            python, automaton = in_python(pattern), Automaton(pattern)
            for index, text in enumerate(TEXTS):
                expected = python.search(text) is not None
                assert automaton.found_in(text) == expected, (pattern, text)
                found = {str(index) in answer[number] for answer in answers}
                assert found == {expected}, (pattern, text)
                counted["found"] += expected

    ask()
    print(counted)
    assert min(counted["refused"], counted["asked"], counted["found"]) > EXAMPLES


@pytest.mark.parametrize(
    "character", ["a", "\n", "é", "𝄞", "\\.", "[ab]", ".", "[^a]", "\\d", "\\S"]
)
def test_a_character_of_any_kind_is_written_for_postgresql(rigs: list[Rig], character: str) -> None:
    pattern = f"^{character}$"
    expected = {str(at) for at, text in enumerate(TEXTS) if re.search(pattern, text)}
    assert [rig.ask({"a": {"$regex": pattern}})[0] for rig in rigs] == [expected, expected]


def test_a_group_that_is_not_closed_is_refused_with_what_to_do() -> None:
    with pytest.raises(InvalidRequest, match=r"the pattern's end comes before a group is closed"):
        parse("x(a|b", "")
