"""A race drops what is unlikely to win and little else, combines what helps, keeps to its budget and to its space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dspy
import numpy as np
import pytest
from dspy.lm15 import Request

import optimizers
from ner_programs import ComponentError, Document, NERProgram
from ner_programs.bundle.state import identity
from ner_programs.errors import BudgetError
from ner_programs.lms.account import Account
from ner_programs.lms.ledger import Ledger
from ner_programs.lms.metered import Meter, MeteredLM
from ner_programs.lms.store import AnswerStore
from ner_programs.scoring import Counts
from optimizers._racing import ALPHA, Beliefs, difference, worse
from optimizers._search_space import DIMENSIONS, Space
from optimizers.race import MOST
from optimizers.trial import Trial
from tests.tiny import TRAIN, Scripted, documents, gold, program, text_of

DEV = documents(48, "d")
LIGHT = ("k", "selector", "format", "demonstrations")
LOOKS = (30, 60, 120, 240)


def pair(rng: np.random.Generator, ours: float, theirs: float, n: int = LOOKS[-1]) -> tuple[list[Counts], list[Counts]]:
    """Answers of two programs to n documents of no to three mentions: how often each finds one, both mostly the same."""
    a, b = list[Counts](), list[Counts]()
    for _ in range(n):
        wanted = int(rng.integers(0, 4))
        hard = rng.random(wanted)
        noise = rng.random(wanted) < 0.15
        found = [int(np.sum(np.where(noise, rng.random(wanted), hard) < p)) for p in (ours, theirs)]
        for rows, right in ((a, found[0]), (b, found[1])):
            rows.append(Counts(right, right + int(rng.random() < 0.2), wanted))
    return a, b


def dropped(ours: float, theirs: float, races: int = 60) -> float:
    """Return in how many of simulated races the first is dropped on one of the looks."""
    rng = np.random.default_rng(11)
    simulated = [pair(rng, ours, theirs) for _ in range(races)]
    return sum(any(worse(a[:n], b[:n], len(LOOKS)) for n in LOOKS) for a, b in simulated) / races


class TestPairedTest:
    def test_seldom_drops_what_is_as_good_or_better(self) -> None:
        assert dropped(0.8, 0.8) <= ALPHA + 0.04
        assert dropped(0.84, 0.8) <= 0.03

    def test_drops_what_is_worse(self) -> None:
        assert dropped(0.6, 0.8) >= 0.9
        rng = np.random.default_rng(3)
        early = [worse(*(rows[:30] for rows in pair(rng, 0.3, 0.8)), len(LOOKS)) for _ in range(50)]
        assert np.mean(early) >= 0.9

    def test_does_not_decide_on_a_handful_of_documents(self) -> None:
        right, wrong = Counts(1, 1, 1), Counts(0, 1, 1)
        assert not worse([wrong] * 5, [right] * 5, 1) or not worse([wrong] * 5, [right] * 5, 4)
        assert not worse([wrong] * 5 + [right] * 90, [right] * 95, 4)
        assert worse([wrong] * 12 + [right] * 20, [right] * 32, 4)

    def test_the_one_ahead_is_never_dropped(self) -> None:
        rng = np.random.default_rng(5)
        for _ in range(30):
            a, b = pair(rng, 0.7, 0.7, 40)
            assert not (worse(a, b, 1) and worse(b, a, 1))
            assert not worse(a, a, 1)

    def test_the_influences_tell_the_spread_of_a_difference(self) -> None:
        rng = np.random.default_rng(7)
        seen = [difference(*pair(rng, 0.75, 0.7)) for _ in range(300)]
        real = np.std([gain for gain, _ in seen])
        told = np.mean([np.sqrt((influence**2).sum()) for _, influence in seen])
        assert told == pytest.approx(real, rel=0.15)
        assert all(abs(influence.sum()) < 1e-9 for _, influence in seen)


class TestBeliefs:
    def test_what_helped_in_several_programs_is_believed_to_help(self) -> None:
        """Two settings of two values each: the second value of the first gains in both programs that have it."""
        rng = np.random.default_rng(2)
        shown = np.array([[-1, 1, 0, 0], [-1, 1, -1, 1], [0, 0, -1, 1]], float)
        influences = [rng.normal(0, 0.001, 100) for _ in shown]
        beliefs = Beliefs(np.zeros(4), shown, np.array([0.03, 0.03, 0.0]), influences)
        gains = beliefs.values[1] - beliefs.values[0], beliefs.values[3] - beliefs.values[2]
        assert 0.01 < gains[0] < 0.03 and abs(gains[1]) < 0.004
        assert beliefs.programs[0] > beliefs.programs[2]

    def test_without_races_there_are_hopes(self) -> None:
        hopes = np.array([0.0, 0.02, -0.03])
        beliefs = Beliefs(hopes, np.zeros((0, 3)), np.zeros(0), [])
        assert np.array_equal(beliefs.values, hopes)
        drawn = np.array([beliefs.draw(np.random.default_rng(n)) for n in range(300)])
        assert np.allclose(drawn.mean(0), hopes, atol=0.003)


def space_of(given: NERProgram, train: Sequence[Document], wanted: Sequence[str]) -> Space:
    return Space(given, train, wanted, MeteredLM(Meter(Scripted(gold))), 1)


class Bench:
    """Races under a scripted model; keeps the trials and what was asked."""

    def __init__(
        self, script: Callable[[Request], str] = gold, concurrency: int = 4, folder: Path | None = None
    ) -> None:
        self.backend, self.trials = Scripted(script), list[Trial]()
        self.folder, self.concurrency = folder, concurrency

    def race(
        self, calls: int = 400, given: NERProgram | None = None, dev: Sequence[Document] = DEV, seed: int = 1,
        budget: dict[str, Any] | None = None, **options: Any,
    ) -> NERProgram:  # fmt: skip
        limits, options = budget or {"calls": calls}, {"space": list(LIGHT), **options}
        store = AnswerStore(self.folder / "answers" if self.folder else None)
        ledger = Ledger(self.folder / "ledger" if self.folder else None)
        meter = Meter(self.backend, account=Account(store=store, ledger=ledger))
        self.lm = MeteredLM(meter, concurrency=self.concurrency, max_tokens=200)
        try:
            with dspy.context(lm=self.lm, disable_history=True):
                return optimizers.compile(
                    given or nearest(), {"name": "race", "budget": limits, **options}, train=TRAIN, dev=dev, seed=seed,
                    on_trial=self.trials.append,
                )  # fmt: skip
        finally:
            store.close()
            ledger.close()


def nearest(k: int = 2, **settings: Any) -> NERProgram:
    return program(demos={"name": "tfidf", "k": k}, **settings)


def asked(request: Request) -> str:
    return text_of(request).rpartition("### text\n")[2]


def share(request: Request, of: float) -> bool:
    """Say for a text, always the same, whether it is among so large a share of them."""
    return sum(map(ord, asked(request))) % 100 < 100 * of


def by_shots(request: Request) -> str:
    """A model that is the better the more demonstrations it is shown."""
    return gold(request) if share(request, min(0.2 + 0.1 * (len(request.messages) // 2), 1.0)) else "[]"


class TestRace:
    def test_the_better_wins(self) -> None:
        bench = Bench(by_shots)
        made = bench.race(250, space=["k", "selector"])
        assert made.spec.demos is not None and made.spec.demos["k"] == 8
        assert bench.trials[-1].scored.total.f1 > bench.trials[0].scored.total.f1

    def test_what_is_clearly_worse_is_dropped_early(self) -> None:
        """JSON is answered, everything else is not: the other formats end on the first sample."""
        bench = Bench(lambda r: gold(r) if "JSON" in str(r.system) or "[{" in text_of(r) else "?")
        bench.race(space=["format"], calls=500, dev=(dev := documents(80, "d")))
        others = [t for t in bench.trials if t.changes.get("format.name")]
        assert len(others) == 3 and {t.documents for t in others} == {min(t.documents for t in bench.trials)}
        assert max(t.documents for t in others) < len(dev)

    def test_what_helps_is_combined(self) -> None:
        """More demonstrations help, and so does no verifier-like change of the selector: both are in the end."""

        def script(request: Request) -> str:
            shown = [m.text or "" for m in request.messages[:-1]]
            ordered = sum("Visit" in s for s in shown) >= 1
            return gold(request) if share(request, 0.3 + 0.3 * (len(shown) // 2 >= 4) + 0.3 * ordered) else "[]"

        made = Bench(script).race(calls=600, given=nearest(1), space=["k", "selector"])
        assert made.spec.demos is not None and made.spec.demos["k"] >= 4

    @pytest.mark.parametrize("calls", [8, 25, 150])
    def test_keeps_to_its_budget_and_begins_nothing_that_it_cannot_pay(self, calls: int) -> None:
        bench = Bench(by_shots, concurrency=8)
        bench.race(calls)
        assert len(bench.backend.requests) <= calls and bench.lm.meter.spent.calls <= calls
        assert bench.trials[0].changes == {} and bench.trials[0].calls > 0

    def test_spends_its_budget(self) -> None:
        bench = Bench(by_shots)
        bench.race(300, space=["k", "selector", "demonstrations"])
        assert len(bench.backend.requests) >= 240

    def test_few_documents_are_not_raced_on_for_ever(self) -> None:
        """Equal answers are free, so calls alone would not end it."""
        bench = Bench(by_shots)
        bench.race(2000, dev=DEV[:6], space=["k", "selector", "format", "demonstrations", "instructions"])
        assert 10 < len({identity(t.program) for t in bench.trials}) <= MOST

    def test_a_budget_that_pays_for_nothing_is_refused(self) -> None:
        with pytest.raises(BudgetError):
            Bench().race(1, given=program(unit="sentence"), dev=[Document("l", "Takes aspirin. Has gout.")])

    def test_a_candidate_whose_calls_fail_does_not_win(self) -> None:
        from dspy.utils.exceptions import LMInvalidRequestError

        def script(request: Request) -> str:
            if len(request.messages) // 2 == 8 and share(request, 0.1):
                raise LMInvalidRequestError("too long", model="m")
            return by_shots(request)

        made = Bench(script).race(500, space=["k"])
        assert made.spec.demos is not None and made.spec.demos["k"] == 4


class TestSpace:
    def test_only_the_dimensions_named_are_touched(self) -> None:
        bench = Bench(by_shots)
        given = nearest()
        made = bench.race(500, given, space=["instructions", "demonstrations"])
        assert made.spec == given.spec and len(bench.trials) > 2
        assert {key for t in bench.trials for key in t.changes} <= {
            "demonstrations", "bootstrapped", "seed", "instruction",
        }  # fmt: skip
        assert all(t.program.spec == given.spec for t in bench.trials)

    def test_follows_from_the_program(self) -> None:
        assert set(space_of(nearest(), TRAIN, DIMENSIONS).values) == set(DIMENSIONS) - {"retriever", "calibration"}
        bare = space_of(program(train=()), (), DIMENSIONS)
        assert set(bare.values) == {"format", "instructions"}
        assert {v.shows["demos.name"] for v in space_of(nearest(), TRAIN, ["selector"]).values["selector"][1:]} == {
            "bm25", "diverse", "random"
        }  # fmt: skip

    def test_a_point_never_costs_more_to_make_than_its_price(self) -> None:
        train = documents(60, "p")
        lm = MeteredLM(Meter(Scripted(lambda r: gold(r, lambda text: "day" in text))))
        with dspy.context(lm=lm, disable_history=True):
            spent = lm.meter.spent
            space = Space(program(train), train, ["verify", "demonstrations"], lm, 1)
            judged = next(n for n, v in enumerate(space.values["verify"]) if v.settings.get("verify.name") == "llm")
            for point in ((0, 3), (judged, 0), (judged, 1), (judged, 3)):
                price, before = space.price(point), spent.calls
                space.make(point)
                assert 0 < spent.calls - before <= price

    def test_the_boundary_verifier_is_a_value_with_the_share_that_dev_shows(self) -> None:
        space = space_of(nearest(), TRAIN, ["verify"])
        space.rebound(0.4)
        assert space.values["verify"][-1].settings == {"verify.name": "boundary", "verify.wrong": 0.4}
        verified = space_of(program(TRAIN, verify={"name": "boundary"}), TRAIN, ["verify"])
        verified.rebound(0.4)
        assert [v.shows for v in verified.values["verify"]] == [{}, {"verify": "off"}]

    def test_no_more_demonstrations_than_there_are(self) -> None:
        values = space_of(nearest(4), TRAIN, ["k"]).values["k"]
        assert sorted(v.settings["demos.k"] for v in values[1:]) == [2, 8]

    def test_makes_what_a_point_says(self) -> None:
        space = space_of(nearest(), TRAIN, DIMENSIONS)
        space.instruct("Find mentions.\nNever mark doses.")
        centre = space.guess()
        assert space.changes(centre) == {"demos.k": 8} and space.changes(space.start) == {}
        for point in space.one_change():
            if space.price(point) == 0:
                made, said = space.make(point), space.changes(point)
                assert made.spec.demos["k"] == said.get("demos.k", 2) and made.spec.demos["name"] == said.get(
                    "demos.name", "tfidf"
                )
                assert ("Never mark doses." in made.extract.predict.signature.instructions) is ("instruction" in said)
                assert len(made.extract.predict.demos) == min(said.get("demonstrations", 0), len(TRAIN))
        assert len(set(space.one_change())) == len(list(space.one_change()))

    def test_an_unknown_dimension_is_refused(self) -> None:
        with pytest.raises(ComponentError, match="space"):
            Bench().race(space=["moon"])


class TestInstructions:
    def test_one_that_helps_is_taken_and_what_it_adds_is_shown(self) -> None:
        def script(request: Request) -> str:
            if "improved_instruction" in str(request.system):
                return "[[ ## improved_instruction ## ]]\nFind all.\nMark drugs, too.\n\n[[ ## completed ## ]]"
            return gold(request) if "Mark drugs, too." in str(request.system) + text_of(request) else "[]"

        bench = Bench(script)
        made = bench.race(500, space=["instructions"])
        assert made.extract.predict.signature.instructions == "Find all.\nMark drugs, too."
        assert bench.trials[-1].changes == {"instruction": "Find all.\nMark drugs, too."}
        assert bench.trials[-1].scored.total.f1 == 1.0

    def test_none_is_no_failure(self) -> None:
        for answer in ("", "I cannot.", "[[ ## improved_instruction ## ]]\n\n[[ ## completed ## ]]"):
            bench = Bench(lambda r, a=answer: a if "improved_instruction" in str(r.system) else "[]")  # type: ignore[misc]
            bench.race(200, space=["instructions"])
            assert all(not t.changes for t in bench.trials)
