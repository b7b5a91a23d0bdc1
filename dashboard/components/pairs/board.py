"""All parts of the Pairs page for one state of the runs and one set of wishes."""

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
from dash import html

from dashboard.components.context import catalog
from dashboard.components.pairs import audit as pairs_audit
from dashboard.components.pairs import cells as pairs_cells
from dashboard.components.pairs import detail as pairs_detail
from dashboard.components.pairs import list as pairs_list
from dashboard.components.pairs import seen as pairs_seen
from dashboard.components.pairs import words as pairs_words
from dashboard.components.pairs.seen import ONLY, Seen, View
from dashboard.figures import pair_matrix as figures
from dashboard.sources import pair_texts
from dashboard.sources.catalog import Snapshot
from training.record import schema

MOST_DRAWN = 1000
"""Pairs in the map; the list has all."""


class Board:
    """What there is to see; `found` is None where no run in view has scores of single pairs."""

    def __init__(self, snapshot: Snapshot, wish: View) -> None:
        self.snapshot, self.wish = snapshot, wish
        self.found: Seen | None = pairs_seen.seen(snapshot, wish)
        self.slots = catalog().colours(snapshot.runs)

    @cached_property
    def order(self) -> Any:
        """Row numbers of the pairs in view, in their order."""
        return self.found.rows(self.wish) if self.found else np.zeros(0, dtype=np.int64)

    @cached_property
    def stamps(self) -> list[str]:
        """Names of what is shown: the runs' scores, the layout of the map, and the pairs in view."""
        if self.found is None:
            return [repr(self.wish.wanted), "", ""]
        matrix = self.found.matrix
        scores = hashlib.sha1(matrix.h.tobytes(), usedforsecurity=False)
        scores.update(repr((matrix.runs, matrix.steps, matrix.digest, matrix.other, self.wish.wanted)).encode())
        runs = len(matrix.runs)
        shape = f"{runs == 1} {runs > figures.MOST_NAMES} {self.wish.unit if runs == 1 else ''}"
        return [scores.hexdigest(), shape, f"{scores.hexdigest()} {self.wish}"]

    @property
    def first(self) -> str:
        """The id of the first pair in the list."""
        return self.found.matrix.pairs[self.order[0]] if self.found and len(self.order) else ""

    def answer(self) -> list[Any]:
        """The first sentences; without scores the empty state says all."""
        return (
            pairs_words.answer(self.found, self.snapshot)
            if self.found
            else [pairs_words.nothing(self.snapshot, self.wish)]
        )

    def notes(self) -> list[Any]:
        """What is not in the picture."""
        if self.found is None:
            return []
        kept = len(self.order)
        return pairs_words.notes(self.found, self.wish, self.snapshot, min(kept, MOST_DRAWN), kept)

    def rows(self) -> dict[str, Any] | None:
        """The list beside the map, and how many of its pairs are drawn there."""
        if self.found is None:
            return None
        return {**pairs_list.columns(self.found, self.order), "drawn": min(len(self.order), MOST_DRAWN)}

    def figure(self) -> dict[str, Any]:
        """The map, or the bars of one run."""
        found = self.found
        if found is None:
            return {"data": [], "layout": {}}
        rows, columns = self.order[:MOST_DRAWN], found.columns(self.wish)
        values = found.values(self.wish.unit)[np.ix_(rows, columns)]
        pairs = figures.unique([found.matrix.pairs[row] for row in rows])
        if len(columns) == 1:
            return figures.bars(values[:, 0], pairs, self.wish.unit)
        names = figures.unique([self.snapshot.runs[found.matrix.runs[column]].name for column in columns])
        return figures.heat_map(values, pairs, names, self.wish.unit)

    def summary(self) -> str:
        """The map in words."""
        if self.found is None:
            return ""
        runs = len(self.found.matrix.runs)
        return f"Margins of {len(self.order):,} pairs under {runs} runs; blue is right, orange is wrong."

    def scale(self) -> list[Any]:
        """What the colours of the map mean."""
        if self.found is None:
            return []
        if self.wish.unit == "sign" or len(self.found.matrix.runs) == 1:
            ends = ("wrong", "right")
        else:
            unit = "nats" if self.wish.unit == "nats" else "× the run's median margin"
            most = figures.limit(self.found.values(self.wish.unit))
            ends = (f"wrong, −{most:.3g} {unit} or less", f"right, +{most:.3g} or more")
        return [html.Span(ends[0]), html.Span(className="pairs-ramp"), html.Span(ends[1])]

    def filters(self) -> list[dict[str, str]]:
        """The options of the filter, each with the number of pairs that it keeps."""
        counts = {kind: int(rows.sum()) for kind, rows in self.found.kinds.items()} if self.found else {}
        return [{"value": key, "label": f"{words} {counts.get(key, 0):,}"} for key, words in ONLY.items()]

    def cells(self) -> list[Any]:
        """Reference right or wrong x run right or wrong."""
        return pairs_cells.table(self.found, self.wish, self.snapshot, self.slots) if self.found else []

    def audit(self) -> list[Any]:
        """What is known of the data."""
        if self.found is None:
            return []
        return pairs_audit.section(pair_texts.audit(catalog().root, self.snapshot.runs[self.found.matrix.runs[0]]))

    def pair(self, pair_id: str) -> tuple[list[Any], list[Any], list[Any]]:
        """Head, texts, and scores of one pair; empty for one that is not known."""
        row = self.found.matrix.row(pair_id) if self.found else None
        if self.found is None or row is None:
            return [html.Span("Choose a pair in the map or in the list.", className="dim")], [], []
        pair = self.found.texts.pair(pair_id)
        body = pairs_detail.texts(self.found, row, pair) if pair else []
        tokens = [pairs_detail.token_place(self._with_checkpoint(), self._best())] if pair else []
        scored = pairs_detail.scores(self.found, row, self.snapshot, self.slots)
        return pairs_detail.head(self.found, row), [*body, *tokens], scored

    def _best(self) -> str:
        assert self.found is not None
        return self.found.matrix.runs[self.found.by_rank[0]]

    def _with_checkpoint(self) -> list[tuple[str, str]]:
        """Ids and names of the runs in view that have kept a checkpoint here, the most accurate first."""
        assert self.found is not None
        matrix, root = self.found.matrix, catalog().local.root
        runs = [self.snapshot.runs[matrix.runs[column]] for column in self.found.by_rank]
        return [(run.id, run.name) for run in runs if _kept(root / run.id / schema.CHECKPOINTS)]


def _kept(checkpoints: Any) -> bool:
    try:
        return any(checkpoints.iterdir())
    except OSError:
        return False
