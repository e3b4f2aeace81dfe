"""Exact span marginals of a linear chain, and the spans worth answering with.

Tags are numbered O = 0, B of label n = 1 + 2n, I of label n = 2 + 2n. An I stands only after B or I of its label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Found = tuple[int, int, int, float]  # first token, last token, label id, probability
_MIN = 1e-3


@dataclass(frozen=True, slots=True)
class Chain:
    """Potentials: `nodes[token][tag]` and `edges[tag][next tag]`, non-negative, unnormalised."""

    nodes: Sequence[Sequence[float]]
    edges: Sequence[Sequence[float]]


def predecessors(tags: int) -> list[list[int]]:
    """Return, for every tag, the tags that may stand before it."""
    return [[b - 1, b] if b and b % 2 == 0 else list(range(tags)) for b in range(tags)]


def marginals(chain: Chain) -> list[Found]:
    """Return every span of probability above `_MIN` (forward-backward, each position scaled to sum 1)."""
    nodes, edges = chain.nodes, chain.edges
    if not nodes:
        return []
    size = len(nodes[0])
    before = predecessors(size)
    inside = range(2, size, 2)
    forward: list[list[float]] = []
    scales: list[float] = []
    for t, node in enumerate(nodes):
        if t == 0:
            row = [0.0 if b and b % 2 == 0 else node[b] for b in range(size)]
        else:
            last = forward[-1]
            row = [node[b] * sum(last[a] * edges[a][b] for a in before[b]) for b in range(size)]
        scale = sum(row) or 1e-300
        forward.append([x / scale for x in row])
        scales.append(scale)
    backward = [[1.0] * size]  # of the last token; then walks to the first
    closing = [[1.0] * size]  # the same, with the next token not an I
    for t in range(len(nodes) - 2, -1, -1):
        node, after, scale = nodes[t + 1], backward[-1], scales[t + 1]
        weight = [node[b] * after[b] / scale for b in range(size)]
        shut = [sum(edges[a][b] * weight[b] for b in range(size) if b == 0 or b % 2) for a in range(size)]
        closing.append(shut)
        backward.append([
            shut[a] + (edges[a][a + 1] * weight[a + 1] if a % 2 else edges[a][a] * weight[a] if a else 0.0)
            for a in range(size)
        ])
    closing.reverse()
    found: list[Found] = []
    for t in range(len(nodes)):
        for i in inside:
            prefix, u, tag = forward[t][i - 1], t, i - 1
            while prefix * 1e3 > _MIN:
                p = prefix * closing[u][tag]
                if p > _MIN:
                    found.append((t, u, (i - 2) // 2, min(p, 1.0)))
                u += 1
                if u == len(nodes):
                    break
                prefix *= edges[tag][i] * nodes[u][i] / scales[u]
                tag = i
    return found


def best_spans(chain: Chain, threshold: float) -> list[Found]:
    """Choose disjoint spans of the greatest sum of (probability - threshold): a wrong span costs, a missed one too."""
    best: list[tuple[float, Found | None, int]] = [(0.0, None, -1)]  # value up to this token, the span ending there
    ending: dict[int, list[Found]] = {}
    for span in marginals(chain):
        if span[3] > threshold:
            ending.setdefault(span[1], []).append(span)
    for t in range(len(chain.nodes)):
        value = best[-1][0]
        choice: tuple[float, Found | None, int] = (value, None, t)
        for span in ending.get(t, ()):
            total = best[span[0]][0] + span[3] - threshold
            if total > choice[0]:
                choice = (total, span, span[0])
        best.append(choice)
    chosen: list[Found] = []
    at = len(best) - 1
    while at > 0:
        _, taken, at = best[at]
        if taken:
            chosen.append(taken)
    return chosen[::-1]
