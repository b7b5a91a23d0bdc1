"""What the analysis looks at: runs with their curves, per-pair scores and samples, where their sources have them."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dashboard.analysis import ranking
from dashboard.analysis.ranking import At
from training.record.schema import History, Run

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Scores:
    """One evaluation, pair by pair: columns of shape (n,), in the order of `pairs` (pair ids, each once).

    `chosen` and `rejected` are log-ratios, log policy - log reference, summed over the answer's tokens, in nats;
    `chosen_logp` and `rejected_logp` are the policy's log-probabilities. `prompts` numbers the prompt of each pair
    from 0: pairs of one prompt are no independent evidence.
    """

    step: int
    pairs: tuple[str, ...]
    prompts: Ints
    chosen: Floats
    rejected: Floats
    chosen_logp: Floats
    rejected_logp: Floats
    chosen_tokens: Ints
    rejected_tokens: Ints
    truncated: Bools

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def h(self) -> Floats:
        """Per pair the margin of log-ratios, in nats; DPO's loss is -log sigmoid(beta h) (arXiv:2305.18290, eq. 7)."""
        return self.chosen - self.rejected

    @property
    def right(self) -> Floats:
        """Per pair 1 if the margin is above 0, a half if it is 0, else 0; NaN stays NaN. Its mean is the accuracy."""
        return (np.sign(self.h) + 1) / 2


def codes(keys: Iterable[Hashable]) -> Ints:
    """A number from 0 for each key, equal keys the same, in order of first appearance."""
    known: dict[Hashable, int] = {}
    return np.fromiter((known.setdefault(key, len(known)) for key in keys), dtype=np.int64)


def _column(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The column as 64-bit numbers or bools, read from its buffer; a missing number is NaN, or 0 where it is whole.

    pyarrow's own `to_numpy` imports pandas: half a second, and plotly's encoder fails while another thread does it.
    Raises ValueError for a column of anything else.
    """
    kind, known = column.type, pa.types
    dtype: np.dtype[Any]
    if known.is_floating(kind):
        plain, dtype, missing = column.cast(pa.float64()), np.dtype(np.float64), float("nan")
    elif known.is_integer(kind) or known.is_boolean(kind):
        plain, dtype, missing = column.cast(pa.int64()), np.dtype(np.int64), 0
    else:
        raise ValueError(f"a column of scores holds {kind}, not numbers")
    chunks = [chunk.fill_null(missing) if chunk.null_count else chunk for chunk in plain.chunks if len(chunk)]
    parts = [np.frombuffer(c.buffers()[1], dtype, len(c), c.offset * dtype.itemsize) for c in chunks]
    found = np.concatenate(parts) if parts else np.empty(0, dtype)
    return found.astype(np.bool_) if known.is_boolean(kind) else found


def scores(step: int, table: pa.Table, prompts: Mapping[str, Hashable] | None = None) -> Scores:
    """The evaluation at `step` from `training.record.reader.read_scores`; `prompts` says by pair id which prompt.

    Without `prompts` every pair counts as one of its own. Of a pair id that is there twice the first row counts.
    """
    pairs, rows = _first(tuple(table["pair_id"].to_pylist()))
    columns = {name: _column(table[name])[rows] for name in table.column_names if name != "pair_id"}
    return Scores(
        step,
        pairs,
        codes((prompts or {}).get(pair, pair) for pair in pairs),
        columns["chosen_logp"] - columns["ref_chosen_logp"],
        columns["rejected_logp"] - columns["ref_rejected_logp"],
        columns["chosen_logp"],
        columns["rejected_logp"],
        columns["chosen_tokens"].astype(np.int64),
        columns["rejected_tokens"].astype(np.int64),
        columns["chosen_truncated"] | columns["rejected_truncated"],
    )


@lru_cache(maxsize=64)
def _first(ids: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
    """Each pair id once, and its first row; the same tuple for all runs of a study that have the same pairs."""
    first = {pair: row for row, pair in reversed(list(enumerate(ids)))}
    pairs = ids if len(first) == len(ids) else tuple(sorted(first, key=first.__getitem__))
    return pairs, np.array(sorted(first.values()), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of one run. `scores` by step (0, the best and the last one, where a source has them)."""

    run: Run
    history: History = field(default_factory=dict)
    scores: Mapping[int, Scores] = field(default_factory=dict)
    samples: Sequence[Mapping[str, Any]] = ()
    names: frozenset[str] | None = None
    """The metrics that were logged, where that is known without reading the curves."""

    @property
    def logged(self) -> frozenset[str]:
        """The metrics of which the last value or the curve is known."""
        return frozenset((*self.run.metrics, *(self.history if self.names is None else self.names)))

    def judged(self, at: At) -> Scores | None:
        """The per-pair scores of the evaluation that the run is judged by, if its source has them."""
        step = ranking.evaluation_step(self.run, at)
        return None if step is None else self.scores.get(step)


Study = Mapping[str, Evidence]
"""Run id -> evidence, in the order in which the sources name the runs."""


def once(make: Callable[[Evidence], T]) -> Callable[[Evidence], T]:
    """Keeps what `make` gives for as long as the evidence is there: of a run that has changed it is another object."""
    known: WeakKeyDictionary[Evidence, T] = WeakKeyDictionary()

    @wraps(make)
    def of(evidence: Evidence) -> T:
        found = known.get(evidence, known)
        if found is known:
            found = known[evidence] = make(evidence)
        return found  # type: ignore[return-value]

    return of


def study(evidence: Iterable[Evidence]) -> Study:
    """The study of some runs."""
    return {found.run.id: found for found in evidence}
