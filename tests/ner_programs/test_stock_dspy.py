"""The program is an ordinary DSPy module: DSPy's own Evaluate and optimizers run on it, and what they make is saved."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

import ner_programs
from ner_programs import Counts, NERProgram, Pool, ProgramSpec, align, metric
from ner_programs.bundle.state import set_state, state_of
from ner_programs.stages.verify import Verification
from tests.lms import SAYS, writer
from tests.ner_programs.support import NOTES, PLAIN, Prompt, Scripted, knows, ontology

SPEC = ProgramSpec(labels=PLAIN, unit="document")
TRAIN, DEV = NOTES[:4], NOTES[4:]


def documents(program: NERProgram, notes: Any = NOTES) -> list[dspy.Example]:
    return [dspy.Example(text=d.text, exclude=d.kin, entities=d.entities).with_inputs("text", "exclude") for d in notes]


def test_evaluate_gives_corpus_micro_f1() -> None:
    program = SPEC.build()
    lm = knows({"MRI": "test", "knee": "problem", "fever": "problem", "She": "test"}, SPEC)
    with dspy.context(lm=lm):
        result = dspy.Evaluate(devset=documents(program), metric=metric, num_threads=1, display_progress=False)(program)
        counts = sum((Counts.of(d.entities, program(d.text).entities) for d in NOTES), Counts())
    means = [float(score) for _, _, score in result.results]
    assert result.score == pytest.approx(100 * counts.f1, abs=0.01)
    assert 0 < counts.f1 < 1
    assert abs(sum(means) / len(means) - counts.f1) > 0.02, "the mean over documents is something else"


def test_evaluate_in_threads_gives_the_same() -> None:
    program = SPEC.build()
    scores = []
    for threads in (1, 4):
        with dspy.context(lm=knows({"MRI": "test", "headache": "problem"}, SPEC)):
            evaluate = dspy.Evaluate(
                devset=documents(program), metric=metric, num_threads=threads, display_progress=False
            )
            scores.append(evaluate(program).score)
    assert scores[0] == scores[1] > 0


GOLD = {d.text: [ner_programs.Mention(e.text, e.label, e.start) for e in d.entities] for d in NOTES}
PROPOSAL = {"proposed_instruction": "Mark well.", "proposed_prefix_for_output_field": "Mentions:", "completed": ""}


def right(seen: Prompt) -> str:
    """Answer as the gold is; propose an instruction where one is asked for."""
    text = seen.asked.get("text", "")
    if text in GOLD:
        return str(SPEC.build().extract.format.write(text, GOLD[text]))
    return "\n\n".join(f"[[ ## {field} ## ]]\n{value}" for field, value in PROPOSAL.items())


def oracle() -> Scripted:
    return Scripted(right)


OPTIMIZERS: dict[str, Callable[[NERProgram, list[dspy.Example]], NERProgram]] = {
    "LabeledFewShot": lambda p, train: dspy.LabeledFewShot(k=3).compile(p, trainset=train),
    "BootstrapFewShot": lambda p, train: dspy.BootstrapFewShot(
        metric=metric, max_bootstrapped_demos=2, max_labeled_demos=3
    ).compile(p, trainset=train),
    "BootstrapFewShotWithRandomSearch": lambda p, train: dspy.BootstrapFewShotWithRandomSearch(
        metric=metric, num_candidate_programs=1, max_bootstrapped_demos=1, max_labeled_demos=2, num_threads=1
    ).compile(p, trainset=train, valset=train[:2]),
    "COPRO": lambda p, train: dspy.COPRO(metric=metric, breadth=2, depth=1, prompt_model=dspy.settings.lm).compile(
        p, trainset=train[:2], eval_kwargs={"num_threads": 1, "display_progress": False}
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", [oracle, writer], ids=["oracle", "writer"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stock_optimizers_run_and_what_they_make_is_saved(name: str, make: Callable[[], Any], tmp_path: Path) -> None:
    spec = SPEC.changed({"demos": {"name": "random", "k": 1}, "retriever": {"name": "flat"}})
    program = spec.build(ontology(), Pool.of(NOTES[:1], "document"))
    before = state_of(program)
    with dspy.context(lm=make()):
        compiled = OPTIMIZERS[name](program, program.examples(TRAIN))
        folder = ner_programs.save(compiled, tmp_path / "bundle")
    assert state_of(program) == before, "the program that is compiled is not changed"
    assert compiled.kb is program.kb and compiled.pool is program.pool
    loaded = ner_programs.load(folder)
    assert state_of(loaded) == state_of(compiled)
    shown = [knows({}, spec), knows({}, spec)]
    for lm, one in zip(shown, (compiled, loaded), strict=True):
        with dspy.context(lm=lm):
            one("MRI of head.")
    assert shown[0].prompts == shown[1].prompts
    (prompt,) = shown[0].prompts
    if name == "COPRO":
        plain = before["extract.predict"]["instructions"]
        assert (
            prompt.instruction in ("Mark well.", plain)
            if make is oracle
            else prompt.instruction.startswith((plain, SAYS))
        )
    elif name != "BootstrapFewShotWithRandomSearch":
        assert len(prompt.shown) == 4 if name == "LabeledFewShot" or make is writer else len(prompt.shown) >= 3


def test_bootstrapped_demonstrations_are_the_answers_of_the_program() -> None:
    program = SPEC.build()
    with dspy.context(lm=oracle()):
        compiled = OPTIMIZERS["BootstrapFewShot"](program, [e for e in program.examples(TRAIN) if e.entities])
    own = [d for d in compiled.extract.predict.demos if d.get("augmented")]
    assert len(own) == 2
    gold = {d.text: d.entities for d in TRAIN}
    for demo in own:
        said = [ner_programs.Mention(m["text"], m["label"]) for m in demo["mentions"]]
        assert align(demo["text"], said) == gold[demo["text"]]


def test_copro_writes_instructions_that_reach_the_prompt() -> None:
    program = SPEC.build(pool=Pool.of(TRAIN, "document"))
    with dspy.context(lm=writer()):
        compiled = OPTIMIZERS["COPRO"](program, program.examples(TRAIN))
    tried = [c["instruction"] for c in compiled.candidate_programs]
    plain = program.extract.predict.signature.instructions
    assert len(set(tried)) > 1
    assert all(t.startswith((plain, SAYS)) for t in tried)


class Agree(dspy.Module):  # type: ignore[misc]
    """A user's own verify stage, with a predictor of its own and DSPy's own adapter."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = dspy.Predict("text, candidates -> kept: str")

    def forward(self, text: str, knowledge: str, candidates: Any, exclude: Any = ()) -> Any:
        kept = self.judge(text=text, candidates=" / ".join(e.text for e in candidates)).kept
        return [ner_programs.Mention(e.text, e.label, e.start) for e in candidates if e.text in kept], Verification()


