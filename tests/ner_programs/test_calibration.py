"""Opening and closing a mark: what decides about it, how sure that is, and how far both are favoured."""

from __future__ import annotations

import json
import math
import re
from types import SimpleNamespace
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, Request, Response, TextPart, TokenLogprob, TopLogprob, Usage
from hypothesis import given
from hypothesis import strategies as st

import optimizers
from ner_programs import ComponentError, Document, Label, ProgramSpec
from ner_programs.calibration import excess, fit
from ner_programs.components import resolve
from ner_programs.demos import Pool
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.price import Price
from ner_programs.prompts.decisions import Decision, Token, decisions, tokens_in
from ner_programs.types import Entity, Mention

LABELS = {"drug": "A medicine.", "problem": "A complaint."}
WORDS = re.compile(r"\w+|[^\w\s]")
DRUGS = ("aspirin", "lasix", "heparin")


class Shy:
    """A language model that knows drugs, and opens a mark before one too rarely, by `shy` nats, and closes it too late."""

    model, identity, price = "test/shy", "", Price(0.0, 0.0)
    supports_schema, logprobs, local, writes = False, True, True, True

    def __init__(self, shy: float, late: float = 0.0, form: tuple[str, ...] = ("grammar", "bias")) -> None:
        self.shy, self.late, self.form, self.calls = shy, late, frozenset(form), 0

    def complete(self, request: Request) -> Response:
        self.calls += 1
        extensions = request.config.extensions or {}
        favoured = {str(s): float(nats) for s, nats in extensions.get("logit_bias", ())}  # type: ignore[attr-defined, misc]
        text = (request.messages[-1].text or "").rpartition("### text\n")[2]
        literal = re.fullmatch(r'root ::= "(.*)"', str(extensions.get("grammar", "")))
        forced = None if literal is None else {int(m.start()) for m in re.finditer(r"\[ ", literal[1])}
        tokens = (
            list(self._tokens(text, literal[1] if literal else None, favoured)) if forced is None or literal else []
        )
        said = "".join(t.token for t in tokens)
        return Response(
            id=None, model=request.model, message=Message.assistant([TextPart(said)]), finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1, total_tokens=2), logprobs=tuple(tokens),
        )  # fmt: skip

    def _tokens(self, text: str, forced: str | None, favoured: dict[str, float]) -> Any:
        """Yield the tokens of an answer: greedy, or the forced one."""
        words = WORDS.findall(text)
        marked = WORDS.findall(re.sub(r" \| \w+ \]", "", forced)) if forced is not None else []
        opens = [i - n for n, i in enumerate(i for i, w in enumerate(marked) if w == "[")]
        inside = False
        for i, word in enumerate(words):
            blank = " " if i else ""
            if not inside:
                odds = (3.0 if word in DRUGS else -3.0) - self.shy
                inside = i in opens if forced is not None else odds + favoured.get(" [", 0.0) > 0
                if inside:
                    yield top(f"{blank}[", f"{blank}{word}", odds)
                    blank = " "
                    yield top(f" {word}", " zzz", 9.0)
                else:
                    yield top(f"{blank}{word}", f"{blank}[", -odds)
            if inside:
                following = words[i + 1] if i + 1 < len(words) else None
                yield from (
                    top(" |", f" {following or '.'}", 3.0 - self.late),
                    top(" drug", " problem", 2.0),
                    top(" ]", ")", 9.0),
                )
                inside = False


def top(said: str, other: str, odds: float) -> TokenLogprob:
    """Return a token with its alternative, at such odds."""
    mine, its = -math.log1p(math.exp(-odds)), -math.log1p(math.exp(odds))
    tops = (TopLogprob(said, mine), TopLogprob(other, its), TopLogprob("?", -30.0))
    return TokenLogprob(said, mine, top=tops)


def sentence(drug: str, n: int) -> Document:
    text = f"Patient {n} was given {drug} today ."
    return Document(f"s{n}", text, (Entity.of(text, text.index(drug), text.index(drug) + len(drug), "drug"),))


TRAIN = [sentence(DRUGS[n % 3], n) for n in range(12)]
DEV = [sentence(DRUGS[n % 3], 100 + n) for n in range(9)]


def program(**settings: Any) -> Any:
    spec = ProgramSpec(labels=LABELS, **{"format": {"name": "tanl"}, **settings})
    return spec.build(pool=Pool.of(TRAIN, spec.unit))


def test_a_shy_model_is_calibrated() -> None:
    backend = Shy(5.0)
    with dspy.context(lm=MeteredLM(Meter(backend))):
        assert not program()(DEV[0].text).entities
        made = optimizers.compile(program(), {"name": "calibrate", "units": 8}, train=TRAIN, dev=DEV)
        found = made(DEV[0].text).entities
    assert 2.0 < made.spec.opening < 8.0
    assert found == DEV[0].entities
    assert backend.calls <= 2 * 8 + 2 * len(DEV) + 1


