"""From sources to analysis: the runs that were read, with the per-pair scores and samples that lie beside them."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dashboard import kept_scores
from dashboard.analysis import comparability
from dashboard.analysis.study import Evidence, Ints, Scores, Study, codes, scores, study
from dashboard.sources import cache, stamps
from dashboard.sources.imported import Imported
from dashboard.sources.stamps import Stamp
from training.record import reader, schema
from training.record.schema import RecordError, Run

LARGEST = 2**28
"""Bytes of a file of scores; 100,000 pairs have some 5 million."""


def study_of(found: Imported) -> Study:
    """All that the analysis needs of the runs that were read."""
    return study(_evidence(run, found) for run in found.runs)


def _evidence(run: Run, found: Imported) -> Evidence:
    history, directory = found.histories.get(run.id, {}), found.folders.get(run.id)
    if directory is None:
        return Evidence(run, history)
    return Evidence(run, history, run_scores(directory, run), tuple(reader.read_samples(directory)))


def run_scores(directory: Path, run: Run) -> dict[int, Scores]:
    """The run's per-pair scores before training, at its best and at its last evaluation, as far as they are kept.

    A file of scores that cannot be read is passed over: the run is judged by its means then.
    """
    found = {step: scores_at(directory, run, step) for step in scored_steps(directory, run)}
    return {step: scores for step, scores in found.items() if scores is not None}


def scored_steps(directory: Path, run: Run) -> list[int]:
    """The steps that `run_scores` is of, ascending."""
    kept = reader.score_steps(directory)
    return [step for step in kept if step in (0, run.best_step, run.step, kept[-1])]


def scores_path(directory: Path, step: int) -> Path:
    """Where the scores of an evaluation lie."""
    return directory / schema.SCORES / f"step-{step}.parquet"


def scores_at(directory: Path, run: Run, step: int) -> Scores | None:
    """The run's per-pair scores at one step; None where there are none that can be read."""
    path = scores_path(directory, step)
    stamp = stamps.stamp(path)
    if stamp is None or not stamp.is_file or stamp.size > LARGEST:
        return None
    try:
        found = cache.kept(
            path,
            "scores",
            lambda: scores(step, reader.read_scores(directory, step)),
            kept_scores.encode,
            kept_scores.decode,
            worth=1,
        )
    except (RecordError, pa.ArrowException, KeyError, ValueError, TypeError, OSError):
        return None
    pairs = pairs_path(directory, run)
    return found if pairs is None else replace(found, prompts=_numbers(found.pairs, pairs, stamps.stamp(pairs)))


def pairs_path(directory: Path, run: Run) -> Path | None:
    """Where the pairs that a run was evaluated on would lie; None where what it says is no name of any."""
    digest = comparability.pairs_hash(run)
    known = digest is not None and digest.isalnum()
    return directory.parent / schema.SHARED / str(digest) / schema.PAIRS if known else None


@lru_cache(maxsize=64)
def _numbers(pairs: tuple[str, ...], path: Path, stamp: Stamp | None) -> Ints:
    """A number for the prompt of each pair; a pair whose prompt is not known has one of its own."""
    prompts = _prompts(path, stamp) or {}
    return codes(prompts.get(pair, pair) for pair in pairs)


@lru_cache(maxsize=64)
def _prompts(path: Path, stamp: Stamp | None) -> Mapping[str, Hashable] | None:
    """Pair id -> prompt, of the evaluation pairs kept at `path`; None if they are not. `stamp`: a new file is read."""
    if stamp is None or not stamp.is_file:
        return None
    try:
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            pairs = file.read(columns=["pair_id", "prompt"]).to_pylist()
        return {pair["pair_id"]: orjson.dumps(pair["prompt"]) for pair in pairs}
    except (OSError, pa.ArrowException, KeyError, TypeError):
        return None
