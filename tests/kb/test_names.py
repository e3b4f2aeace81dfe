"""Names in text: normal forms, the filter, offsets."""

import copy
import pickle
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.names.filter import GENERAL, Filter
from kb.names.index import NameIndex
from kb.names.tokens import normalise, tokens

ALPHABET = "abcsAİßΣé\u0301 \t\n-–/_'’.,;:()[]\"+?1"
words = st.text(ALPHABET, max_size=12)
lists = st.lists(words, max_size=12)


def index(*names: str, **options: int) -> NameIndex:
    return NameIndex.of([(f"C:{n}", name, True) for n, name in enumerate(names)], Filter(**options))


def surfaces(names: NameIndex, text: str) -> list[str]:
    return [match.text for match in names.find(text)]


@pytest.mark.parametrize(
    ("name", "normal"),
    [
        ("Tom's Blue-Tits", "tom blue tit"), ("Tom ' s blue - tits", "tom blue tit"), ("Tom’s tit", "tom tit"),
        ("berries, classes and gas", "berry class and gas"), ("virus basis boss lens", "virus basis boss len"),
        ("owl (bird), type_2/b [x]", "owl bird type 2 b x"), ("Ca2+", "ca2 +"), ("--", ""),
    ],
)  # fmt: skip
def test_normal_forms(name: str, normal: str) -> None:
    assert normalise(name) == normal


@given(st.text() | words)
def test_normalise_is_idempotent(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(st.text() | words)
def test_tokens_lie_in_the_text(text: str) -> None:
    split = tokens(text)
    for normal, start, end in zip(split.normals, split.starts, split.ends, strict=True):
        assert normalise(text[start:end]) == normal


@given(names=lists, text=st.text(ALPHABET, max_size=60), data=st.data())
def test_what_is_found_is_a_name_at_its_place(names: list[str], text: str, data: st.DataObject) -> None:
    if names:
        text = "".join((text[:30], *data.draw(st.lists(st.sampled_from([*names, " ", "-"]), max_size=6)), text[30:]))
    found = index(*names, shortest=1, own_case=0).find(text)
    known = {normalise(name) for name in names}
    for match in found:
        assert match.text == text[match.start : match.end]
        assert normalise(match.text) in known
        assert [normalise(names[int(id[2:])]) for id in match.concepts] == [normalise(match.text)] * len(match.concepts)
    assert all(left.end <= right.start for left, right in pairwise(found))


@given(lists, st.text(ALPHABET, max_size=60), st.integers(0, 4))
def test_find_is_the_plain_definition(names: list[str], text: str, own_case: int) -> None:
    """Against a slow reading: at every token the longest name whose spelling fits, then on behind it."""
    split, expected, here = tokens(text), [], 0
    ours = index(*names, shortest=1, own_case=own_case)
    while here < len(split.normals):
        for there in range(len(split.normals), here, -1):
            surface = text[split.starts[here] : split.ends[there - 1]]
            if any(fits(name, surface, own_case) for name in names):
                expected.append((split.starts[here], split.ends[there - 1]))
                here = there - 1
                break
        here += 1
    assert [(match.start, match.end) for match in ours.find(text)] == expected


def fits(name: str, surface: str, own_case: int) -> bool:
    normal = normalise(name)
    if normal != normalise(surface) or not any(map(str.isalpha, normal)):
        return False
    own, there = ("".join(text.split()).replace("–", "-") for text in (name, surface))
    short = sum(map(str.isalnum, normal)) <= own_case
    if normal in GENERAL and not (short and own.isupper()):
        return False
    return not short or there in (own, own + "s")


@given(st.text("ABCDEF", min_size=3, max_size=4))
def test_abbreviations_keep_their_case(name: str) -> None:
    names = index(name)
    assert surfaces(names, f"an {name} and {name}s") == [name, f"{name}s"]
    assert surfaces(names, f"an {name.lower()} and {name.title()}") == []
    assert names.lookup(name.lower()) == ("C:0",)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("blue tit", "two Blue-Tits.", ["Blue-Tits"]), ("blue-tit", "İİ blue - tit", ["blue - tit"]),
        ("Tom's tit disease", "Tom ' s tit disease", ["Tom ' s tit disease"]),
        ("B-T", "B - T and B-T and B–T, no B T, b-t or BT", ["B - T", "B-T", "B–T"]),
        ("blue tit", "blue titan, sblue tit", []), ("owlet", "(owlets)? owlet!", ["owlets", "owlet"]),
        ("disease", "a disease", []), ("ALL", "All have ALL", ["ALL"]), ("22", "22", []),
    ],
)  # fmt: skip
def test_tolerance_and_its_limits(name: str, text: str, expected: list[str]) -> None:
    assert surfaces(index(name), text) == expected


def test_the_longest_wins_and_short_ones_are_found_again_behind_it() -> None:
    names = index("blue tit", "tit nest", "blue tit nest box", "nest")
    assert surfaces(names, "blue tit nest; blue tit nest box") == ["blue tit", "nest", "blue tit nest box"]
    assert surfaces(names, "blue tit Nest") == ["blue tit"]


def test_preferred_names_come_first_then_ids() -> None:
    names = NameIndex.of(
        [("C:1", "owlet", False), ("C:3", "owlet", True), ("C:2", "Owlets", True), ("C:3", "owlet", False)]
    )
    assert names.find("an owlet")[0].concepts == ("C:2", "C:3", "C:1") == names.lookup("OWLET")


def test_lookup_knows_what_find_does_not_seek() -> None:
    names = index("disease", "ab", "owlet")
    assert [names.lookup(name) for name in ("Diseases", "ab", "owlet", "no", "")] == [
        ("C:0",), ("C:1",), ("C:2",), (), (),
    ]  # fmt: skip
    assert len(names) == 1


def test_copies_are_the_index_itself() -> None:
    names = index("owlet", "SBD")
    assert copy.deepcopy(names) is names is copy.copy(names)
    assert pickle.loads(pickle.dumps(names)).find("owlet SBD") == names.find("owlet SBD")
