"""Every kind of error by example, and the account: what is right and what is wrong is all there is, each once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ner_programs.taxonomy import KINDS, Error, errors
from ner_programs.types import Entity, Mention

TEXT = "No knee pain today, but a mild fever and some chest pain at night."


def of(surface: str, label: str = "problem", text: str = TEXT) -> Entity:
    start = text.index(surface)
    return Entity.of(text, start, start + len(surface), label)


def kinds(gold: list[Entity], said: list[Entity], *lost: Mention) -> list[str]:
    return [error.kind for error in errors(TEXT, gold, said, lost)]


PIECES = replace(of("knee pain today"), fragments=((3, 7), (13, 18)))


@pytest.mark.parametrize(
    ("gold", "said", "kind"),
    [
        ([of("fever")], [], "missed"), ([], [of("fever")], "spurious"),
        ([of("fever")], [of("mild fever")], "boundary_left"), ([of("knee pain")], [of("knee")], "boundary_right"),
        ([of("mild fever and")], [of("fever")], "boundary_both"),
        ([of("mild fever")], [of("fever and")], "boundary_both"), ([PIECES], [of("knee pain today")], "boundary_both"),
        ([of("fever")], [of("fever", "test")], "type"), ([of("fever")], [of("mild fever", "test")], "boundary_type"),
        ([PIECES], [of("knee pain today", "test")], "boundary_type"),
    ],
)  # fmt: skip
def test_a_pair_or_one_alone(gold: list[Entity], said: list[Entity], kind: str) -> None:
    (error,) = errors(TEXT, gold, said)
    assert error == Error(kind, *(gold or [None]), *(said or [None]))


def test_what_is_right_is_no_error_and_what_is_given_twice_counts_once() -> None:
    assert errors(TEXT, [of("fever"), of("fever")], [of("fever")]) == []
    assert kinds([of("fever"), of("fever")], []) == ["missed"]


def test_the_nearest_of_several_is_the_partner() -> None:
    whole, near, far = of("mild fever and some chest pain"), of("fever and some chest pain"), of("mild")
    assert errors(TEXT, [whole], [far, near]) == [Error("boundary_left", whole, near), Error("spurious", predicted=far)]
    twin = of("fever and some chest pain", "test")
    assert errors(TEXT, [whole], [twin, far])[0] == Error("boundary_right", whole, far), "the label before the distance"
    assert errors(TEXT, [near], [twin, whole])[1] == Error("type", near, twin), "the boundaries before the label"


def test_a_lost_mention_was_in_the_text_or_invented() -> None:
    gone, crowded, inside = Mention("stroke", "problem"), Mention("Chest  pain", "problem"), Mention("hest", "problem")
    assert kinds([], [], gone, crowded, inside) == ["invented", "alignment_lost", "alignment_lost"]
    gold = [of("knee pain"), of("chest pain")]
    found = errors(TEXT, gold, [], [crowded])
    assert found == [Error("missed", gold=gold[0]), Error("alignment_lost", gold=gold[1], lost=crowded)]
    other = Mention("chest pain", "test")
    assert errors(TEXT, gold[1:], [], [other, crowded, crowded]) == [
        Error("alignment_lost", gold=gold[1], lost=crowded),
        Error("alignment_lost", lost=other),
        Error("alignment_lost", lost=crowded),
    ]
    assert kinds(gold[1:], gold[1:], crowded) == ["alignment_lost"], "what was found takes no mention"


spans = st.tuples(st.integers(0, len(TEXT) - 12), st.integers(1, 12), st.sampled_from("XY")).map(
    lambda t: Entity.of(TEXT, t[0], t[0] + t[1], t[2])
)
mentions = st.builds(
    Mention, st.sampled_from(["pain", "fever", "stroke", "", "-", "chest pain", " "]), st.sampled_from("XY")
)


@given(st.lists(spans, max_size=8), st.lists(spans, max_size=8), st.lists(mentions, max_size=4), st.randoms())
def test_right_and_wrong_account_for_everything_once(gold, said, lost, random) -> None:
    found = errors(TEXT, gold, said, lost)
    right = set(gold) & set(said)
    assert Counter(e.gold for e in found if e.gold) + Counter(right) == Counter(set(gold))
    assert Counter(e.predicted for e in found if e.predicted) + Counter(right) == Counter(set(said))
    assert Counter(e.lost for e in found if e.lost) == Counter(lost)
    for error in found:
        assert error.kind in KINDS
        pair = (error.gold is not None, error.predicted is not None, error.lost is not None)
        assert pair in {
            "missed": [(True, False, False)], "spurious": [(False, True, False)],
            "alignment_lost": [(True, False, True), (False, False, True)], "invented": [(False, False, True)],
        }.get(error.kind, [(True, True, False)])  # fmt: skip
    left, rest = (
        [getattr(e, side) for e in found if e.kind == k] for side, k in (("gold", "missed"), ("predicted", "spurious"))
    )
    assert not any(g.start < p.end and p.start < g.end for g in left for p in rest), "none that overlap are left alone"
    random.shuffle(gold)
    random.shuffle(said)
    assert errors(TEXT, gold, said, lost) == found
