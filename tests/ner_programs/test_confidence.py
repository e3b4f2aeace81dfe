"""How sure an answer is of each entity: from the tokens of the answer to `Entity.score`, on every way an answer takes."""

import asyncio
import io
import json
import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, Usage
from hypothesis import given
from hypothesis import strategies as st

from experiments.annotate import documents
from experiments.corpora import wardnotes
from experiments.predictions import given as predictions
from experiments.session import backend_of
from experiments.spec import Model
from ner_programs import Entity, Mention, NERProgram, Pool, ProgramSpec, align, open_lm
from ner_programs.components import names, resolve
from ner_programs.formats import Format
from ner_programs.lms._answer import mentioning
from ner_programs.lms.crf import Crf
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Account, Backend, Meter, MeteredLM
from ner_programs.lms.replay import Recorder, Replay
from ner_programs.lms.store import AnswerStore
from ner_programs.ner import NER
from ner_programs.prompts.likelihood import likelihoods, tokens_of
from ner_programs.stages.extract import FormatCodec
from ner_programs.stages.verify import apply
from ner_programs.tagger.crf import Sample, tag_in_context
from ner_programs.types import Document, Verdict
from tests.lms import writer
from tests.loopback import Loopback
from tests.ner_programs.support import LABELS, NOTES, PLAIN, annotated, labels_of

FORMATS = names("ner_programs.formats")
FORMS: dict[str, Format] = {
    name: resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS)) for name in FORMATS
}
TEXT = "Pt has headache. MRI showed knee pain, fever and more fever."
SCORES = st.floats(1e-9, 1)


def _program(name: str = "json_list", **settings: Any) -> NERProgram:
    settings = {"labels": PLAIN, "format": {"name": name}, "unit": "document", "demos": {"name": "random"}, **settings}
    return ProgramSpec(**settings).build(None, Pool.of(NOTES, "document"))


def _scores(said: dspy.Prediction) -> list[float | None]:
    assert said.entities
    return [e.score for e in said.entities]


def _asked(program: NERProgram, lm: Any) -> dspy.Prediction:
    with dspy.context(lm=lm):
        return program(TEXT)


def _encoded(tokens: Sequence[tuple[str, float]]) -> list[tuple[bytes, float]]:
    return [(token.encode("utf-8", "surrogatepass"), logprob) for token, logprob in tokens]


# Tokens and places


