"""Rules are learned from train alone, kept where they pay on dev, and cost no more than the budget."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy.lm15 import Request

import ner_programs
import optimizers
from ner_programs import ComponentError, Document, Entity, NERProgram
from ner_programs.bundle import folder
from ner_programs.bundle.state import state_of
from ner_programs.guidelines import _SENTENCES, CLASSES, Rule
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.ner import NER
from ner_programs.prompts import prompt
from ner_programs.stages.verify import Verification, VerifyEntities
from ner_programs.verifiers.rules import Span, obey
from optimizers._draws import interleaved
from optimizers._guidelines.lines import candidates, explains, fold, uses
from optimizers.guidelines import known, with_rules
from optimizers.trial import Trial
from tests.tiny import DRUGS, PROBLEMS, Scripted, program, text_of

MISSED = ("gout", "aspirin")


def note(name: str, problem: str, drug: str, *, severe: bool) -> Document:
    """Return a note whose annotator takes "severe" into the mention of the problem, or leaves it out."""
    text = f"Note {name}: severe {problem} was treated with {drug} at once."
    said = f"severe {problem}" if severe else problem
    found = [
        Entity.of(text, text.index(w), text.index(w) + len(w), label)
        for w, label in ((said, "problem"), (drug, "drug"))
    ]
    return Document(name, text, tuple(found))


def notes(prefix: str, count: int, *, severe: bool = False) -> tuple[Document, ...]:
    return tuple(
        note(f"{prefix}{n}", PROBLEMS[n % 6], DRUGS[n * 5 % 6], severe=severe) for n in range(count)
    )  # fmt: skip


TRAIN, DEV = notes("t", 24), notes("d", 18)


def heard(instruction: str) -> list[Rule]:
    """What a model that understands English takes from an instruction's rules."""
    found = []
    for line, (kind, said) in itertools.product(instruction.split("\n"), _SENTENCES.items()):
        pattern = (
            re.escape(said).replace(r"\{items\}", "(?P<items>.+?)").replace(r"\{as_label\}", "(?: as (?P<as>.+))?")
        )
        pattern = pattern.replace(r"\{one\}", "(?P<one>.+)").replace(r"\{a\}", "an? (?P<a>.+)")
        if hit := re.fullmatch(pattern, line):
            parts = hit.groupdict()
            items = parts.get("items") or ""
            label = parts.get("as") or parts.get("one") or parts.get("a") or ""
            outside = re.sub(r'"(?:[^"\\]|\\.)*"', "", items)
            words = tuple(json.loads(word) for word in re.findall(r'"(?:[^"\\]|\\.)*"', items))
            classes = tuple(name for name in CLASSES if name in outside)
            found.append(Rule(kind, words, label if label != "mention" else "", classes))  # type: ignore[arg-type]
    return found


def obedient(missed: Sequence[str] = MISSED, marked: Sequence[str] = ()) -> Callable[[Request], str]:
    """A model that knows every name but those `missed`, takes `marked` strings for drugs, and does what it is told."""

    def answer(request: Request) -> str:
        text = text_of(request).rpartition("### text\n")[2]
        known = [(w, "drug") for w in (*DRUGS, *marked)] + [(w, "problem") for w in PROBLEMS]
        spans = [Span(text.index(w), text.index(w) + len(w), label, 0.5) for w, label in known
                 if w in text and w not in missed]  # fmt: skip
        system = request.system if isinstance(request.system, str) else "".join(p.text for p in request.system or ())
        done = obey(text, sorted(spans, key=lambda s: s.start), heard(dict(prompt.parse(system))[""]))
        return json.dumps([{"text": text[s.start : s.end], "label": s.label} for s in done])

    return answer


class Bench:
    def __init__(self, script: Callable[[Request], str], concurrency: int = 4, writes: bool = True) -> None:
        self.backend, self.trials = Scripted(script), list[Trial]()
        self.backend.writes = writes
        self.lm = MeteredLM(Meter(self.backend), concurrency=concurrency)

    def compile(
        self, given: NERProgram | None = None, train: Sequence[Document] = TRAIN, dev: Sequence[Document] = DEV,
        calls: int = 400, seed: int = 1,
    ) -> NERProgram:  # fmt: skip
        with dspy.context(lm=self.lm, disable_history=True):
            return optimizers.compile(
                given or program(train), {"name": "guidelines", "budget": {"calls": calls}}, train=train, dev=dev, seed=seed,
                on_trial=self.trials.append,
            )  # fmt: skip


