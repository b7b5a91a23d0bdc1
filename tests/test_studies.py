"""From what was read to what is analysed: per-pair scores, prompts and samples of our own runs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard import studies
from dashboard.sources.imported import Imported
from training.record import reader, schema
from training.record.writer import SCORE_COLUMNS, RunWriter, share_pairs

DIGEST = "e" * 64
N = 12


def table(h, **changed):
    """Scores whose margins are `h`: half of it the chosen answer's rise, half the rejected one's fall."""
    n = len(h)
    columns = {
        "pair_id": [f"pair {i}" for i in range(n)],
        "chosen_logp": -50 + h / 2,
        "rejected_logp": -60 - h / 2,
        "ref_chosen_logp": np.full(n, -50.0),
        "ref_rejected_logp": np.full(n, -60.0),
        "chosen_tokens": np.full(n, 9),
        "rejected_tokens": np.full(n, 8),
        "chosen_truncated": np.arange(n) == 0,
        "rejected_truncated": np.arange(n) == 1,
        **changed,
    }
    return pa.table(columns, schema=SCORE_COLUMNS)


@pytest.fixture
def directory(tmp_path):
    """A run scored at steps 0, 10 (its best), 20 and 30 (its last), of pairs two to a prompt."""
    studies._prompts.cache_clear()
    writer = RunWriter(tmp_path, "a run")
    writer.publish({"config": {"beta": 0.1}, "data": {"eval": DIGEST, "n_eval": N}})
    for step in (0, 10, 20, 30):
        writer.log(step, step / 10, {"eval/loss": 0.5})
        writer.scores(step, table(np.arange(N) * step / 10.0))
        if step == 10:
            writer.best(10, "eval/loss", {"eval/loss": 0.4})
    writer.finish("finished")
    prompts = [[{"role": "user", "content": f"question {i // 2}"}] for i in range(N)]
    share_pairs(tmp_path, DIGEST, pa.table({"pair_id": [f"pair {i}" for i in range(N)], "prompt": prompts}))
    return tmp_path / "a run"


def run_of(directory):
    return reader.read_run(directory)


def test_scores_before_training_at_the_best_and_at_the_last_evaluation_are_read(directory):
    found = studies.run_scores(directory, run_of(directory))
    assert list(found) == [0, 10, 30]
    assert found[30].h.tolist() == pytest.approx((np.arange(N) * 3.0).tolist())
    assert found[10].chosen.tolist() == pytest.approx((np.arange(N) / 2).tolist())
    assert found[0].truncated.tolist() == [True, True, *[False] * (N - 2)]


def test_pairs_of_one_prompt_are_known_to_be(directory):
    assert studies.run_scores(directory, run_of(directory))[0].prompts.tolist() == [i // 2 for i in range(N)]


@pytest.mark.parametrize("content", [None, b"", b"no parquet", b"PAR1" * 50])
def test_without_the_pairs_each_is_a_prompt_of_its_own(directory, content):
    path = directory.parent / schema.SHARED / DIGEST / schema.PAIRS
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert studies.run_scores(directory, run_of(directory))[0].prompts.tolist() == list(range(N))


def test_no_path_that_a_run_names_is_opened(directory):
    outside = directory.parent.parent / "outside"
    outside.mkdir(exist_ok=True)
    pairs = pa.table({"pair_id": [f"pair {i}" for i in range(N)], "prompt": ["the same"] * N})
    pq.write_table(pairs, outside / schema.PAIRS)
    run = run_of(directory)
    for name in (f"../../{outside.name}", str(outside), "", ".", None, 7):
        changed = type(run)(**{**vars(run), "data": {"eval": name}})
        assert studies.run_scores(directory, changed)[0].prompts.tolist() == list(range(N))


@pytest.mark.parametrize("content", [b"", b"no parquet", b"PAR1" * 50])
def test_scores_that_cannot_be_read_are_passed_over(directory, content):
    (directory / schema.SCORES / "step-30.parquet").write_bytes(content)
    assert list(studies.run_scores(directory, run_of(directory))) == [0, 10]


def test_scores_without_their_columns_are_passed_over(directory):
    pq.write_table(
        pa.table({"pair_id": ["pair 0"], "chosen_logp": ["x"]}), directory / schema.SCORES / "step-30.parquet"
    )
    assert list(studies.run_scores(directory, run_of(directory))) == [0, 10]


def test_a_study_has_scores_samples_and_curves_of_our_runs_and_curves_of_others(directory):
    (directory / schema.SAMPLES).write_text('{"step": 0, "prompt": "p", "base": "x", "dpo": "y"}\n')
    ours = run_of(directory)
    other = type(ours)(**{**vars(ours), "id": "other"})
    found = studies.study_of(Imported((ours, other), folders={ours.id: directory}))
    assert list(found) == [ours.id, "other"]
    assert list(found[ours.id].scores) == [0, 10, 30] and len(found[ours.id].samples) == 1
    assert found["other"].scores == {} and found["other"].samples == ()
