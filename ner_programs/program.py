"""The program: retrieve knowledge, extract entities, verify them, align them with the text."""

from __future__ import annotations

import textwrap
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Self

import dspy

from ner_programs.attributes import AttributeFinder
from ner_programs.batch import OnError, collected, run, stream
from ner_programs.demos import Pool
from ner_programs.errors import BundleError, ComponentError
from ner_programs.found import Found
from ner_programs.lms import STAND_IN, current_lm, default_lm, title
from ner_programs.privacy import PUBLIC
from ner_programs.prompts.answers import Answers
from ner_programs.stages.extract import ExtractEntities, Extraction
from ner_programs.stages.link import linked
from ner_programs.stages.retrieve import Retrieval, RetrieveKnowledge
from ner_programs.stages.verify import Verification, VerifyEntities
from ner_programs.task import Aligned, Annotation, Item, Task, annotations_of
from ner_programs.types import Document, Entities, checked_text, learnable
from ner_programs.units import Unit, split
from ner_programs.verifiers.fuse import fuse_of
from ner_programs.waiting import Module, Wait

if TYPE_CHECKING:
    from kb import KnowledgeBase
    from ner_programs.bundle.origin import Origin
    from ner_programs.spec import ProgramSpec

WIDTH = 110
LABELS = 20  # so many are named
LONGEST = 40  # characters of an option


