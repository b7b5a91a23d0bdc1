"""An evaluation by hand."""

import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from training.publishing.evaluation import evaluate, read_evaluation
from training.record.intervals import wilson
from training.record.schema import Run
from training.record.writer import SCORE_COLUMNS

NAMES = SCORE_COLUMNS.names


def scores(*rows: tuple) -> pa.Table:
    """Rows of chosen, rejected, reference's chosen, reference's rejected, tokens of both, and whether cut."""
    full = [(f"p{at}", *row[:6], *((row[6],) * 2 if len(row) > 6 else (False, False))) for at, row in enumerate(rows)]
    return pa.Table.from_pylist([dict(zip(NAMES, row, strict=True)) for row in full], schema=SCORE_COLUMNS)


# Margins: (-9+10) - (-12+10) = 3; (-11+10) - (-10+10) = -1; 0; (-8+9) - (-9+8) = 2.
FOUR = scores(
    (-9, -12, -10, -10, 5, 3), (-11, -10, -10, -10, 5, 5), (-5, -6, -5, -6, 2, 4), (-8, -9, -9, -8, 7, 6, True)
)


def test_shares_and_means_by_hand():
    """Right 1 + 0 + 1/2 + 1 of 4; margins 3, -1, 0, 2; chosen log-ratios 1, -1, 0, 1; longer wins 1 + 1/2 + 0 + 1."""
    found = evaluate(FOUR)
    assert found.n == 4
    assert (found.accuracy.value, found.accuracy.interval) == (0.625, wilson(2.5, 4))
    assert (found.margin.value, found.chosen.value, found.rejected.value) == (1.0, 0.25, -0.75)
    assert (found.displaced.value, found.longer_wins.value, found.truncated.value) == (0.25, 0.625, 0.25)
    assert found.margin.interval is None  # four pairs are too few


def test_ranking_against_the_base_by_hand():
    """Policy: -9 > -12 yes, -11 > -10 no, yes, yes: 3 of 4. Reference: tie no, no, yes, -9 > -8 no: 1 of 4.

    Gained 2, lost 0: exact McNemar 2 * (1/2)^2 = 0.5.
    """
    found = evaluate(FOUR)
    assert (found.ranking.value, found.base_ranking.value) == (0.75, 0.25)
    assert (found.lost, found.gained, found.p) == (0, 2, 0.5)
    assert (found.base_accuracy, found.base_margin) == (0.5, 0.0)


def test_the_base_is_what_was_scored_at_step_0():
    """A reference that follows the policy is no base model: the scores of step 0 are, whatever their order."""
    base = scores((-1, -2, -1, -2, 5, 3), (-1, -2, -1, -2, 5, 5), (-3, -2, -3, -2, 2, 4), (-1, -2, -1, -2, 7, 6))
    found = evaluate(FOUR, base.take([3, 1, 0, 2]))
    assert found.base_ranking.value == 0.75
    assert (found.lost, found.gained, found.p) == (1, 1, 1.0)


def test_pairs_of_one_prompt_widen_the_interval():
    rows = [(-10 + at % 5, -10, -10, -10, 5, 5) for at in range(20)]
    alone = evaluate(scores(*rows)).margin.interval
    together = evaluate(scores(*rows), prompts={f"p{at}": at % 5 for at in range(20)})
    assert together.prompts == 5
    assert together.margin.interval.low < alone.low < alone.high < together.margin.interval.high


def test_nan_is_not_hidden():
    found = evaluate(scores((math.nan, -12, -10, -10, 5, 3), (-11, -10, -10, -10, 5, 5)))
    assert math.isnan(found.accuracy.value)
    assert math.isnan(found.ranking.value)
    assert found.accuracy.interval is found.margin.interval is None


@pytest.mark.parametrize("prompt", ["Why?", [{"role": "user", "content": "Why?"}]])
def test_prompts_come_from_the_shared_pairs(tmp_path, prompt):
    run = tmp_path / "a"
    (run / "scores").mkdir(parents=True)
    pq.write_table(FOUR, run / "scores" / "step-8.parquet")
    assert read_evaluation(run, Run("a", "a", "runs", "finished", data={"eval": "abc"}), 8).prompts is None
    shared = tmp_path / ".shared" / "abc" / "pairs.parquet"
    shared.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([{"pair_id": f"p{at}", "prompt": prompt} for at in range(4)]), shared)
    assert read_evaluation(run, Run("a", "a", "runs", "finished", data={"eval": "abc"}), 8).prompts == 1
    assert read_evaluation(run, Run("a", "a", "runs", "finished"), 9) is None
