"""What the Pairs page shows: the wishes in its link, and the matrix, the suspects and the pairs that answer them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dashboard.analysis import label_noise, pair_matrix
from dashboard.analysis.label_noise import Suspects
from dashboard.analysis.pair_matrix import CELLS, Cell, Order, PairMatrix
from dashboard.analysis.ranking import At
from dashboard.analysis.study import Bools, Floats, Ints
from dashboard.components import context, query, selection
from dashboard.components.context import catalog
from dashboard.figures.pair_matrix import Unit
from dashboard.sources import pair_texts
from dashboard.sources.catalog import Snapshot
from dashboard.sources.pair_texts import PairTexts

ATS: dict[At, str] = {"best": "Best checkpoint", "last": "Last evaluation"}
UNITS: dict[Unit, str] = {"relative": "Own scale", "nats": "Nats", "sign": "Right or wrong"}
ORDERS: dict[Order, str] = {
    "suspicion": "Suspicion of a wrong label",
    "disagreement": "Disagreement between runs",
    "margin": "Mean margin, lowest first",
    "length": "Length of both answers",
    "difference": "Chosen longer than rejected",
    "data": "Order of the data",
}
COLUMNS = {"rank": "Accuracy", "similarity": "Similarity"}
ONLY = {
    "all": "All",
    "contested": "Contested",
    "wrong": "Always wrong",
    "suspects": "Suspected labels",
    "truncated": "Truncated",
}
BASES = {"sum": "Whole answer", "token": "Per token"}
CELL_NAMES: dict[Cell, str] = {"knew": "Always knew", "learned": "Learned", "forgot": "Forgot", "never": "Never got"}

MOST_LISTED = 24
"""Runs with a row of their own in the tables; the map has all."""

LONGEST_SEARCH = 200


@dataclass(frozen=True)
class View:
    """What is wished for; `cell` is a cell of a run's table, "learned~run id", or empty."""

    wanted: tuple[str, ...] = ()
    at: At = "best"
    unit: Unit = "relative"
    order: Order = "suspicion"
    columns: str = "rank"
    only: str = "all"
    search: str = ""
    cell: str = ""
    base: str = "sum"


def view(snapshot: Snapshot, runs: list[str], **wishes: Any) -> View:
    """The wishes of a browser or a link, each brought to what there is."""
    return View(
        tuple(run for run in runs if run in snapshot.runs),
        query.choice(wishes.get("at"), list(ATS)),
        query.choice(wishes.get("unit"), list(UNITS)),
        query.choice(wishes.get("order"), list(ORDERS)),
        query.choice(wishes.get("columns"), list(COLUMNS)),
        query.choice(wishes.get("only"), list(ONLY)),
        query.one(wishes.get("search"))[:LONGEST_SEARCH].strip(),
        query.one(wishes.get("cell")),
        query.choice(wishes.get("base"), list(BASES)),
    )


def wanted(snapshot: Snapshot, linked: Any, selected: Any) -> list[str]:
    """The runs that a link names, else the selected ones; none stands for all that have scores."""
    return selection.chosen(snapshot, linked, selected, pair_matrix.MOST_RUNS)


@dataclass(frozen=True, eq=False)
class Seen:
    """The matrix of the runs in view, what is suspected of its pairs, and their texts."""

    matrix: PairMatrix
    suspects: Suspects
    texts: PairTexts

    @cached_property
    def suspected(self) -> Bools:
        """Whether a pair is named, (n,)."""
        named = np.zeros(len(self.matrix.pairs), dtype=bool)
        named[self.suspects.rows] = True
        return named

    @cached_property
    def by_rank(self) -> list[int]:
        """Columns, the most accurate run first."""
        return pair_matrix.by_rank(self.matrix)

    @cached_property
    def by_similarity(self) -> list[int]:
        """Columns, runs that decide alike beside each other."""
        return pair_matrix.by_similarity(self.matrix)

    @cached_property
    def cells(self) -> dict[str, dict[Cell, Bools]]:
        """The tables of reference x run, by sum and per token."""
        return {base: pair_matrix.cells(self.matrix, base == "token") for base in BASES}

    @cached_property
    def kinds(self) -> dict[str, Bools]:
        """Which pairs each filter of ONLY keeps, (n,) each."""
        found = self.matrix
        return {
            "all": np.ones(len(found.pairs), dtype=bool),
            "contested": pair_matrix.contested(found),
            "wrong": np.logical_and.reduce(found.wrong, axis=1),
            "suspects": self.suspected,
            "truncated": found.truncated,
        }

    def columns(self, wish: View) -> list[int]:
        """The runs' columns in the wished order."""
        return self.by_rank if wish.columns == "rank" else self.by_similarity

    def values(self, unit: Unit) -> Floats:
        """The margins as the map shows them, (n, K)."""
        if unit == "sign":
            return np.sign(self.matrix.h)
        return self.matrix.relative if unit == "relative" else self.matrix.h

    def rows(self, wish: View) -> Ints:
        """The pairs that the wishes leave, in the wished order."""
        keep = self.kinds[wish.only].copy()
        cell = self.cell(wish)
        if cell is not None:
            keep &= self.cells[wish.base][cell[0]][:, cell[1]]
        if wish.search:
            found = self.texts.containing(wish.search)
            keep &= np.array([pair in found for pair in self.matrix.pairs])
        rows = pair_matrix.ordered(self.matrix, wish.order, self.suspects.margin)
        return rows[keep[rows]]

    def cell(self, wish: View) -> tuple[Cell, int] | None:
        """The cell and the run's column that the wishes name, if there are such."""
        name, _, run = wish.cell.partition("~")
        kind = next((cell for cell in CELLS if cell == name), None)
        return (kind, self.matrix.runs.index(run)) if kind and run in self.matrix.runs else None


def seen(snapshot: Snapshot, wish: View) -> Seen | None:
    """What there is to see, worked out once for each state of the runs; None if no run in view has scores."""
    return context.cached(snapshot, lambda: _seen(snapshot, wish), "pairs", wish.wanted, wish.at)


def _seen(snapshot: Snapshot, wish: View) -> Seen | None:
    found = pair_matrix.matrix(context.study(snapshot), wish.at, wish.wanted)
    if found is None:
        return None
    texts = pair_texts.texts(catalog().root, snapshot.runs[found.runs[0]])
    return Seen(found, label_noise.suspects(found.h), texts)
