"""From sources to analysis: the runs that were read, with the per-pair scores and samples that lie beside them."""

from collections.abc import Hashable, Mapping
from functools import lru_cache
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.analysis import comparability
from dashboard.analysis.study import Evidence, Scores, Study, scores, study
from dashboard.sources.imported import Imported
from training.record import reader, schema
from training.record.schema import RecordError, Run


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
    kept = reader.score_steps(directory)
    wanted = [step for step in kept if step in (0, run.best_step, run.step, kept[-1])]
    digest = comparability.pairs_hash(run)
    known = digest is not None and digest.isalnum()
    prompts = _prompts(directory.parent / schema.SHARED / str(digest) / schema.PAIRS) if known else None
    found = {}
    for step in wanted:
        try:
            found[step] = scores(step, reader.read_scores(directory, step), prompts)
        except (RecordError, pa.ArrowException, KeyError, ValueError, TypeError):
            continue
    return found


@lru_cache(maxsize=64)
def _prompts(path: Path) -> Mapping[str, Hashable] | None:
    """Pair id -> prompt, of the evaluation pairs kept at `path`; None if they are not."""
    try:
        with path.open("rb") as content, pq.ParquetFile(content) as file:
            pairs = file.read(columns=["pair_id", "prompt"]).to_pylist()
        return {pair["pair_id"]: orjson.dumps(pair["prompt"]) for pair in pairs}
    except (OSError, pa.ArrowException, KeyError, TypeError):
        return None