def test_a_score_is_the_probability_of_the_mark_its_end_and_its_label() -> None:
    with dspy.context(lm=MeteredLM(Meter(Shy(1.0, late=1.0)))):
        (entity,) = program(opening=0.5, closing=0.25)(DEV[0].text).entities
    expected = math.prod(1 / (1 + math.exp(-odds)) for odds in (3 - 1 + 0.5, 3 - 1 + 0.25, 2.0))
    assert entity.score == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("backend", "settings"),
    [
        (Shy(1.0, form=("grammar",)), {}),
        (Shy(1.0), {"format": {"name": "json_list"}}),
        (Shy(1.0), {"constrained": False}),
    ],
)
def test_where_nothing_can_be_favoured_that_is_said_before_the_first_call(
    backend: Shy, settings: dict[str, Any]
) -> None:
    with dspy.context(lm=MeteredLM(Meter(backend))), pytest.raises(ComponentError, match="calibration needs"):
        optimizers.compile(program(**settings), {"name": "calibrate"}, train=TRAIN, dev=DEV)
    assert backend.calls == 0


@given(st.floats(-2.5, 8), st.floats(-2.5, 8), st.integers(3, 20))
def test_offsets_that_hide_every_mention_are_found_again(shy: float, late: float, n: int) -> None:
    answer = [Decision(0, "open", False, -4 - shy), Decision(2, "open", True, 4 - shy),
              Decision(4, "close", False, -4 - late), Decision(6, "close", True, 4 - late)]  # fmt: skip
    opening, closing = fit([answer] * n)
    assert -4 < opening - shy < 4 and -4 < closing - late < 4


@pytest.mark.parametrize(
    ("found", "gold", "less"),
    [
        ([(3.0, True), (1.0, False)], 1, 2.0),  # the wrong one goes
        ([(3.0, True), (1.0, True)], 2, 0.0),  # both stay
        ([(3.0, False), (1.0, True)], 1, 0.0),  # the right one is the less likely
        ([], 1, 0.0),
    ],
)
def test_what_is_opened_too_easily_is_favoured_less(found: list[tuple[float, bool]], gold: int, less: float) -> None:
    assert excess([found], gold) == less


def test_nothing_is_learned_from_texts_without_mentions() -> None:
    with pytest.raises(ValueError, match="no text has a mention"):
        fit([[Decision(0, "open", False, -1.0)]])


@pytest.mark.parametrize("name", ["tanl", "tagged"])
@given(data=st.data())
def test_every_mark_of_an_inline_format_is_a_decision(name: str, data: st.DataObject) -> None:
    words = data.draw(st.lists(st.text("abcdeäß[]<|\\&", min_size=1, max_size=6), min_size=2, max_size=8))
    text = " ".join(words)
    at = data.draw(st.integers(0, len(words) - 1))
    start = sum(len(w) + 1 for w in words[:at])
    form = resolve("ner_programs.formats", {"name": name}, labels=[Label(k, v) for k, v in LABELS.items()])
    mention = Mention(words[at], "drug", start)
    answer = form.write(text, [mention])
    found = form.marks.mention.search(answer)
    assert found is not None and json.dumps(found["label"]) == '"drug"'
    tokens = [Token(c.encode(), -1.0, (("?", -2.0),)) for c in answer]
    made = decisions(answer, tokens, form.marks, list(LABELS))
    assert [d.at for d in made if d.kind == "open" and d.marked] == [found.start()]


def test_tokens_that_are_no_answer_decide_nothing() -> None:
    form = resolve("ner_programs.formats", {"name": "tanl"}, labels=[Label("drug", "")])
    assert decisions("Takes [ aspirin | drug ].", [Token(b"Takes", -1.0, (("x", -1.0),))], form.marks, ["drug"]) == []


def test_a_candidate_that_cannot_be_calibrated_is_tried_as_it_is() -> None:
    search = {"format.name": ["json_list"]}
    with dspy.context(lm=MeteredLM(Meter(Shy(5.0)))):
        optimizer = {"name": "random_search", "calibrate": 4, "search": search, "candidates": 2}
        made = optimizers.compile(program(demos={"name": "tfidf", "k": 1}), optimizer, train=TRAIN, dev=DEV)
    assert made.spec.format["name"] == "tanl" and made.spec.opening > 2


def test_alternatives_are_read_by_what_they_write() -> None:
    token = {"token": "\u0120[", "logprob": -1.0, "bytes": list(b" ["), "top_logprobs": []}
    other = {"token": "\u0120x", "logprob": -2.0, "bytes": list(b" x")}
    said = SimpleNamespace(content=[SimpleNamespace(**{**token, "top_logprobs": [SimpleNamespace(**other)]})])
    assert tokens_in(said) == [Token(b" [", -1.0, ((" x", -2.0),))]