def rules(program: NERProgram) -> tuple[Rule, ...]:
    found = tuple(Rule(**rule) for rule in program.spec.rules)
    assert found == tuple(heard(program.extract.predict.signature.instructions))
    return found


def words(program: NERProgram, kind: str) -> set[str]:
    return {w for rule in rules(program) if rule.kind == kind for w in rule.words}


class TestCompile:
    def test_a_convention_that_the_program_misses_is_found_and_kept(self) -> None:
        bench = Bench(obedient())
        made = bench.compile()
        assert set(MISSED) <= words(made, "always")
        first, last = bench.trials[0].scored.total.f1, max(t.scored.total.f1 for t in bench.trials)
        assert first < last == 1.0
        assert any('"gout"' in str(t.changes.get("guidelines")) for t in bench.trials)

    def test_what_train_does_and_dev_does_not_is_tried_and_dropped(self) -> None:
        train = notes("t", 24, severe=True)
        bench = Bench(obedient(missed=("aspirin",)))
        made = bench.compile(train=train)
        tried = [r for q in bench.backend.requests for r in heard(str(q.system))]
        assert any(r.kind == "keep_start" and "severe" in r.meant for r in tried)
        assert not any(r.kind == "keep_start" for r in rules(made)) and "aspirin" in words(made, "always")

    def test_what_the_program_marks_and_train_never_does_is_left_out(self) -> None:
        made = Bench(obedient(missed=(), marked=("once",))).compile()
        assert words(made, "never") == {"once"} and not words(made, "keep_start")

    def test_a_program_that_nothing_helps_stays_as_it_is(self) -> None:
        given = program(TRAIN)
        made = Bench(obedient(missed=())).compile(given)
        assert state_of(made) == state_of(given) and made.spec == given.spec

    def test_no_line_holds_what_only_dev_marks(self) -> None:
        alone = tuple(note(f"x{n}", "scurvy", "aspirin", severe=False) for n in range(8))
        bench = Bench(obedient())
        made = bench.compile(dev=(*DEV, *alone))
        assert words(made, "always") and "scurvy" not in words(made, "always")
        assert not any('"scurvy"' in str(q.system) for q in bench.backend.requests)

    def test_train_is_answered_without_the_document_itself(self) -> None:
        bench = Bench(obedient())
        bench.compile(program(TRAIN, demos={"name": "random", "k": 24}))
        asked = [q for q in bench.backend.requests if any(d.text in text_of(q) for d in TRAIN)]
        assert asked and len(asked[0].messages) > 20
        for request in asked:
            own = next(d.text for d in TRAIN if d.text in text_of(request))
            assert not any(own in (m.text or "") for m in request.messages[:-1])

    def test_what_was_found_before_is_not_contradicted_nor_said_twice(self) -> None:
        given = with_rules(program(TRAIN), [Rule("never", ("gout",), "problem")], writes=True)
        made = Bench(obedient()).compile(given)
        assert "gout" not in words(made, "always") and "aspirin" in words(made, "always")
        assert rules(made)[0] == Rule("never", ("gout",), "problem")
        again = Bench(obedient()).compile(made)
        assert rules(again) == rules(made) and state_of(again) == state_of(made)

    def test_a_rule_that_the_instruction_no_longer_says_is_forgotten(self) -> None:
        given = with_rules(program(TRAIN), [Rule("never", ("gout",), "problem")], writes=True)
        predictor = given.extract.predict
        predictor.signature = predictor.signature.with_instructions("Find them all.")
        assert known(given) == ()
        assert "gout" in words(Bench(obedient()).compile(given), "always")


