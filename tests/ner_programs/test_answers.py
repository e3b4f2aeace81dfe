"""Every answer of an LM ends as read, truncated, unreadable, refused or unanswered, and its reasoning is no part of it.

`data/answers.jsonl` holds invented answers of APIs, a kind in each line; the tests below it are of the same kinds with other
texts, over all formats.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Message, RefusalPart, Request, Response, TextPart, ThinkingPart, Usage
from dspy.utils.exceptions import LMInvalidRequestError
from hypothesis import given
from hypothesis import strategies as st

from ner_programs import Mention, ProgramSpec, align
from ner_programs.components import names, resolve
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.prompts.answers import said
from tests.effort import soon
from tests.ner_programs.support import labels_of

FORMATS = names("ner_programs.formats")
LABELS = {"problem": "", "drug": ""}
ROWS = [json.loads(line) for line in (Path(__file__).parent / "data/answers.jsonl").read_text("utf-8").splitlines()]
TEXT = "Ms Ode has a sore hip & IL-2β rash; takes Fooxil 5 µg."
PAIRS = [("sore hip", "problem"), ("IL-2β rash", "problem"), ("Fooxil", "drug")]


class Told:
    """A backend that replies with a message of an OpenAI-compatible API, as DSPy hands it on."""

    model, identity, supports_schema, price = "test/told", "", False, None
    logprobs, local, writes = False, True, True

    def __init__(self, message: dict[str, Any] | str, finish: str = "stop") -> None:
        self.message = {"content": message} if isinstance(message, str) else message
        self.finish = finish

    def complete(self, request: Request) -> Response:
        if self.finish == "content_filter":
            raise LMInvalidRequestError("withheld", model=self.model, provider_code="content_filter")
        content = self.message.get("content") or ""
        text = content if isinstance(content, str) else "".join(part["text"] for part in content)
        parts: list[Any] = [ThinkingPart(t)] if (t := self.message.get("reasoning_content")) else []
        parts += [RefusalPart(r)] if (r := self.message.get("refusal")) else []
        parts += [TextPart(text)] if text or not parts else []
        usage = Usage(input_tokens=1, output_tokens=1, total_tokens=2)
        return Response(
            id="x", model=request.model, message=Message.assistant(parts), finish_reason=self.finish, usage=usage
        )


def told(message: dict[str, Any] | str, name: str, text: str = TEXT, finish: str = "stop") -> dspy.Prediction:
    made = ProgramSpec(labels=LABELS, format={"name": name}, unit="document").build()
    with dspy.context(lm=MeteredLM(Meter(Told(message, finish), retries=0)), disable_history=True):
        return made(text=text)


def found(prediction: dspy.Prediction) -> list[tuple[str, str]]:
    return sorted((e.text, e.label) for e in prediction.entities)


def ends(prediction: dspy.Prediction) -> dict[str, int]:
    return {name: n for name, n in prediction.answers.as_dict().items() if n}


def written(name: str, text: str = TEXT, pairs: list[tuple[str, str]] = PAIRS) -> str:
    form = resolve("ner_programs.formats", {"name": name}, labels=labels_of(LABELS))
    answer: str = form.write(text, [Mention(s, la, text.index(s)) for s, la in pairs])
    return answer


def _right(row: dict[str, Any]) -> bool:
    prediction = told(row["message"], row["format"], row["text"], row["finish_reason"])
    assert sum(prediction.answers.as_dict().values()) == 1
    if found(prediction) == sorted((s, la) for s, la in row["expected"]):
        return True
    counted = row.get("counted_as", "")
    return ("truncated" in counted and ends(prediction) == {"truncated": 1}) or (
        "unanswered" in counted and ends(prediction) in ({"refused": 1}, {"unanswered": 1})
    )


def test_answers_of_apis() -> None:
    """What is left: words for a label that no spec gives, one mention for all its places, half an answer."""
    wrong = {row["case"] for row in ROWS if not _right(row)}
    assert wrong == {"labelsyn", "repeat", "filterpartial"}
    assert sum(row["case"] not in wrong or _right(row) for row in ROWS) >= 0.95 * len(ROWS)


DRAFTS = {
    "json_list": '[{"text": "Ms Ode", "label": "drug"}]', "tanl": "[ Ms Ode | drug ] has", "dice":
    "Entity type is drug. Entity is Ms Ode.", "tagged": '<span class="drug">Ms Ode</span> has',
}  # fmt: skip
THOUGHTS: dict[str, Callable[[str, str], str]] = {
    "think": lambda d, a: f"<think>{d}</think>{a}",
    "no opening": lambda d, a: f"Let me see: {d}\n</think>\n{a}",
    "thinking": lambda d, a: f"\n<Thinking>\n{d}\n</Thinking>\n\n{a}",
    "reasoning": lambda d, a: f"<reasoning>{d}</reasoning>\n{a}",
    "scratchpad, answer": lambda d, a: f"<scratchpad>{d}</scratchpad><answer>\n{a}\n</answer>",
    "twice": lambda d, a: f"<think>{d}</think>\n<think>{d}</think>\n{a}",
    "behind": lambda d, a: f"{a}\n<think>{d}</think>",
    "brackets": lambda d, a: f"[THINK]{d}[/THINK]{a}",
    "triangles": lambda d, a: f"◁think▷{d}◁/think▷{a}",
    "special tokens": lambda d, a: f"<|START_THINKING|>{d}<|END_THINKING|><|START_RESPONSE|>{a}<|END_RESPONSE|>",
    "begin of thought": lambda d, a: f"<|begin_of_thought|>{d}<|end_of_thought|>\n<|begin_of_solution|>{a}",
    "unused tokens": lambda d, a: f"<unused94>thought\n{d}<unused95>{a}",
    "channels": lambda d, a: f"<|channel|>analysis<|message|>{d}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{a}<|return|>",
    "constrained": lambda d, a: f"<|channel|>analysis<|message|>{d}<|end|>"
    f"<|start|>assistant<|channel|>final <|constrain|>json<|message|>{a}",
    "template": lambda d, a: f"<|im_start|>assistant\n<think>\n{d}\n</think>\n\n{a}<|im_end|>",
}  # fmt: skip
UNFINISHED: dict[str, Callable[[str], str]] = {
    "think": lambda d: f"<think>\n{d} hmm", "reflection": lambda d: f"<reflection>{d}",
    "brackets": lambda d: f"[THINK]{d}", "channel": lambda d: f"<|channel|>analysis<|message|>{d} so",
}  # fmt: skip
ENDS = [
    "<|im_end|>", "</s>", "<|eot_id|>", "<|endoftext|>", "<eos>", "<end_of_turn>", "<｜end▁of▁sentence｜>", "[/INST]",
]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("how", THOUGHTS)
def test_reasoning_is_no_answer(name: str, how: str) -> None:
    prediction = told(THOUGHTS[how](DRAFTS[name], written(name)), name)
    assert found(prediction) == sorted(PAIRS) and ends(prediction) == {"read": 1}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("how", UNFINISHED)
@pytest.mark.parametrize("finish", ["stop", "length"])
def test_reasoning_that_never_ends_is_truncated(name: str, how: str, finish: str) -> None:
    prediction = told(UNFINISHED[how](DRAFTS[name]), name, finish=finish)
    assert found(prediction) == [] and ends(prediction) == {"truncated": 1}


@pytest.mark.parametrize("name", FORMATS)
def test_reasoning_in_a_field_of_its_own(name: str) -> None:
    both = told({"content": written(name), "reasoning_content": DRAFTS[name]}, name)
    alone = told({"content": None, "reasoning_content": f"So: {written(name)}"}, name)
    cut = told({"content": "", "reasoning_content": DRAFTS[name]}, name, finish="length")
    assert found(both) == found(alone) == sorted(PAIRS) and ends(both) == ends(alone) == {"read": 1}
    assert found(cut) == [] and ends(cut) == {"truncated": 1}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("mark", ENDS)
def test_what_stands_behind_the_end_is_not_read(name: str, mark: str) -> None:
    prediction = told(f"{written(name)}{mark}\nuser\n{DRAFTS[name]}", name)
    assert found(prediction) == sorted(PAIRS)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [None, "", "  \n"])
def test_an_empty_reply_is_unanswered(name: str, content: str | None) -> None:
    prediction = told({"content": content}, name)
    assert ends(prediction) == {"unanswered": 1} and prediction.unanswered == 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "refusal": "No."}, {"content": "I'm sorry, but I can’t assist with that request."},
        {"content": "As an AI model I am not able to read patient records."},
        {"content": "I cannot process medical notes."}, {"content": "This request violates our policy."},
    ],
)  # fmt: skip
def test_refusals_are_refused(name: str, message: dict[str, Any]) -> None:
    prediction = told(message, name)
    assert ends(prediction) == {"refused": 1} and (prediction.unreadable, prediction.unanswered) == (0, 0)


@pytest.mark.parametrize("name", FORMATS)
def test_another_text_is_unreadable_and_a_note_that_sounds_like_a_refusal_is_read(name: str) -> None:
    assert ends(told("Certainly, here you go then.", name)) == {"unreadable": 1}
    note = "Sorry, I cannot move my sore hip."
    assert found(told(written(name, note, [("sore hip", "problem")]), name, note)) == [("sore hip", "problem")]
    assert ends(told(written(name, note, []), name, note)) == {"read": 1}


@pytest.mark.parametrize("name", FORMATS)
@given(share=st.floats(0, 1))
def test_of_a_cut_answer_only_what_is_complete_is_read(name: str, share: float) -> None:
    answer = written(name)
    prediction = told(answer[: int(share * len(answer))], name, finish="length")
    assert set(found(prediction)) <= set(PAIRS) and ends(prediction) == {"truncated": 1}


ODD = ["<think>", "</think>", "<|im_end|>", "</s>", "&amp;", "&beta;", "ＨＢ", "α", "₂", "\\boxed{x}", "<answer>", "[/INST]",
       "<|channel|>analysis<|message|>", "none", "N/A", "“", "```"]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@given(pieces=st.lists(st.sampled_from([*ODD, "hip", "rash ", " "]), min_size=1, max_size=8))
def test_marks_that_a_note_itself_has_are_text(name: str, pieces: list[str]) -> None:
    text = "".join(pieces) + " sore toe"
    pairs = [("sore toe", "problem")]
    assert found(told(written(name, text, pairs), name, text)) == pairs


SPELLED = [
    ("TNF-α and γδ cells", "TNF-alpha", "TNF-α"), ("TNF-alpha", "TNF-α", "TNF-alpha"),
    ("αβ T cells", "alpha-beta T cells", "αβ T cells"), ("5 µg Quxa", "5 ug Quxa", "5 µg Quxa"),
    ("５ ｍｇ ＱＸ－７（＋）", "QX-7(+)", "ＱＸ－７（＋）"), ("low Ca²⁺ now", "Ca2+", "Ca²⁺"),
    ("10⁹/L cells", "10^9/L", "10⁹/L"),
    ("H₂O load", "H2O load", "H₂O load"), ("A&amp;B rash", "A&B rash", "A&amp;B rash"),
    ("A & B rash", "A &amp; B rash", "A & B rash"), ("x < 3 rash", "x &lt; 3 rash", "x < 3 rash"),
    ("type Ⅱ fever", "type II fever", "type Ⅱ fever"), ("κ-λ ratio", "kappa-lambda ratio", "κ-λ ratio"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "surface", "there"), SPELLED)
def test_letters_in_another_spelling_are_found_at_their_offsets(text: str, surface: str, there: str) -> None:
    (entity,) = align(text, [Mention(surface, "x")])
    assert entity.text == there and text[entity.start : entity.end] == there


@pytest.mark.parametrize("surface", ["TNF-beta", "IL-2α", "Ca3+"])
def test_other_letters_and_numbers_are_not_found(surface: str) -> None:
    assert align("TNF-α, IL-2β, Ca²⁺", [Mention(surface, "x")]) == ()


TWO = [("sore hip", "problem"), ("Fooxil", "drug")]
JSONS = [
    '[{"text": "sore hip", "label": "problem",}, {"text": "Fooxil", "label": "drug"},]',
    '[{text: "sore hip", label: "problem"}, {text: "Fooxil", label: "drug"}]',
    "[{'text': 'sore hip', 'label': 'problem'}, {'text': 'Fooxil', 'label': 'drug'}]",
    "[{“text”: “sore hip”, “label”: “problem”}, {“text”: “Fooxil”, “label”: “drug”}]",
    "｛“text”：“sore hip”，“label”：“problem”｝，｛“text”：“Fooxil”，“label”：“drug”｝",
    '[{"text": "sore hip", /* where */ "label": "problem"}, # it\n {"text": "Fooxil", // brand\n "label": "drug"}]',
    '{"problem": ["sore hip"], "drug": ["Fooxil"]}', '{"Problems": "sore hip", "Drugs": "Fooxil"}',
    '{"entities": {"problem": [{"text": "sore hip"}], "drug": [{"name": "Fooxil"}]}}',
    '{"problem": ["sore hip",], drug: [\'Fooxil\']}', '[{"problem": "sore hip"}, {"drug": "Fooxil"}]',
    '{"sore hip": "problem", "Fooxil": "drug"}', '[["sore hip", "problem"], ["Fooxil", "drug"]]',
    '[("sore hip", "problem"), ("Fooxil", "drug")]',
    '[{"entity": "sore hip", "type": "PROBLEM"}, {"word": "Fooxil", "entity_group": "B-drug"}]',
    '[{"mention": "sore hip", "category": ["problem"]}, {"span": "Fooxil", "labels": ["Drugs", "other"]}]',
    '[{"text": "sore hip", "label": "problem", "why": {"text": "Ms Ode", "label": "drug"}}, '
    '{"text": "Fooxil", "label": "drug"}]',
    '[{"text": "sore hip", "label": "problem", "why": {"text": "Ms Ode", "label": "drug"},}, '
    '{"text": "Fooxil", "label": "drug"}]',
    '{"text": "Ms Ode has a sore hip", "mentions": [{"text": "sore hip", "label": "problem"}, '
    '{"text": "Fooxil", "label": "drug"}]}',
    '{"text": "sore hip", "label": "problem"}\n{"text": "Fooxil" "label": "drug"}',
    '[{&quot;text&quot;: &quot;sore hip&quot;, &quot;label&quot;: &quot;problem&quot;}, '
    '{&quot;text&quot;: &quot;Fooxil&quot;, &quot;label&quot;: &quot;drug&quot;}]',
    '[{\\"text\\": \\"sore hip\\", \\"label\\": \\"problem\\"}, {\\"text\\": \\"Fooxil\\", \\"label\\": \\"drug\\"}]',
    'In {brackets}:\n```json\n[{"text": "sore hip", "label": "problem"}, '
    '{"text": "Fooxil", "label": "drug",}]\n```\nMore {to} come!',
]  # fmt: skip


@pytest.mark.parametrize("answer", JSONS)
def test_json_that_is_nearly_json_or_of_another_shape_is_read(answer: str) -> None:
    prediction = told(answer, "json_list")
    assert found(prediction) == sorted(TWO) and prediction.unreadable == 0


@pytest.mark.parametrize(
    "piece", ['[{"text":"x" y" ', '{"text": "a', '["a", ', '{"a": [{"b": ', '["', '{a:"', '{"x": “”"\'']
)
def test_hostile_json_neither_raises_nor_hangs(piece: str) -> None:
    with soon():
        assert found(told(piece * 5000, "json_list")) == []


def test_unescaped_quotes_are_read() -> None:
    text = 'She has a "bad" hip and 5" scars.'
    answer = '[{"text": "a "bad" hip", "label": "problem"}, {"text": "5" scars", "label": "problem"}]'
    assert found(told(answer, "json_list", text)) == [('5" scars', "problem"), ('a "bad" hip', "problem")]


@pytest.mark.parametrize(
    "answer", ["[]", "{}", '{"problem": [], "drug": []}', '{"mentions": []}', "No mentions found."]
)
def test_nothing_is_an_answer(answer: str) -> None:
    assert ends(told(answer, "json_list")) == {"read": 1}


@pytest.mark.parametrize("said", ["None", "N/A", "[none]", "no mentions", "nil"])
def test_a_clause_without_mentions_marks_nothing(said: str) -> None:
    answer = f"Entity type is problem. Entity is {said}. Entity type is drug. Entity is Fooxil."
    prediction = told(answer, "dice", "Rash: none, nil, no mentions, N/A. Takes Fooxil.")
    assert found(prediction) == [("Fooxil", "drug")] and prediction.lost == ()


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("problem", "PROBLEMS"), ("drug", "Drugs"), ("therapies", "therapy"), ("diagnosis", "Diagnoses"), ("gene", "ｇｅｎｅ"),
        ("body part", "Body_Parts"), ("drug", "drug, other"), ("drug", "B-drug"), ("drug", "Label: drug"),
    ],
)  # fmt: skip
def test_labels_in_another_form_are_known(name: str, spec: str, said: str) -> None:
    ours, theirs = (
        resolve("ner_programs.formats", {"name": name}, labels=labels_of({label: ""})) for label in (spec, said)
    )
    reading = ours.read(theirs.write("a sore hip", [Mention("sore hip", said, 2)]))
    assert [(m.text, m.label) for m in reading] == [("sore hip", spec)]


def test_labels_that_differ_in_number_stay_apart() -> None:
    form = resolve("ner_programs.formats", {"name": "json_list"}, labels=labels_of({"gene": "", "genes": ""}))
    both = [Mention("a", "genes"), Mention("b", "gene")]
    assert list(form.read(form.write("", both))) == both


@given(st.text(max_size=40))
def test_an_answer_without_marks_stays_as_it_is(text: str) -> None:
    text = text.replace("<", "").replace("\\", "").replace("[", "").replace("◁", "").replace("nalysis", "")
    assert said(text) == (text, False)


@pytest.mark.parametrize(
    "piece",
    [
        "<think>", "</think>", "<think></think>", "<think>a</think>b", "<|a|>", "<answer>", "\\boxed{", "<think ",
        "<|channel|>", "<|channel|>x<|message|>", "<|start|> assistant", "I cannot ", "[/INST] ", "analysis",
        "analysisA assistantfinal",
        "I very ", "<", "thinking...\n", "<|channel|>a", "<|im_start|>assistant\n",
    ],
)  # fmt: skip
def test_marks_without_end_neither_raise_nor_hang(piece: str) -> None:
    with soon():
        text, _ = said(piece * 5000)
    assert len(text) <= len(piece) * 5000
