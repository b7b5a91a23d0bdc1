"""The evaluations of a sweep's runs, pair by pair, read while other processes write them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from training.data.pairs import same
from training.record import schema
from training.record.reader import read_run, read_scores, score_steps
from training.record.schema import RecordError
from training.sweeps.bound import Codes, Values

Stamp = tuple[int, int]


class Siblings:
    """Reads what the runs of `sweep` in `runs` have on the pairs `pair_ids`, in their order; `score` makes the values.

    Only runs evaluated on the data of hash `digest` count. A file is read once, and again if it changed.
    """

    def __init__(
        self, runs: Path, sweep: str, digest: str | None, pair_ids: list[str], score: Callable[[pa.Table], Values]
    ) -> None:
        self._runs = runs
        self._belongs_to = (sweep, digest)
        self._score = score
        self._pair_ids = pair_ids
        self._members: dict[str, bool] = {}
        self._files: dict[Path, tuple[Stamp, Values | None]] = {}

    def curves(self) -> dict[str, dict[int, Values]]:
        """Run -> step -> value per pair; a run or file that cannot be read now is left out."""
        folders = sorted(path.parent for path in self._runs.glob(f"[!.]*/{schema.CONFIG}"))
        return {folder.name: self._curve(folder) for folder in folders if self._is_member(folder)}

    def _is_member(self, folder: Path) -> bool:
        if folder.name not in self._members:
            try:
                run = read_run(folder)
            except (RecordError, OSError):
                return False
            found = (run.sweep, run.data.get("eval"))
            self._members[folder.name] = None not in found and found == self._belongs_to
        return self._members[folder.name]

    def _curve(self, folder: Path) -> dict[int, Values]:
        found = {step: self._values(folder, step) for step in score_steps(folder)}
        return {step: values for step, values in found.items() if values is not None}

    def _values(self, folder: Path, step: int) -> Values | None:
        path = folder / schema.SCORES / f"step-{step}.parquet"
        try:
            status = path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if self._files.get(path, (None,))[0] != stamp:
                self._files[path] = (stamp, self._aligned(read_scores(folder, step)))
        except (RecordError, OSError, KeyError):
            return None
        return self._files[path][1]

    def _aligned(self, table: pa.Table) -> Values | None:
        """The values in the order of `pair_ids`; None where a pair is missing."""
        ids, values = table["pair_id"].to_pylist(), self._score(table)
        if ids == self._pair_ids:
            return values
        place = {pair_id: at for at, pair_id in enumerate(ids)}
        if not place.keys() >= set(self._pair_ids):
            return None
        return values[[place[pair_id] for pair_id in self._pair_ids]]


def prompt_codes(runs: Path, digest: str | None, pair_ids: list[str]) -> Codes:
    """A number for each pair's prompt, shape (n,), from 0; where the texts are not there, each pair has its own."""
    prompts: dict[Any, Any] = {}
    try:
        table = pq.read_table(runs / schema.SHARED / str(digest) / schema.PAIRS, columns=["pair_id", "prompt"])
        prompts = {row["pair_id"]: same(row["prompt"]) for row in table.to_pylist()}
    except (OSError, pa.ArrowException):
        pass
    numbers: dict[Any, int] = {}
    codes = [numbers.setdefault(prompts.get(pair_id, (pair_id,)), len(numbers)) for pair_id in pair_ids]
    return np.array(codes, np.int64)
