"""A search keeps a reserve, shares its documents between programs, and chooses by micro-F1 on what it can pay for of dev."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import dspy
import pytest
from dspy.lm15 import Request
from dspy.utils.exceptions import LMInvalidRequestError

from ner_programs import Document, NercError, NERProgram
from ner_programs.bundle.state import identity
from ner_programs.errors import BudgetError, OutageError
from ner_programs.lms.metered import Budget, Meter, MeteredLM
from optimizers.search import Search
from optimizers.trial import Compilation, Trial
from tests.tiny import Scripted, documents, gold, program, text_of

DEV = documents(40, "d")
_contexts = ExitStack()


def shown(k: int) -> NERProgram:
    return program(demos={"name": "random", "k": k})


class Bench:
    """A search under a scripted model, and the trials that it reports."""

    def __init__(self, script: Callable[[Request], str] = gold, dev: tuple[Document, ...] = DEV, **budget: int) -> None:
        self.backend, self.trials = Scripted(script), list[Trial]()
        self.lm, self.first = MeteredLM(Meter(self.backend), concurrency=4), program()
        _contexts.enter_context(dspy.context(lm=self.lm, disable_history=True))
        self.search = Search(self.first, dev, Compilation(self.lm, Budget(**budget), self.trials.append), seed=3)

    @property
    def calls(self) -> int:
        return len(self.backend.requests)


@pytest.fixture(autouse=True)
def _left_as_it_was() -> Iterator[None]:
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    yield
    _contexts.close()


def better_with(demos: int, noisy: str = "") -> Callable[[Request], str]:
    """A model that is right where so many demonstrations are shown; without, only on texts that hold `noisy`."""
    return lambda r: gold(r) if len(r.messages) // 2 >= demos or (noisy and noisy in text_of(r)) else "[]"


def test_two_passes_over_dev_are_kept_or_half_of_the_budget() -> None:
    assert (Bench(calls=200).search.calls, Bench(calls=200).search.reserve) == (120, 80)
    assert (Bench(calls=100).search.calls, Bench(calls=100).search.reserve) == (50, 50)
    assert Bench().search.calls == 10 * len(DEV)


def test_documents_are_told_apart_by_their_ids() -> None:
    """An equal document, read or made again, is the same one; two of one id are refused before a call is made."""
    bench = Bench()
    bench.search.score(bench.first, {}, bench.search.order[:4])
    again = [replace(d) for d in bench.search.order[:5]]
    contender = bench.search.score(bench.first, {}, again)
    assert sorted(contender.rows) == [0, 1, 2, 3, 4] and contender.units == bench.calls == 5
    with pytest.raises(NercError, match="the same id"):
        Bench(dev=(*DEV, replace(DEV[0])))


def test_samples_are_beginnings_of_one_seeded_order() -> None:
    bench = Bench(calls=200)
    search = bench.search
    assert search.sample(7) == search.sample(20)[:7] and len(search.sample(999)) == len(DEV)
    assert search.order != list(DEV) and sorted(d.id for d in search.order) == sorted(d.id for d in DEV)
    assert Search(program(), DEV, Compilation(bench.lm), seed=4).order != search.order


def test_the_search_ends_at_its_share_and_the_choice_has_the_rest() -> None:
    bench = Bench(better_with(1), calls=100)
    search, finished = bench.search, list[int]()
    with search.spending():
        for k in range(4):
            search.score(shown(k) if k else bench.first, {"k": k}, search.sample(20))
            finished.append(k)
    assert finished == [0, 1] and bench.calls == 50 and [t.number for t in bench.trials] == [1, 2]
    chosen = search.choose()
    assert identity(chosen) == identity(shown(1)) and bench.calls <= 100
    assert bench.trials[-1].documents == len(DEV) and bench.trials[-1].scored.total.f1 in (0.0, 1.0)


def test_what_was_answered_is_not_asked_again_for_the_choice() -> None:
    bench = Bench(better_with(1), calls=200)
    with bench.search.spending():
        bench.search.score(bench.first, {}, bench.search.sample(30))
        bench.search.score(shown(1), {"demos.k": 1}, bench.search.sample(30))
    bench.search.choose()
    assert bench.calls == 80 and [t.documents for t in bench.trials] == [30, 30, 40, 40]
    assert bench.trials[2].changes == {"demos.k": 1, "final": 2}


def test_the_whole_of_dev_decides_not_the_sample() -> None:
    """On the sample one demonstration is right by chance; on the whole two are."""
    bench = Bench(calls=400)
    lucky = {d.text for d in bench.search.sample(8)}

    def script(request: Request) -> str:
        k, text = len(request.messages) // 2, text_of(request).rpartition("### text\n")[2]
        return (
            gold(request) if (k == 1 and text in lucky) or (k == 2 and (text not in lucky or "day" in text)) else "[]"
        )

    bench.backend.script = script
    with bench.search.spending():
        for k in (1, 2):
            bench.search.score(shown(k), {"k": k}, bench.search.sample(8))
    assert identity(bench.search.best()[0].program) == identity(shown(1))
    assert identity(bench.search.choose()) == identity(shown(2))


def test_a_small_budget_compares_two_on_what_it_pays_for() -> None:
    bench = Bench(better_with(1), calls=24)
    with bench.search.spending():
        bench.search.score(bench.first, {}, bench.search.sample(6))
        bench.search.score(shown(1), {}, bench.search.sample(6))
    assert identity(bench.search.choose()) == identity(shown(1))
    assert bench.calls == 24 and [t.documents for t in bench.trials] == [6, 6, 12, 12]


def test_of_equals_the_cheaper_is_chosen() -> None:
    bench = Bench(gold, calls=400)
    with bench.search.spending():
        for k in (3, 1, 2):
            bench.search.score(shown(k), {}, bench.search.sample(10))
    assert identity(bench.search.choose()) == identity(bench.first)  # which shows none, and was not tried before


def test_the_first_program_is_a_finalist_unless_it_is_clearly_worse() -> None:
    for needed, finals in ((0, [shown(2), program()]), (1, [shown(2), shown(1)])):
        bench = Bench(better_with(needed), calls=110)
        with bench.search.spending():
            for made in (bench.first, shown(1), shown(2)):
                bench.search.score(made, {}, bench.search.sample(10))
        bench.search.choose(shown(2))
        whole = [identity(t.program) for t in bench.trials if t.documents == len(DEV)]
        assert whole == [identity(p) for p in finals]


def test_favoured_programs_come_first_and_need_no_trial_before() -> None:
    bench = Bench(better_with(2), calls=80)
    assert identity(bench.search.choose(shown(2), bench.first)) == identity(shown(2))
    assert bench.calls == 80 and len(bench.trials) == 2


def test_tokens_and_money_have_their_reserve_too() -> None:
    search = Bench(tokens=100_000).search
    assert search.reserve == 2 * len(DEV) and 80 < search.calls < 2000
    assert search._share().tokens == pytest.approx(100_000 * search.calls / (search.calls + search.reserve), abs=1)


def test_nothing_that_can_be_scored_is_an_error() -> None:
    with pytest.raises(BudgetError, match="needs dev documents"):
        Bench(dev=())
    bench = Bench(dev=(Document("l", "Takes aspirin. Has gout. Feels well."),), calls=2)
    search = Search(program(unit="sentence"), bench.search.order, Compilation(bench.lm, Budget(calls=2)))
    with (
        pytest.raises(BudgetError, match=r"2 calls.*does not allow one trial"),
        bench.lm.meter.limited(Budget(calls=2)),
    ):
        search.choose()


def test_when_nothing_is_answered_the_search_ends_at_once() -> None:
    def fails(request: Request) -> str:
        raise LMInvalidRequestError("no", model="x")

    bench = Bench(fails, calls=400)
    with pytest.raises(OutageError), bench.search.spending():
        bench.search.score(bench.first, {}, bench.search.sample(10))
    assert bench.calls == 10
