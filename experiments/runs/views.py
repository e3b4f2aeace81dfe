"""Sets up MLflow's page of an experiment: a description, and saved views of the runs and trials.

A saved view is a tag of the experiment, `mlflow.sharedViewState.<key>`: filter, order, columns and charts, with a name in the
page's list "Views". Views that a user changed or deleted stay as they are: the tag `nerc.page` has a hash of everything that
this module wrote.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.runs.paging import every_experiment

NOTE = """\
[**Scores**: every program, best on dev first](#/experiments/{id}/runs?{training}&viewStateShareKey=scores) · \
[**Trials**: what each change gained](#/experiments/{id}/runs?{training}&viewStateShareKey=trials)

Both have charts, by the second button at the left of the search field. Without a view, runs hold what they are made of: a run
that compiled its trials, a grid its cells, a cross-validated run its folds.

| metric | what it is |
|---|---|
| `dev_f1`, `test_f1` | strict micro-F1 (same characters, same label); `_lo` and `_hi` are its 95 % interval, by document |
| `dev_baseline_f1`, `test_baseline_f1` | the best that needs no LM call: dictionary, gazetteer, nearest neighbour, CRF |
| `dev_seen_f1`, `dev_unseen_f1` | mentions whose text stands in train, and those whose text does not |
| `trial_f1`, `best_f1` | a trial on its dev documents (there may be fewer than all), and the best so far on as many as any |
| `trial_f1_lo`, `trial_f1_hi` | the 95 % interval of a trial, by the documents that it saw |
| `trial_gain` | `trial_f1` less that of the first trial, where both saw as many documents |
| `compile_calls`, `compile_seconds` | different requests to the LM, and seconds, of compiling alone |
| `lm_calls`, `labelled` | different requests to the LM, and labelled units of train that were used |

`nerc compare --experiment {name}` tests the differences, paired by document; `nerc report RUN` writes `report.html`: the
errors of a run in the texts, its instruction and demonstrations.
"""
OURS = "nerc.page"
_VIEW = "mlflow.sharedViewState."
_NAME = "attributes.`Run Name`"
_TRAINING = "workflowType=machine_learning"  # the side bar for model training, not that for agents and traces
_REST = "Model metrics"  # MLflow's own section, with a card for each metric that has none


def _metrics(*names: str) -> list[str]:
    return [f"metrics.`{name}`" for name in names]


def _tags(*names: str) -> list[str]:
    return [f"tags.`nerc.{name}`" for name in names]


def _view(kind: str, order: str, columns: Sequence[str], *cards: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a view: the runs of a kind, sorted by the metric `order`, with these columns and charts."""
    sections = [
        {"uuid": "nerc-scores", "name": "Scores", "display": True, "columns": 2, "cardHeight": 340},
        {"uuid": "nerc-settings", "name": "Settings that differ", "display": True, "columns": 1, "cardHeight": 300},
        {"uuid": "nerc-rest", "name": _REST, "display": False},
    ]
    same = {"deleted": False, "isGenerated": False}
    charts = [{"uuid": f"nerc-{n}", "metricSectionId": "nerc-scores", **same, **card} for n, card in enumerate(cards)]
    return {
        "searchFilter": f"tags.`nerc.kind` = '{kind}'",
        "orderByKey": f"metrics.`{order}`",
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [_NAME, *columns],
        "columnWidths": {
            _NAME: 240,
            **dict.fromkeys(columns, 92),
            **{tag: 190 for tag in columns if tag.startswith("tags.")},
        },
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": [{"isReordered": True, **same, **section} for section in sections],
        "isAccordionReordered": True,
    }


def _bar(metric: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": metric, "selectedMetricKeys": [metric], "runsCountToCompare": 20}


def _scatter(x: str, y: str, kind: str = "METRIC") -> dict[str, Any]:
    axes = {"xaxis": {"key": x, "type": kind}, "yaxis": {"key": y, "type": "METRIC"}}
    return {"type": "SCATTER", "runsCountToCompare": 100, **axes}


def _line(x: str, y: str) -> dict[str, Any]:
    axis = {"xAxisKey": "metric", "selectedXAxisMetricKey": x, "useGlobalXaxisKey": False, "xAxisScaleType": "linear"}
    look = {"scaleType": "linear", "lineSmoothness": 0, "useGlobalLineSmoothing": False, "yAxisKey": "metric"}
    card = {"type": "LINE", "metricKey": y, "selectedMetricKeys": [y], "runsCountToCompare": 20, "displayPoints": True}
    return {**card, **axis, **look, "yAxisExpressions": [], "range": {}}


def _settings() -> dict[str, Any]:
    shown = {"showChangeFromBaseline": False, "showDifferencesOnly": True, "baselineColumnUuid": ""}
    groups = {"compareGroups": ["Parameters"], "chartName": "Settings that differ"}
    return {"type": "DIFFERENCE", "metricSectionId": "nerc-settings", "runsCountToCompare": 20, **groups, **shown}


_SCORES = _metrics("dev_f1", "dev_f1_lo", "dev_f1_hi", "dev_baseline_f1", "test_f1")
VIEWS: dict[str, tuple[str, dict[str, Any]]] = {
    "scores": (
        "Scores",
        _view(
            "program", "dev_f1", [*_SCORES, *_tags("chosen"), *_metrics("lm_calls", "seconds"), *_tags("engine")],
            _bar("dev_f1"), _line("trial_lm_calls", "best_f1"), _scatter("lm_calls", "dev_f1"),
            _scatter("program.demos.k", "dev_f1", "PARAM"), _settings(),
        ),
    ),
    "trials": (
        "Trials",
        _view(
            "trial", "trial_f1",
            [*_metrics("trial_f1", "trial_gain", "trial_documents", "trial_lm_calls"), *_tags("of")],
            _bar("trial_f1"), _bar("trial_gain"), _scatter("trial_lm_calls", "trial_f1"), _settings(),
        ),
    ),
}  # fmt: skip
"""The name and the state of each view, by key."""


def prepare(client: Any, experiment_id: str) -> None:
    """Write the description, kind and views of an experiment that are missing or outdated.

    MLflow 3 opens an experiment as the browser is set ("GenAI" at first: charts of traces), whatever its kind. The description
    stands above every page, so it begins with links to the runs.
    """
    experiment = client.get_experiment(experiment_id)
    there, now = dict(experiment.tags), int(time.time() * 1000)
    written = json.loads(there.get(OURS, "{}"))
    described = NOTE.replace("{name}", experiment.name).replace("{id}", experiment_id).replace("{training}", _TRAINING)
    wanted = {
        "mlflow.note.content": described,
        "mlflow.experimentKind": "custom_model_development",
    }
    for key, (name, state) in VIEWS.items():
        view = {"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state, separators=(",", ":"))}
        wanted[f"{_VIEW}{key}"] = json.dumps(view)
    changed = False
    for key, value in wanted.items():
        mine = _mark(there[key]) == written.get(key) if key in there else key not in written
        if mine and written.get(key) != _mark(value):
            client.set_experiment_tag(experiment_id, key, value)
            written[key], changed = _mark(value), True
    if changed:
        client.set_experiment_tag(experiment_id, OURS, json.dumps(written))


def _mark(value: str) -> str:
    """Return a hash of a tag's value; for a view, of its name and state without its dates."""
    try:
        view = json.loads(value)
        content = view["name"] + view["state"]
    except (ValueError, TypeError, KeyError):
        content = value
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def links(client: Any, base: str) -> list[tuple[str, str, str]]:
    """Return experiment, view and URL of every saved view of nerc; `base` is the address of MLflow's server."""
    return [
        (e.name, name, f"{base}/#/experiments/{e.experiment_id}/runs?{_TRAINING}&viewStateShareKey={key}")
        for e in every_experiment(client)
        for key, (name, _) in VIEWS.items()
        if f"{_VIEW}{key}" in e.tags
    ]
