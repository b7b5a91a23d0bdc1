"""The ranking of a sweep's runs, and which of them cannot be told apart from the best."""

import math
from pathlib import Path

import pyarrow as pa
import pytest

from training.record.writer import RunWriter, share_pairs
from training.sweeps import closing
from training.sweeps.closing import Result
from training.sweeps.plan import Objective

ACCURACY = Objective("eval/rewards/accuracies", True, None)
LOSS = Objective("eval/common_beta_loss", False, 0.1)


def result(name: str, value: float, margins: list[float], pairs: str = "p") -> Result:
    return Result(name, {"beta": 0.1}, value, 4, {f"{pairs}{n}": h for n, h in enumerate(margins)})


def scores(margins: list[float]) -> pa.Table:
    zeros = [0.0] * len(margins)
    return pa.table(
        {
            "pair_id": [f"p{n}" for n in range(len(margins))],
            "chosen_logp": margins,
            **dict.fromkeys(("rejected_logp", "ref_chosen_logp", "ref_rejected_logp"), zeros),
            **dict.fromkeys(("chosen_tokens", "rejected_tokens"), [1] * len(margins)),
            **dict.fromkeys(("chosen_truncated", "rejected_truncated"), [False] * len(margins)),
        }
    )


def run(runs: Path, name: str, values: dict[int, float], margins: dict[int, list[float]], key: str) -> Path:
    writer = RunWriter(runs, name)
    for step, value in values.items():
        writer.log(step, None, {key: value})
    for step, h in margins.items():
        writer.scores(step, scores(h))
    writer.publish({"config": {}, "data": {"eval": "digest"}})
    return writer.directory


def test_the_best_evaluation_is_finite_and_after_step_0(tmp_path):
    values = {0: 0.9, 2: math.nan, 4: 0.7, 6: 0.7, 8: 0.6}
    folder = run(tmp_path, "a", values, {4: [1.0, -1.0, 0.0, 2.0]}, ACCURACY.metric)
    assert closing.evaluations(folder, ACCURACY) == {4: 0.7, 6: 0.7, 8: 0.6}
    found = closing.result(folder, {"beta": 0.1}, ACCURACY)
    assert found == Result("a", {"beta": 0.1}, 0.7, 4, {"p0": 1.0, "p1": -1.0, "p2": 0.0, "p3": 2.0})
    assert found.accuracy == 2.5 / 4
    assert closing.best({2: 0.7, 4: 0.6, 6: 0.6}, LOSS) == 4
    assert closing.best({}, LOSS) is None


def test_a_run_without_evaluations_has_no_result_and_one_without_scores_no_margins(tmp_path):
    assert closing.result(tmp_path / "none", {}, ACCURACY) is None
    folder = run(tmp_path, "a", {2: 0.5}, {}, ACCURACY.metric)
    found = closing.result(folder, {}, ACCURACY)
    assert found is not None
    assert (found.value, found.accuracy, found.margins) == (0.5, None, {})


def test_ranked_by_the_objective_the_way_it_goes():
    results = [result("a", 0.5, []), result("b", 0.7, []), result("c", 0.6, [])]
    assert [one.name for one in closing.ranked(results, ACCURACY)] == ["b", "c", "a"]
    assert [one.name for one in closing.ranked(results, LOSS)] == ["a", "c", "b"]


def test_mcnemar_on_the_same_pairs_tells_apart_what_differs_often_enough(tmp_path):
    """Of 20 pairs the best is right on all. b is wrong on 7: p = 2 / 2^7 = 0.0156 < 0.05 / 2. c on 6: 2 / 2^6 = 0.031,
    not below 0.05 / 2: with two comparisons it cannot be told apart. Alone it could: 0.031 < 0.05."""
    best = result("a", 1.0, [1.0] * 20)
    b, c = (result(name, (20 - n) / 20, [-1.0] * n + [1.0] * (20 - n)) for name, n in (("b", 7), ("c", 6)))
    assert closing.tied([best, c, b], ACCURACY, tmp_path) == ([c], 2)
    assert closing.tied([best, c], ACCURACY, tmp_path) == ([], 1)


def test_runs_scored_on_other_pairs_are_not_compared(tmp_path):
    best = result("a", 1.0, [1.0] * 20)
    others = [result("b", 0.5, [-1.0] * 20, "q"), result("c", 0.5, [-1.0] * 10), result("d", 0.5, [])]
    assert closing.tied([best, *others], ACCURACY, tmp_path) == ([], 0)
    told = closing.lines("s", dict.fromkeys("abcd", "finished"), [best, *others], ACCURACY, tmp_path)
    assert told[-1] == "tied       not known: no other finished run was evaluated on the same pairs"


def test_a_common_beta_loss_is_compared_by_its_mean_difference_over_prompts(tmp_path):
    """24 pairs of a prompt each: a run that is worse by 3 or 5 nats on every pair is told apart, one that is better on
    half of them and worse on the other half is not. Where the pairs have but three prompts, nothing can be told."""
    best = result("a", 0.4, [4.0] * 24)
    worse = result("b", 0.7, [1.0, -1.0] * 12)
    mixed = result("c", 0.45, [1.0, 7.0] * 12)
    assert closing.tied([best, mixed, worse], LOSS, tmp_path) == ([mixed], 2)
    run(tmp_path, "a", {4: 0.4}, {}, LOSS.metric)
    rows = [{"pair_id": f"p{n}", "prompt": f"prompt {n % 3}", "chosen": "x", "rejected": "y"} for n in range(24)]
    share_pairs(tmp_path, "digest", pa.Table.from_pylist(rows))
    assert closing.tied([best, mixed, worse], LOSS, tmp_path) == ([mixed, worse], 2)


def test_the_closing_lines(tmp_path):
    """Wilson's 95% interval of 18 of 20 is 0.699 to 0.972."""
    best, other = result("s-01", 0.9, [1.0] * 18 + [-1.0] * 2), result("s-00", 0.85, [1.0] * 17 + [-1.0] * 3)
    states = {"s-00": "finished", "s-01": "finished", "s-02": "pruned", "s-03": "failed"}
    assert closing.lines("s", states, [best, other], ACCURACY, tmp_path) == [
        "sweep      s (4 runs: 2 finished, 1 failed, 1 pruned)",
        "best       s-01: beta 0.1; step 4: reward accuracy 0.900 (95% interval 0.699 to 0.972, n = 20)",
        "ranked     by eval/rewards/accuracies at each run's best evaluation; reward accuracy [95% interval]",
        "        1  s-01  beta 0.1  step 4  0.9000  0.900 [0.699, 0.972]",
        "        2  s-00  beta 0.1  step 4  0.8500  0.850 [0.640, 0.948]",
        "tied       1 of 1 other finished runs cannot be told apart from the best (paired on the same 20 pairs, 95% "
        "for all comparisons together, McNemar's exact test of the reward accuracy): s-00",
    ]


@pytest.mark.parametrize("states", [{}, {"s-00": "failed"}])
def test_without_a_finished_run_there_is_no_best(states, tmp_path):
    assert closing.lines("s", states, [], ACCURACY, tmp_path)[1] == "best       none: no run has finished"


def test_a_long_ranking_is_cut(tmp_path):
    results = [result(f"s-{n:02d}", 1 - n / 100, [1.0] * 8) for n in range(13)]
    told = closing.lines("s", {one.name: "finished" for one in results}, results, ACCURACY, tmp_path)
    assert sum("beta 0.1  step" in line for line in told) == 10
    assert "           and 3 more" in told