def agreeable() -> Scripted:
    def script(seen: Prompt) -> str:
        if "`kept`" in seen.system and "`proposed_instruction`" not in seen.system:
            return f"[[ ## kept ## ]]\n{seen.turns[-1].partition('[[ ## candidates ## ]]')[2]}\n\n[[ ## completed ## ]]"
        return right(seen)

    return Scripted(script)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_stage_of_ones_own_works_in_optimizers(name: str) -> None:
    program = SPEC.build()
    program.verify = Agree()
    with dspy.context(lm=agreeable()):
        compiled = OPTIMIZERS[name](program, program.examples(TRAIN))
        assert [p for p, _ in compiled.named_predictors()] == ["extract.predict", "verify.judge"]
        scored = dspy.Evaluate(devset=documents(compiled), metric=metric, num_threads=1, display_progress=False)(
            compiled
        )
    assert scored.score == 100.0
    if name == "BootstrapFewShot":
        assert compiled.verify.judge.demos, "the user's stage gets demonstrations as well"
    other = SPEC.build()
    other.verify = Agree()
    set_state(other, state_of(compiled))
    assert state_of(other) == state_of(compiled)


def test_a_compiled_program_may_be_a_part_of_another(tmp_path: Path) -> None:
    """DSPy leaves a compiled sub-module out of the predictors of what holds it; nerc's own state does not go that way."""
    with dspy.context(lm=oracle()):
        compiled = OPTIMIZERS["BootstrapFewShot"](SPEC.build(), SPEC.build().examples(TRAIN))
    assert set(state_of(compiled)) == {"extract.predict"}
    again = compiled.with_settings(unit="sentence")
    assert state_of(again) == state_of(compiled)
