"""Verdicts: how they are written and read, and what applying them does."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ner_programs import Entity, Mention, align
from ner_programs.stages.verify import Placed, apply, verdicts_for
from ner_programs.types import Verdict
from ner_programs.verifiers._verdicts import VerdictCodec, Verdicts, as_fields
from ner_programs.verifiers.llm import LLMVerifier
from tests.effort import soon
from tests.ner_programs.support import LABELS, NASTY, TEXTS, labels_of

FULL, REJECT = (Verdicts(labels_of(LABELS), mode) for mode in ("full", "reject"))  # type: ignore[arg-type]
SAID = TEXTS.filter(bool)
VERDICTS = st.one_of(
    st.builds(Verdict, st.sampled_from(["keep", "reject"]), st.integers(1, 999)),
    st.builds(Verdict, st.just("label"), st.integers(1, 999), st.sampled_from(list(LABELS))),
    st.builds(Verdict, st.just("span"), st.integers(1, 999), text=SAID),
    st.builds(Verdict, st.just("add"), label=st.sampled_from(list(LABELS)), text=SAID),
)


def read(form: Verdicts, answer: str) -> tuple[list[Verdict], int]:
    reading = form.read(answer)
    return list(reading), reading.unreadable


@given(verdicts=st.lists(VERDICTS, max_size=5))
@example(verdicts=[Verdict("add", text='a" | test', label="problem"), Verdict("span", 1, text="|")])
def test_reading_undoes_writing(verdicts: list[Verdict]) -> None:
    assert read(FULL, FULL.write(verdicts)) == (verdicts, 0)


@given(verdicts=st.lists(VERDICTS, max_size=5))
def test_mode_reject_writes_and_reads_keep_and_reject_only(verdicts: list[Verdict]) -> None:
    judged = [Verdict("keep" if v.kind == "keep" else "reject", v.number) for v in verdicts if v.number]
    assert read(REJECT, REJECT.write(verdicts)) == (judged, 0)
    assert read(REJECT, FULL.write(verdicts)) == ([v for v in verdicts if v.kind in ("keep", "reject")], 0)


@given(verdicts=st.lists(VERDICTS, max_size=4))
def test_the_codec_keeps_verdicts_as_plain_data(verdicts: list[Verdict]) -> None:
    codec = VerdictCodec(FULL)
    fields = {"verdicts": [as_fields(v) for v in verdicts]}
    written = codec.encode(fields)
    decoded = codec.decode(written)
    lines = [written[slice(*item.pop("place"))] for item in decoded["verdicts"]]
    assert decoded == {**fields, "unreadable": 0}
    assert lines == (written.split("\n") if verdicts else [])


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("1. keep", Verdict("keep", 1)),
        ("- 2: Reject", Verdict("reject", 2)),
        ("#3) LABEL: Problem", Verdict("label", 3, "problem")),
        ('4 label "test".', Verdict("label", 4, "test")),
        ("5 label A&B_DRUG X", Verdict("label", 5, "A&B drug (x)")),
        ("6 span “knee pain”", Verdict("span", 6, text="knee pain")),
        ("6 span: knee pain", Verdict("span", 6, text="knee pain")),
        ('6 "span" "knee \\"pain\\"" since the rest is no problem', Verdict("span", 6, text='knee "pain"')),
        ("7 span 120", Verdict("span", 7, text="120")),
        ("add: 'knee pain' | PROBLEM", Verdict("add", text="knee pain", label="problem")),
        ('* ADD "a | b"|test', Verdict("add", text="a | b", label="test")),
        ("８ keep", Verdict("keep", 8)),
    ],
)
def test_tolerated_lines(line: str, verdict: Verdict) -> None:
    assert read(FULL, line) == ([verdict], 0)
    assert read(FULL, f"```\n{line}\n```") == ([verdict], 0)
    assert read(FULL, f"\n  {line}\r\nNone.\n\n") == ([verdict], 0)


@pytest.mark.parametrize(
    "line", ["1", "keep", "one keep", "1 maybe", "1 label person", "1 span", '1 span ""', "add x", "add | test",
             'add "x" | person']
)  # fmt: skip
def test_unreadable_lines_are_counted(line: str) -> None:
    assert read(FULL, f"{line}\n2 keep") == ([Verdict("keep", 2)], 1)


@given(
    answer=st.lists(
        st.sampled_from([*NASTY, "1 span ", "2 label ", "add ", " | ", "3 reject"]) | st.text(max_size=6), max_size=20
    ).map("".join)
)
def test_reading_garbage_never_raises(answer: str) -> None:
    for form in (FULL, REJECT):
        verdicts, unreadable = read(form, answer)
        assert unreadable >= 0
        assert all(v.label in ("", *LABELS) for v in verdicts)
        apply([Entity.of("abc def", 0, 3, "test")], verdicts)


DEEP = ["1" * 5000 + " keep", "1 span " + "[" * 99_999, '1 span "' + "\\" * 9999, "add" + " " * 3000 + "x",
        "1" + " " * 9000 + "x",
        "add " + "| " * 4000 + "x", "- " * 4000 + "x", "1 span " + " " * 9000 + "|", 'add "' + '\\"' * 4000]  # fmt: skip


@pytest.mark.parametrize("answer", DEEP, ids=[a[:8] for a in DEEP])
def test_long_answers_are_read_in_time(answer: str) -> None:
    with soon():
        FULL.read(answer)


# Applying


def judged(text: str, candidates: Sequence[Entity], verdicts: Sequence[Verdict]) -> list[tuple[int, str, str]]:
    return [(e.start, e.text, e.label) for e in align(text, apply(candidates, verdicts))]


TEXT = "pain and knee pain; old knee pain"
CANDIDATES = (Entity.of(TEXT, 14, 18, "problem"), Entity.of(TEXT, 20, 33, "problem", score=0.5))


def test_each_decision() -> None:
    assert judged(TEXT, CANDIDATES, []) == [(14, "pain", "problem"), (20, "old knee pain", "problem")]
    assert judged(TEXT, CANDIDATES, [Verdict("reject", 1), Verdict("keep", 2)]) == [(20, "old knee pain", "problem")]
    assert judged(TEXT, CANDIDATES, [Verdict("label", 2, "test")])[1] == (20, "old knee pain", "test")
    assert judged(TEXT, CANDIDATES[:1], [Verdict("add", text="old", label="test")]) == [
        (14, "pain", "problem"),
        (20, "old", "test"),
    ]


def test_a_span_grows_at_its_own_occurrence() -> None:
    assert judged(TEXT, CANDIDATES[:1], [Verdict("span", 1, text="knee pain")]) == [(9, "knee pain", "problem")]
    last = (Entity.of(TEXT, 29, 33, "problem"),)
    assert judged(TEXT, last, [Verdict("span", 1, text="knee pain")]) == [(24, "knee pain", "problem")]
    assert judged(TEXT, last, [Verdict("span", 1, text="pain; old knee pain")]) == [
        (14, "pain; old knee pain", "problem")
    ]


def test_a_span_shrinks_at_its_own_occurrence() -> None:
    assert judged(TEXT, CANDIDATES[1:], [Verdict("span", 1, text="pain")]) == [(29, "pain", "problem")]
    assert judged(TEXT, CANDIDATES[1:], [Verdict("span", 1, text="knee pain")]) == [(24, "knee pain", "problem")]


def test_verdicts_that_make_no_sense_change_nothing_else() -> None:
    assert judged(
        TEXT, CANDIDATES, [Verdict("reject", 9), Verdict("keep", 0), Verdict("add", text="absent", label="test")]
    ) == judged(TEXT, CANDIDATES, [])
    assert judged(TEXT, CANDIDATES, [Verdict("span", 1, text="absent")]) == [(20, "old knee pain", "problem")]


def test_the_last_verdict_on_a_candidate_counts_and_scores_stay() -> None:
    said = [Verdict("reject", 2), Verdict("keep", 2)]
    assert len(judged(TEXT, CANDIDATES, said)) == 2
    assert apply(CANDIDATES, [Verdict("label", 2, "test")])[1] == Mention("old knee pain", "test", 20)


@st.composite
def tagged_words(draw: st.DrawFn) -> tuple[str, tuple[Entity, ...], tuple[Entity, ...]]:
    """A text of words that all differ, and two flat annotations of it."""
    words = [f"w{chr(97 + n)}x" for n in range(draw(st.integers(1, 9)))]
    text = " ".join(words)

    def annotation() -> tuple[Entity, ...]:
        entities, at = [], 0
        while at < len(words):
            size = draw(st.integers(1, 3))
            label = draw(st.sampled_from([None, "problem", "test"]))
            if label:
                end = min(at + size, len(words))
                entities.append(Entity.of(text, 4 * at, 4 * end - 1, label))
            at += size
        return tuple(entities)

    return text, annotation(), annotation()


@given(drawn=tagged_words())
def test_verdicts_turn_candidates_into_gold(drawn: tuple[str, tuple[Entity, ...], tuple[Entity, ...]]) -> None:
    text, candidates, gold = drawn
    verdicts = verdicts_for(candidates, gold)
    assert [v.number for v in verdicts if v.kind != "add"] == list(range(1, len(candidates) + 1))
    said, unreadable = read(FULL, FULL.write(verdicts))
    assert unreadable == 0
    assert align(text, apply(candidates, said)) == gold


@given(drawn=tagged_words())
def test_demonstrations_in_mode_reject_judge_every_candidate(
    drawn: tuple[str, tuple[Entity, ...], tuple[Entity, ...]],
) -> None:
    text, candidates, gold = drawn
    verifier = LLMVerifier(labels_of(LABELS), "", "reject", 3)
    demo = verifier.demonstration(text, "", candidates, gold)
    verdicts = REJECT.read(verifier.adapter.codec.encode(demo))
    assert [v.number for v in verdicts] == list(range(1, len(candidates) + 1))
    assert align(text, apply(candidates, verdicts)) == tuple(c for c in candidates if c in gold)


def test_who_found_an_entity_is_known_after_a_second_verifier() -> None:
    e = Entity.of("fever", 0, 5, "problem", score=0.5, provenance=("extract", "crf"))
    for verdict in (Verdict("keep", 1), Verdict("label", 1, label="test"), Placed("span", 1, "", "feve", 0.4, 0)):
        (mention,) = apply([e], [verdict])
        assert mention.provenance == ("extract", "crf")