class TestWithoutALanguageModel:
    """What follows no instruction has its rules followed by a verifier."""

    def compile(self, given: NERProgram | None = None, **options: Any) -> NERProgram:
        def deaf(request: Request) -> str:
            return obedient(**options)(replace(request, system="Find."))

        bench = Bench(deaf, writes=False)
        made = bench.compile(given)
        assert made.extract.predict.signature.instructions == program(TRAIN).extract.predict.signature.instructions
        return made

    def test_what_the_program_misses_is_found_and_a_bundle_carries_it(self, tmp_path: Path) -> None:
        made = self.compile()
        assert made.spec.verify is not None and made.spec.verify["name"] == "rules" and made.spec.rules == []
        assert set(MISSED) <= {w for rule in known(made) if rule.kind == "always" for w in rule.words}
        folder.save(made, tmp_path / "b")
        assert ner_programs.load(tmp_path / "b").spec == made.spec

    def test_what_is_verified_already_still_is(self) -> None:
        made = self.compile(program(TRAIN, verify={"name": "boundary"}))
        assert made.spec.verify is not None and made.spec.verify["of"] == {"name": "boundary"}

    def test_what_was_found_before_is_kept(self) -> None:
        before = self.compile()
        assert self.compile(before).spec == before.spec

    def test_a_verify_stage_of_ones_own_has_no_name_to_write_down(self) -> None:
        given = program(TRAIN)
        given.verify = VerifyEntities(lambda *_: Verification())  # type: ignore[arg-type]
        with pytest.raises(ComponentError, match="the spec does not name the program's verify stage"):
            self.compile(given)


class TestCandidates:
    def test_a_string_is_listed_where_train_marks_it_consistently(self) -> None:
        texts = [("a", "She has gout now.", "gout"), ("b", "Her gout is worse.", "gout"), ("c", "No cold today.", "cold"),
                 ("d", "A cold morning.", ""), ("e", "It was cold.", "")]  # fmt: skip
        train = [
            Document(i, t, (Entity.of(t, t.index(w), t.index(w) + len(w), "problem"),) if w else ())
            for i, t, w in texts
        ]
        assert [line.rule for line in candidates(train, {}) if line.rule.kind == "always"] == [
            Rule("always", ("gout",), "problem")
        ]
        use = uses(train)["cold"]
        assert (use.labels.total(), use.otherwise.total()) == (1, 2) and use.share == pytest.approx(1 / 3)

    def test_lists_have_as_many_words_as_they_may(self) -> None:
        listed = [line.rule for line in candidates(TRAIN, {}, words=3) if line.rule.kind == "always"]
        assert sum(len(rule.words) for rule in listed) == 3

    def test_short_names_in_capitals_are_another_string(self) -> None:
        assert fold("ALL") == "ALL" and fold("All") == fold("all") == "all" and fold("ASPIRIN") == "aspirin"

    def test_a_change_belongs_to_the_line_that_asks_for_it(self) -> None:
        text = "He had severe gout in May."
        gout, whole, may = (Entity.of(text, a, b, "problem") for a, b in ((14, 18), (7, 18), (22, 25)))
        assert explains(Rule("keep_start", ("severe",)), text, [gout], [whole])
        assert not explains(Rule("drop_start", ("severe",)), text, [gout], [whole])
        assert explains(Rule("drop_start", ("severe",)), text, [whole], [gout])
        assert explains(Rule("always", ("may",), "problem"), text, [], [may])
        assert not explains(Rule("never", ("may",)), text, [], [may])


def test_told_keeps_the_instruction_and_the_given_program() -> None:
    given = program(TRAIN)
    before = given.extract.predict.signature.instructions
    made = with_rules(given, [Rule("never", ("fever",))], writes=True)
    assert made.extract.predict.signature.instructions == f'{before}\n\nNever mark "fever".'
    assert given.extract.predict.signature.instructions == before


def test_every_beginning_of_train_has_its_share_of_documents_with_mentions() -> None:
    empty = [Document(f"e{n}", f"Nothing in {n}.") for n in range(24)]
    for size in (4, 10, 20):
        assert sum(bool(d.entities) for d in interleaved(NER, [*TRAIN, *empty])[:size]) == size // 2