class NERProgram(Module):
    """Finds the entities of a text; an ordinary DSPy module, built from its `spec` (see `ProgramSpec.build`).

    `wants` says which LM it was compiled with; the LM itself is given from outside, with `dspy.context(lm=...)`, or as `lm`,
    which is then asked whatever DSPy has set. `privacy` is that of the text it was made from. `why` is one sentence of the
    optimizer that chose it. `origin` is the bundle that it was loaded from or saved to: a pickle holds its path and digest, and
    nothing else. A copy needs none.
    """

    def __init__(
        self, spec: ProgramSpec, retrieve: RetrieveKnowledge, extract: ExtractEntities, verify: VerifyEntities | None = None,
        *, kb: KnowledgeBase | None = None, pool: Pool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.spec, self.kb, self.pool = spec, kb, pool if pool is not None else Pool(())
        self.retrieve, self.extract, self.verify = retrieve, extract, verify
        self.attributes: AttributeFinder | None = None
        self.wants: dict[str, Any] = {"model": STAND_IN}
        self.privacy = PUBLIC
        self.why = ""
        self.lm: Any = None
        self.origin: Origin | None = None

    @property
    def task(self) -> Task:
        """What the program does: the task of its spec."""
        return self.spec.task

    if TYPE_CHECKING:  # what DSPy's module takes and returns

        def __call__(self, text: str, exclude: Sequence[str] = ()) -> Found:
            """Run the steps, one call after another."""

        async def acall(self, text: str, exclude: Sequence[str] = ()) -> Found:
            """Run the steps asynchronously."""

    async def steps(self, wait: Wait, text: str, exclude: Sequence[str] = ()) -> Found:
        """Return a prediction with `entities` (sorted, offsets into `text`) and what went wrong on the way.

        `lost` are the mentions that a stage said and that became no entity: their text is not there, or others took its place.
        `answers` counts how the answers of all stages ended.
        Demonstrations that were cut from the documents in `exclude` are not shown, nor knowledge that comes only from their
        mentions: so train is scored cross-fitted. Raises TypeError for a text that is no str.
        """
        said = _Said(self.task, checked_text(text))

        async def unit(piece: Unit) -> _UnitSaid:
            return await self._unit(wait, text[piece.start : piece.end], text, exclude)

        lm = self._lm()
        with nullcontext() if lm is current_lm() else dspy.context(lm=lm):
            pieces = split(text, self.spec.unit, size=self.spec.window, overlap=self.spec.overlap)
            for piece, told in zip(pieces, await wait.each(unit, pieces), strict=True):
                said.add(piece, *told)
        found = said.prediction(self.kb if self.spec.link else None)
        if self.attributes is not None:
            found.entities = Entities(self.attributes(text, found.entities, exclude), text)
        return found

    async def _unit(self, wait: Wait, piece: str, text: str, exclude: Sequence[str]) -> _UnitSaid:
        """Return what the stages say of a unit of `text`."""
        retrieval: Retrieval = await wait.call(self.retrieve, piece, text, exclude)
        extraction: Extraction = await wait.call(self.extract, piece, retrieval.lines, exclude)
        found, verification = [self.task.aligned(piece, extraction.items, self.spec)], Verification()
        if self.verify is not None and not extraction.unanswered:
            given = (piece, retrieval.lines, found[0].annotations, exclude)
            items, verification = await wait.call(self.verify, *given)
            found.append(self.task.aligned(piece, items, self.spec))
        return found, retrieval, extraction, verification

    def batch(
        self, texts: Iterable[str], *, concurrency: int | None = None, progress: Callable[[], None] | None = None,
        on_error: OnError = "return",
    ) -> list[Found]:  # fmt: skip
        """Return what is found in each of many texts, in their order.

        At most `concurrency` calls are under way, over all texts and the units of each; by default as many as the LM says. A
        text that fails says why in its `error`, and the others go on; with `on_error="raise"` the first failure is raised.
        `progress` is called after each text. DSPy keeps no history of these calls.
        """
        return run(collected(self.abatch(texts, concurrency=concurrency, progress=progress, on_error=on_error)))

    def abatch(
        self, texts: Iterable[str], *, concurrency: int | None = None, progress: Callable[[], None] | None = None,
        on_error: OnError = "return",
    ) -> AsyncIterator[Found]:  # fmt: skip
        """Yield what `batch` returns, each as soon as it and all before it are done; texts are read as they are needed."""
        return stream(self, texts, concurrency, progress, on_error)

    def __repr__(self) -> str:
        return described(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self.origin is None:
            raise BundleError("a program is pickled as its bundle; save it first: ner_programs.save(program, folder)")
        return self.origin.reduced(self)

    def __copy__(self) -> Self:
        new = type(self).__new__(type(self))
        new.__setstate__(self.__getstate__())
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        new = memo[id(self)] = type(self).__new__(type(self))
        new.__setstate__(deepcopy(self.__getstate__(), memo))
        return new

    def with_settings(self, **changes: Any) -> NERProgram:
        """Return a program with other settings (`with_settings(demos={"k": 32})`) and the same state, KB and pool.

        A component's options are changed one by one; giving its `name` replaces it, None switches it off. New guidelines
        enter the instructions that no optimizer has changed. A verify stage that the spec does not name is kept.
        """
        if changes.get("demos") and not self.pool:
            raise ComponentError("this program has no pool of demonstrations to choose from")
        return self._handed_on(self.spec.changed(changes).build(self.kb, self.pool), changes)

    def with_pool(self, pool: Pool) -> NERProgram:
        """Return the same program, with its state, over another pool (`pool.without(ids)`); the selector chooses from that."""
        return self._handed_on(self.spec.build(self.kb, pool), {})

    def _handed_on(self, program: NERProgram, changes: Mapping[str, Any]) -> NERProgram:
        """Give a program that was built anew, with `changes`, the state of this one."""
        if self.spec.verify is None and "verify" not in changes:
            program.verify = deepcopy(self.verify)
        given = dict(self.spec.build(self.kb, self.pool).named_predictors()) if "guidelines" in changes else {}
        ours = dict(self.named_predictors())
        for name, predictor in program.named_predictors():
            if name in ours:
                said = ours[name].signature.instructions
                if name not in given or said != given[name].signature.instructions:
                    predictor.signature = predictor.signature.with_instructions(said)
                predictor.demos = [program.refilled(predictor, d) for d in ours[name].demos]
        old, new = (fuse_of(getattr(p.verify, "verifier", None)) for p in (self, program))
        if old is not None and new is not None:  # said under other settings: near enough to search
            new.take(old)
        program.wants, program.privacy, program.lm = self.wants, self.privacy, self.lm
        return program

    def refilled(self, predictor: dspy.Predict, demo: Any) -> Any:
        """Return a demonstration with the knowledge lines that this program retrieves for its text."""
        text = demo.get("text")
        if "knowledge" not in predictor.signature.input_fields or not isinstance(text, str):
            return demo
        own = [name for name in (demo.get("document"), demo.get("group")) if name]
        return dspy.Example(**{**dict(demo), "knowledge": self.retrieve.lines(text, exclude=own)})

    def _lm(self) -> Any:
        """Return the LM to run under; predictors that have one of their own (`set_lm`) need none."""
        given = current_lm(self.lm)
        if given is not None or all(p.lm is not None for p in self.predictors()):
            return given
        return default_lm(self.wants)

    def examples(self, documents: Iterable[Document]) -> list[dspy.Example]:
        """Cut labelled documents into the examples that optimizers train on: every field of the extractor, and gold.

        The document that an example comes from, and its kin, stand in its `exclude`.
        """
        examples = []
        for document in learnable(documents, "an optimizer"):
            for d in self.task.demonstrations(document, self.spec.unit, self.spec.window):
                gold = {self.task.field: annotations_of(self.task, d)}
                fields = self.extract.as_demo(d) | gold | {"exclude": document.kin}
                examples.append(dspy.Example(**fields).with_inputs("text", "exclude"))
        return examples


_UnitSaid = tuple[list[Aligned], Retrieval, Extraction, Verification]


class _Said:
    """Collects the units of one text."""

    def __init__(self, task: Task, text: str) -> None:
        self.task, self.text = task, text
        self.units: list[Unit] = []
        self.annotations: list[tuple[Annotation, ...]] = []
        self.lost: list[Item] = []
        self.unreadable = self.unanswered = 0
        self.reasons: dict[str, None] = {}
        self.answers = Answers()

    def add(
        self, unit: Unit, found: Sequence[Aligned], retrieval: Retrieval, extraction: Extraction, verification: Verification
    ) -> None:  # fmt: skip
        """Add one unit; `found` has an alignment for each stage, the last one counts."""
        start = unit.start
        self.units.append(unit)
        stages = ("extract", "verify") if verification.verdicts else ("extract",)
        moved = [self.task.moved(aligned, start, stages) for aligned in found]
        self.annotations.append(moved[-1].annotations)
        self.lost += [item for aligned in moved for item in aligned.lost]
        self.unreadable += retrieval.unreadable + extraction.unreadable + verification.unreadable
        why = [one.unanswered for one in (retrieval, extraction, verification) if one.unanswered]
        self.unanswered += bool(why)
        self.reasons |= dict.fromkeys(why)
        self.answers += retrieval.answers + extraction.answers + verification.answers

    def prediction(self, kb: KnowledgeBase | None) -> Found:
        """Return what was found in the whole text, linked to the concepts of `kb` where one is given."""
        annotations = tuple(sorted(self.task.merged(self.units, self.annotations)))
        if kb is not None:
            annotations = linked(self.text, annotations, kb)
        return self.task.found(
            self.text, annotations, lost=tuple(self.lost), unreadable=self.unreadable, unanswered=self.unanswered,
            answers=self.answers, reasons=tuple(self.reasons), error=None,
        )  # fmt: skip


def described(program: NERProgram) -> str:
    """Return the lines of `repr(program)`: what each stage is, what it knows, and the LM that it was compiled with."""
    head = f"NERProgram{' (private: made from text that only its owner may read)' if program.privacy.private else ''}"
    lines = [head]
    for name, said in _rows(program):
        lines += textwrap.wrap(said, WIDTH, initial_indent=f"  {name:<16}", subsequent_indent=" " * 18)
    return "\n".join(lines)


def _rows(program: NERProgram) -> Iterator[tuple[str, str]]:
    spec, predict = program.spec, program.extract.predict
    names = list(spec.labels)
    rest = f" and {len(names) - LABELS} more" if len(names) > LABELS else ""
    yield "labels", f"{len(names)}: {', '.join(names[:LABELS])}{rest}"
    yield "format", f"{_component(spec.format)}; one prompt a {spec.unit}"
    yield "instruction", f"{len(predict.signature.instructions):,} characters"
    fixed = f"; {len(predict.demos)} shown for every text" if predict.demos else ""
    chosen = f"{_component(spec.demos)}; pool of {len(program.pool):,}" if spec.demos else "none chosen"
    yield "demonstrations", chosen + fixed
    seeds = ", names from the LM too" if spec.seeds == "lm" else ""
    yield "retriever", _component(spec.retriever) + seeds
    own = type(getattr(program.verify, "verifier", program.verify)).__name__  # set in code: the spec does not name it
    yield "verifier", _component(spec.verify) if spec.verify else own if program.verify is not None else "none"
    if spec.attributes:
        yield "attributes", _component(spec.attributes)
    kb = program.kb
    linked = "; entities are linked to it" if spec.link else ""
    yield "knowledge base", "none" if kb is None else f"{len(kb):,} concepts, fingerprint {kb.fingerprint}{linked}"
    yield "compiled with", _lm(program.wants)


def _component(said: Mapping[str, Any]) -> str:
    """Return a component as "tfidf, k = 16"; an option that is long, or a text, is counted."""
    options = [f"{name} = {_value(value)}" for name, value in said.items() if name != "name"]
    return ", ".join([str(said["name"]), *options])


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and "name" in value:
        return f"({_component(value)})"
    line = str(value)
    return line if len(line) <= LONGEST and len(line.split()) == 1 else f"({len(line):,} characters)"


def _lm(wants: Mapping[str, Any]) -> str:
    """Return the LM of a bundle; the stand-in by what it is, which is no language model."""
    name = title(str(wants.get("model")))
    options = [f"{k} = {v}" for k, v in wants.items() if k not in ("model", "strong")]
    strong = [f"hard texts: {_lm(wants['strong'])}"] if wants.get("strong") else []
    return ", ".join([name, *options, *strong])
