"""Short and long forms: as people define them, and what holds for any text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kb.names.abbreviations import abbreviations, definitions, expand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Blue tits (BT) sing.", {"BT": "Blue tits"}),
        ("a great spotted woodpecker ( GSW ) was", {"GSW": "great spotted woodpecker"}),  # as tokenised files write
        ("BT (blue tit) sings", {"BT": "blue tit"}),
        ("blue-tit disease (B-TD)", {"B-TD": "blue-tit disease"}),
        ("spinous crest type 1 (SC1)", {"SC1": "spinous crest type 1"}),
        ("heat shock protein (HSP; see ref. 3)", {"HSP": "heat shock protein"}),
        ("the blue tit (BT, 3 cases)", {"BT": "blue tit"}),
        ("nest boxes [NB] were", {"NB": "nest boxes"}),
        ("(a long-tailed tit (LTT))", {"LTT": "long-tailed tit"}),
        ("black redstart (Phoenicurus (Ph.) ochruros, BR)", {"Ph.": "Phoenicurus"}),
        ("muscle dystrophy (DM)", {"DM": "muscle dystrophy"}),  # initials in another order
        ("muscle dystrophy (dm)", {}),
        ("it was seen (see above)", {}),
        ("in 12 cases (12)", {}),
        ("blue tits (BT) and bare trees (BT)", {"BT": "blue tits"}),  # the first definition counts
        ("unclosed (BT", {}),
        ("BT) closed", {}),
        ("()", {}),
        ("(BT)", {}),
        ("", {}),
    ],
)
def test_definitions(text: str, expected: dict[str, str]) -> None:
    assert abbreviations(text) == expected


def test_offsets() -> None:
    text = "We saw (near an oak) blue tits (BT), and GSW (great spotted woodpecker)."
    found = definitions(text)
    assert [(f.short, text[f.short_at :][: len(f.short)]) for f in found] == [("BT", "BT"), ("GSW", "GSW")]
    assert [text[f.long_at :][: len(f.long)] for f in found] == ["blue tits", "great spotted woodpecker"]


def test_expand() -> None:
    known = {"BT": "blue tit", "BTD": "blue tit disease", "A-B": "apple bird"}
    assert expand("BT", known) == "blue tit"
    assert expand("sporadic BTD, BT and A-B", known) == "sporadic blue tit disease, blue tit and apple bird"
    assert expand("BTX or XBT", known) == "BTX or XBT"
    assert expand("BT", {}) == "BT"


TEXTS = st.lists(
    st.sampled_from(
        ["blue", "tit", "Great", "(", ")", "[", "]", "BT", "GT", "bt", "B-T", ";", ",", '"', " ", "\n", "İ", "1"]
    )
    | st.text(max_size=3)
).map(" ".join)


@given(TEXTS)
def test_any_text(text: str) -> None:
    for found in definitions(text):
        assert text[found.short_at :].startswith(found.short)
        assert text[found.long_at :].startswith(found.long)
        assert len(found.long) > len(found.short)
        assert found.short_at + len(found.short) <= found.long_at or found.long_at + len(found.long) <= found.short_at
        letters = [c.lower() for c in found.short if c.isalnum()]
        assert found.long[0].lower() in letters
    known = abbreviations(text)
    assert {(f.short, known[f.short]) for f in definitions(text)} >= set(known.items())
    assert isinstance(expand(text, known), str)
    assert expand(text, {}) == text


@given(st.lists(st.from_regex(r"[a-z]{2,8}", fullmatch=True), min_size=2, max_size=5), st.booleans())
def test_made_definitions_are_found(words: list[str], short_first: bool) -> None:
    short, long = "".join(word[0] for word in words).upper(), " ".join(words)
    text = f"0 {short} ({long}) 0" if short_first else f"0 {long} ({short}) 0"
    found = abbreviations(text)
    assert short in found or len(long) <= 10  # then the brackets of "SF (long)" may themselves hold a short form
    assert long.endswith(found.get(short, long))