@given(drawn=annotated(), data=st.data())
def test_the_probability_of_a_place_is_that_of_the_tokens_that_write_it(
    drawn: tuple[str, tuple[Entity, ...]], data: st.DataObject
) -> None:
    text, entities = drawn
    scored = [((e.start, e.end), data.draw(SCORES)) for e in entities]
    tokens = tokens_of(text, scored)
    assert "".join(token for token, _ in tokens) == text and all(token for token, _ in tokens)
    places = [place for place, _ in scored]
    assert likelihoods(text, _encoded(tokens), places) == pytest.approx([score for _, score in scored])
    if text:  # an LM's own tokens: bytes, cut anywhere, chatter around
        raw = b"<s>" + text.encode("utf-8", "surrogatepass") + b"</s>"
        size = data.draw(st.integers(1, 5))
        pieces = [(raw[at : at + size], -0.125) for at in range(0, len(raw), size)]
        for (a, b), found in zip(places, likelihoods(text, pieces, places), strict=True):
            first, last = (3 + len(text[:x].encode("utf-8", "surrogatepass")) for x in (a, b))
            assert found == pytest.approx(math.exp(-0.125 * ((last - 1) // size - first // size + 1)))


@pytest.mark.parametrize("tokens", [[], [(b"", -1.0)], [(b"knee", -1.0)], [(b"knee ", -1.0), (b"pain", -1.0)]])
def test_tokens_that_do_not_make_up_the_answer_say_nothing(tokens: list[tuple[bytes, float]]) -> None:
    assert likelihoods("a knee", tokens, [(2, 6)]) == [None]


def test_thoughts_that_hold_the_answer_too_are_passed_over() -> None:
    tokens = [(b"knee? ", -1.0), (b"So: ", -1.0), (b"knee", -0.5), (b"<end>", -9.0)]
    assert likelihoods("knee", tokens, [(0, 4)]) == pytest.approx([math.exp(-0.5)])


def test_odd_probabilities_stay_between_0_and_1() -> None:
    tokens = [(b"a", 0.5), (b"b", -math.inf), (b"c", -9999.0)]
    assert likelihoods("abc", tokens, [(0, 1), (1, 2), (2, 3), (1, 1)]) == [1.0, 0.0, 0.0, None]


@pytest.mark.parametrize("name", FORMATS)
@given(drawn=annotated(), data=st.data())
def test_every_format_says_where_it_wrote_each_mention(
    name: str, drawn: tuple[str, tuple[Entity, ...]], data: st.DataObject
) -> None:
    text, entities = drawn
    form = FORMS[name]
    mentions = [Mention(e.text, e.label, e.start, data.draw(SCORES)) for e in entities]
    said = mentioning(form, text, mentions)
    plain = form.write(text, [Mention(m.text, m.label, m.start) for m in mentions])
    assert said.text == plain, "no format prints a score"
    assert "".join(token for token, _ in said.logprobs) == plain
    reading = form.read(plain)
    ends = [0, *(end for _, end in sorted(reading.places))]
    assert all(end <= start < stop for end, (start, stop) in zip(ends, sorted(reading.places), strict=False))
    found = likelihoods(plain, _encoded(said.logprobs), reading.places)
    for label in LABELS:
        expected = [m.score for m in mentions if m.label == label]
        assert [s for m, s in zip(reading, found, strict=True) if m.label == label] == pytest.approx(expected)


WRITTEN = {
    "json_list": ['{"text": "fever", "label": "problem"}', '{"label": "TEST", "text": "CT", "why": {"a": [{}]}}'],
    "tanl": ["[ fever | problem ]", "[CT|test]"],
    "tagged": ['<span class="problem">fever</span>', "<test>CT</test>"],
    "dice": ["fever", "CT"],
}
AROUND = {
    "json_list": ['[{0}, {{"text": 3}}, {1}]', 'Sure: {{"mentions": [{0}, {1}]}}', '{{"a": {{"b": [{0}]}}}} and {1}'],
    "tanl": ["No {0} \\[x\\] [ y on {1}", "Sure.\n{0}{1}"],
    "tagged": ["No &lt; {0} <b> on {1}", "{0} </span> {1}"],
    "dice": [
        "Entity type is problem. x. Entity is {0}. Entity type is test. Entity is <entity> [SEP]  {1}. ",
        "Well:\nEntity type is test. Entity is {1}\nEntity type is problem. Entity is a [SEP] {0} [SEP] b",
    ],
}


@pytest.mark.parametrize("fence", ["{}", "```\n{}\n```", " \n```json x\n{}\n``` \n", "``` {}"])
@pytest.mark.parametrize(("name", "frame"), [(name, frame) for name, frames in AROUND.items() for frame in frames])
def test_places_are_those_of_the_answer_as_it_came(name: str, frame: str, fence: str) -> None:
    said = fence.format(frame.format(*WRITTEN[name]))
    reading = FORMS[name].read(said)
    shown = {m.text: said[a:b] for m, (a, b) in zip(reading, reading.places, strict=True)}
    if fence != "``` {}" or "\n" not in frame:  # there the first line belongs to the fence
        assert (shown["fever"], shown["CT"]) == tuple(WRITTEN[name])


def test_places_of_many_objects_are_found_in_time() -> None:
    rows = ", ".join(f'{{"text": "w{n}", "label": "test", "score": NaN}}' for n in range(900))
    for said in (f'{{"mentions": [{rows}]}}', '{"a":' * 900 + f"[{rows}]" + "}" * 900):
        reading = FORMS["json_list"].read(said)
        assert [said[a:b][10 : 10 + len(m.text)] for m, (a, b) in zip(reading, reading.places, strict=True)] == [
            m.text for m in reading
        ]
        assert len(reading) == 900


# The stand-in, whichever way its answer takes


def _marginals(text: str = TEXT) -> list[float]:
    shown = [Sample(d.text, tuple((e.start, e.end, e.label) for e in d.entities)) for d in NOTES]
    return [span.score for span in tag_in_context(shown, Sample(text))]


@pytest.mark.parametrize("name", FORMATS)
def test_a_score_is_the_marginal(name: str) -> None:
    program = _program(name)
    program.extract.select = lambda text, exclude=(): list(Pool.of(NOTES, "document"))
    assert _scores(program(TEXT)) == pytest.approx(_marginals(), rel=1e-9)
    assert len(set(_scores(program(TEXT)))) > 3


def _kept(tmp_path: Path, program: NERProgram) -> Iterator[tuple[str, dspy.Prediction]]:
    for way in ("sent", "kept"):
        store = AnswerStore(tmp_path / "answers.sqlite")
        account = Account(store=store, ledger=(ledger := Ledger(tmp_path / "ledger.jsonl")))
        meter = Meter(Crf(0), account=account)
        yield way, _asked(program, MeteredLM(meter))
        assert (meter.spent.attempts, len(store)) == (1, 1), "a killed run that goes on counts what it had sent"
        store.close()
        ledger.close()
    tape = Recorder(Crf(0), tmp_path / "tape.jsonl")
    yield "recorded", _asked(program, MeteredLM(Meter(Crf(0), tape=tape)))
    yield "replayed", _asked(program, MeteredLM(Meter(Replay(tmp_path / "tape.jsonl"))))


def test_a_resumed_and_a_replayed_answer_are_as_sure_as_the_first(tmp_path: Path) -> None:
    program = _program("tanl")
    first = _scores(program(TEXT))
    assert None not in first
    for way, said in _kept(tmp_path, program):
        assert _scores(said) == first, way


def test_workers_threads_tasks_and_copies_give_the_same_scores() -> None:
    program = _program("dice")
    first = _scores(program(TEXT))
    engine = Crf(1)
    try:
        assert _scores(_asked(program, MeteredLM(Meter(engine)))) == first
    finally:
        engine.close()
    with dspy.context(lm=deepcopy(open_lm())):
        assert _scores(asyncio.run(deepcopy(program).acall(TEXT))) == first


def test_only_stages_ask_for_logprobs() -> None:
    said = writer()("Your output fields are:\n1. `x`\nAll interactions")
    assert [type(text) for text in said] == [str]


# An LM behind an API


class Api:
    """A backend that writes what it is told, one token for three bytes, each with the probability 0.9, if it is asked to."""

    model, identity, supports_schema, price = "scripted/tokens", "", False, None
    local, writes = True, True

    def __init__(self, said: str, logprobs: bool, change: Callable[[bytes], bytes] = bytes) -> None:
        self.said, self.logprobs, self.change = said, logprobs, change

    def complete(self, request: Request) -> Response:
        assert (request.config.logprobs is not None) == self.logprobs
        raw = self.change(self.said.encode())
        cut = [raw[at : at + 3] for at in range(0, len(raw), 3)]
        tokens = tuple(TokenLogprob(t.decode(errors="replace"), math.log(0.9), bytes=tuple(t)) for t in cut)
        message = Message.assistant([TextPart(self.said)])
        return Response(
            id="1", model="m", message=message, finish_reason="stop", usage=Usage(),
            logprobs=tokens if self.logprobs else None,
        )  # fmt: skip


SAID = '[{"text": "Fièvre", "label": "problem"}]'


@pytest.mark.parametrize(
    ("backend", "score"),
    [
        (Api(SAID, True), 0.9**14),  # the object is bytes 1 to 39 of the answer: tokens 0 to 13, of three bytes each
        (Api(SAID, False), None),
        (Api(SAID, True, lambda raw: raw[:-3]), None),
        (Api(SAID, True, lambda raw: b""), None),
    ],
)
def test_an_lm_that_reports_logprobs_gives_scores_by_the_same_path(backend: Backend, score: float | None) -> None:
    program = _program(demos=None)
    with dspy.context(lm=MeteredLM(Meter(backend))):
        (entity,) = program("No Fièvre.").entities
        assert asyncio.run(program.acall("No Fièvre.")).entities[0].score == entity.score
    assert entity.score == (None if score is None else pytest.approx(score))


def test_what_asks_for_logprobs_is_the_spec() -> None:
    def reports(**options: Any) -> Any:
        return backend_of(Model(**options)).logprobs  # type: ignore[attr-defined]

    assert reports(model="openai/x", can=["logprobs"]) is True
    assert reports(model="openai/x") is False
    assert reports() is True, "the stand-in gives them unasked"


@pytest.mark.parametrize("wanted", [True, False])
def test_over_http_scores_are_the_same(monkeypatch: pytest.MonkeyPatch, wanted: bool) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    program = _program("tagged")
    with Loopback() as server:
        lm = open_lm("openai/any", api_base=server.base, can=["logprobs"] if wanted else [])
        found = _scores(_asked(program, lm))
    assert found == (pytest.approx(_scores(program(TEXT))) if wanted else [None] * len(found))


# Alignment and verification


def test_listings_of_one_string_score_its_places_in_turn() -> None:
    listed = [Mention("fever", "problem", score=s) for s in (0.9, 0.4)] + [Mention("fever", "test", score=0.1)]
    found = align("fever, fever, no Fever", listed)
    assert [(e.label, e.score) for e in found] == [("problem", 0.9), ("problem", 0.4), ("problem", 0.4)]
    assert [e.score for e in align("fever, fever", listed[:2], policy="ordered")] == [0.9, 0.4]
    assert [e.score for e in align("pneumnia, pneumonia", [Mention("pneumonia", "problem", score=0.9)])][-1] == 0.9


KNEE = Entity.of("a knee", 2, 6, "problem", score=0.7)


@pytest.mark.parametrize(
    ("verdict", "score"),
    [
        (None, 0.7), (Verdict("keep", 1, score=0.9), 0.7), (Verdict("label", 1, label="test", score=0.9), 0.9),
        (Verdict("span", 1, text="a knee", score=0.8), 0.8), (Verdict("label", 1, label="test"), None),
    ],
)  # fmt: skip
def test_what_is_kept_keeps_its_score_and_what_is_changed_has_the_verdicts(
    verdict: Verdict | None, score: float | None
) -> None:
    (mention,) = apply([KNEE], [verdict] if verdict else [])
    assert mention.score == score


def test_additions_and_candidates_without_a_score_take_the_verdicts() -> None:
    bare = Entity.of("a knee", 2, 6, "problem")
    said = [Verdict("keep", 1, score=0.9), Verdict("add", label="test", text="a", score=0.3)]
    assert [m.score for m in apply([bare], said)] == [0.9, 0.3]


def test_the_scores_of_verdicts_reach_the_program() -> None:
    program = _program(verify={"name": "llm", "mode": "reject"})
    assert program.verify is not None
    keep = "1 keep\n2 reject"
    with dspy.context(lm=MeteredLM(Meter(Api(keep, True)))):
        found = align(TEXT, [Mention(word, "problem") for word in TEXT.split()[:2]])
        mentions, said = program.verify(TEXT, "", found)
        assert [v.score for v in said.verdicts] == pytest.approx([0.9**2, 0.9**3])
    assert [m.score for m in mentions] == pytest.approx([0.9**2]), "what had no score takes the verdict's"


# Where scores may not show, and where they must


def test_a_demonstration_with_scores_is_written_like_one_without() -> None:
    codec = FormatCodec(FORMS["json_list"], NER)
    plain = {"text": "a knee", "mentions": [{"text": "knee", "label": "problem"}]}
    scored = {"text": "a knee", "mentions": [{"text": "knee", "label": "problem", "score": 0.3}]}
    assert codec.encode(plain) == codec.encode(scored)


def test_annotations_and_predictions_carry_scores(tmp_path: Path) -> None:
    program = _program("tanl")
    out = io.StringIO()
    with dspy.context(lm=open_lm()):
        documents.annotate(program, [Document("d", TEXT)], lambda one: out.write(documents.line(one)), lambda: None)
    first = _scores(program(TEXT))
    assert [e["score"] for e in json.loads(out.getvalue())["entities"]] == first
    (tmp_path / "said.jsonl").write_text(out.getvalue())
    again = predictions.read(tmp_path / "said.jsonl", [Document("d", TEXT)], PLAIN)
    assert [e.score for e in again.scored.predicted[0]] == first


# What scores are worth


def test_surer_entities_are_more_often_right() -> None:
    dev = wardnotes.read("dev")
    labels = sorted({e.label for d in dev for e in d.entities})
    spec = ProgramSpec(labels=dict.fromkeys(labels, ""), demos={"name": "tfidf", "k": 8})
    program = spec.build(None, Pool.of(wardnotes.read("train")))
    found = sorted(((e.score or 0.0), e in d.entities) for d in dev for e in program(d.text, exclude=d.kin).entities)
    less, more = ([right for _, right in half] for half in (found[: len(found) // 2], found[len(found) // 2 :]))
    assert len(less) > 50
    assert sum(more) / len(more) > sum(less) / len(less) + 0.1, (sum(more), sum(less), len(less))


def test_a_place_inside_a_longer_mention_takes_no_score_of_a_shorter_one() -> None:
    said = [Mention("cold sweat", "p", score=0.9), Mention("cold", "p", score=0.4), Mention("cold", "p", score=0.7)]
    found = align("cold sweat and cold; then cold", said)
    assert [(e.text, e.score) for e in found] == [("cold sweat", 0.9), ("cold", 0.4), ("cold", 0.7)]
