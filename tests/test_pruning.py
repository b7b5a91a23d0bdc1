"""When a run of a sweep is stopped early: the rules, by hand, and the judge over real run folders."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from transformers import get_scheduler

from training.record import reader
from training.record.intervals import mean_interval
from training.record.writer import SCORE_COLUMNS, RunWriter, share_pairs
from training.sweeps import siblings
from training.sweeps.bound import Schedule, lead, pair_scores, standing
from training.sweeps.pruning import Judge, Rules, broken, collapsed, proposed
from training.sweeps.trial import SweepError

PAIRS = 400
SOUND = {"eval/loss": 0.6, "eval/samples/repetition": 0.05, "eval/samples/tokens": 30.0}


def scores(h: np.ndarray) -> pa.Table:
    """Pairs of these margins: the chosen answer's log-probability has risen by h from -20 nats."""
    n = len(h)
    columns = {
        "pair_id": [f"pair-{i}" for i in range(n)],
        "chosen_logp": h - 20,
        "rejected_logp": np.full(n, -25.0),
        "ref_chosen_logp": np.full(n, -20.0),
        "ref_rejected_logp": np.full(n, -25.0),
        **{name: [8] * n for name in ("chosen_tokens", "rejected_tokens")},
        **{name: [False] * n for name in ("chosen_truncated", "rejected_truncated")},
    }
    return pa.table(columns).cast(SCORE_COLUMNS)


def ranked(accuracy: float, seed: int = 0, n: int = PAIRS) -> np.ndarray:
    """Margins of which this share is above 0; with one seed, what a worse run ranks right, a better one does too."""
    places = np.random.default_rng(seed).permutation(n)
    return np.where(places < round(accuracy * n), 2.0, -2.0)


class Made:
    """A run folder as training writes it, 100 steps at a constant learning rate."""

    def __init__(self, runs: Path, name: str, sweep: str | None = "s", digest: str = "abc", **config: Any) -> None:
        self.run = RunWriter(runs, name)
        self.run.publish(
            {"sweep": sweep, "config": {"lr_scheduler_type": "constant", **config}, "data": {"eval": digest}}
        )
        self.evaluate(0, np.zeros(PAIRS))

    def evaluate(self, step: int, h: np.ndarray, **metrics: float) -> dict[str, float]:
        found = SOUND | {"eval/loss": 0.693} | metrics
        self.run.scores(step, scores(h))
        self.run.log(step, step / 100, found)
        return found

    def curve(self, **accuracies: float) -> "Made":
        for step, accuracy in accuracies.items():
            self.evaluate(int(step[1:]), ranked(accuracy))
        return self


def judged(judge: Judge, made: Made, step: int, h: np.ndarray, **metrics: float) -> str | None:
    return judge(step, 100, scores(h), made.evaluate(step, h, **metrics))


def judge_of(runs: Path, name: str = "ours", method: Any = "bound", **rules: Any) -> Judge:
    return Judge(Rules(method, **rules), runs, "s", name)


def test_scores_of_pairs_by_hand():
    """Right, tied, wrong: 1, 1/2, 0. softplus(0) = ln 2; softplus(-0.1 * 20) = ln(1 + e^-2) = 0.1269."""
    assert pair_scores(np.array([3.0, 0.0, -1.0]), None).tolist() == [1, 0.5, 0]
    assert pair_scores(np.array([0.0, 20.0]), 0.1) == pytest.approx([-math.log(2), -math.log1p(math.exp(-2))])


@pytest.mark.parametrize("kind", ["linear", "cosine", "constant_with_warmup"])
@pytest.mark.parametrize("warmup", [0, 30])
def test_training_done_is_the_sum_of_the_learning_rates(kind: str, warmup: int):
    """Within one step, of 200, of what the scheduler that trains gives."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = get_scheduler(kind, optimizer, num_warmup_steps=warmup, num_training_steps=200)
    total, schedule = 0.0, Schedule(200, warmup, kind)
    for step in range(200):
        assert schedule.done(step) == pytest.approx(total, abs=1)
        total += scheduler.get_last_lr()[0]
        optimizer.step()
        scheduler.step()


def test_a_lead_is_the_interval_of_the_record_with_the_farthest_prompt_counted_twice():
    """Its half width grows by sqrt(1 + largest squared deviation of a prompt / their sum)."""
    values, clusters = np.random.default_rng(1).normal(size=90), np.repeat(np.arange(30), 3)
    found, known = lead(values, clusters, 0.025), mean_interval(values.tolist(), clusters.tolist(), 0.95)
    assert found is not None and known is not None
    squares = (values - values.mean()).reshape(30, 3).sum(axis=1) ** 2
    half = (known.high - known.low) / 2 * math.sqrt(1 + squares.max() / squares.sum())
    assert found == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))


def test_too_little_to_tell_a_lead_from():
    values, clusters = np.random.default_rng(1).normal(size=90), np.repeat(np.arange(30), 3)
    assert lead(values, clusters % 5, 0.025) is None
    assert lead(np.append(values[1:], math.nan), clusters, 0.025) is None


@pytest.mark.parametrize("wins", [6, 8, 10, 12])
def test_few_differing_pairs_prove_no_more_than_an_exact_test(wins: int):
    """All `wins` pairs that differ, of 400, are for the other run: a chance of 2^-wins if neither is better."""
    gap = np.where(np.arange(PAIRS) < wins, -1.0, 0.0)
    found = lead(gap, np.arange(PAIRS), 2.0**-wins / 1.5)
    assert found is not None and found.high >= 0


def test_the_best_case_by_hand():
    """At 0.6 of 40 steps and 0.55 of 20, to 100 at a constant rate: 0.6 + (100 - 40) / (40 - 20) * 0.05 = 0.75.

    Against 0.9 that is 0.15 behind. With linear decay D = 20 - 2 = 18, 40 - 8 = 32 and 50; 18 is past half of 32, so
    that the pace is the one since the start, 0.1 in 32: 0.6 + 18 / 32 * 0.1 = 0.65625.
    """
    own = {
        0: pair_scores(np.zeros(PAIRS), None),
        **{s: pair_scores(ranked(a), None) for s, a in ((20, 0.55), (40, 0.6))},
    }
    rivals = {"best": {100: pair_scores(ranked(0.9), None)}, "other": {100: pair_scores(ranked(0.7), None)}}
    for decay, since, behind in (("constant", 20, 0.15), ("linear", 0, 0.9 - 0.65625)):
        found = standing(own, rivals, np.arange(PAIRS), 40, Schedule(100, 0, decay), 0.5)
        assert found is not None
        assert (found.rival, found.since) == ("best", since)
        assert (found.score, found.best, found.now.mean) == pytest.approx((0.6, 0.9, -0.3))
        assert found.end.mean == pytest.approx(-behind)


def test_a_falling_run_is_given_credit_for_where_it_is():
    """At 0.6 after 0.8, the line down would end at 0.0; the best case is 0.6, 0.1 behind."""
    own = {s: pair_scores(ranked(a), None) for s, a in ((20, 0.8), (40, 0.6))}
    found = standing(own, {"best": {60: pair_scores(ranked(0.7), None)}}, np.arange(PAIRS), 40, Schedule(100), 0.5)
    assert found is not None
    assert found.end == found.now
    assert found.end.mean == pytest.approx(-0.1)


def test_collapse_is_told_against_the_base():
    """Base 0.05: above (1 + 0.05) / 2 = 0.525. A base that loops half of the time itself: above 0.75."""
    assert "84% of their 3-grams are repeats, the base model's 5%" in str(
        collapsed(SOUND | {"eval/samples/repetition": 0.84}, SOUND)
    )
    base = SOUND | {"eval/samples/repetition": 0.5}
    assert collapsed(SOUND | {"eval/samples/repetition": 0.7}, base) is None
    assert "0.2 tokens" in str(collapsed(SOUND | {"eval/samples/tokens": 0.2}, SOUND))


@pytest.mark.parametrize("change", [{"eval/samples/tokens": 64.0}, {"eval/samples/repetition": 0.3}, {}])
def test_sound_runs_do_not_collapse(change: dict[str, float]):
    """Much longer answers that do not end, some repetition, no samples at all."""
    assert collapsed(SOUND | {"eval/samples/ended": 0.0} | change, SOUND | {"eval/samples/ended": 1.0}) is None
    assert collapsed({}, {}) is None


def test_a_large_loss_alone_is_no_divergence():
    """At beta 0.5 a run that ranks 66% right can have a loss of 2.3; without any accuracy it has diverged."""
    start, now = {"eval/loss": 0.693}, {"eval/loss": 2.296}
    assert broken(now, start, 0.664, 0.5) is None
    assert "more than 2 times its value before training" in str(broken(now, start, 0.49, 0.5))
    assert broken({"eval/loss": 0.7}, start, 0.49, 0.5) is None
    assert broken({"eval/loss": math.nan}, start, 0.9, 0.5) == "the evaluation loss is NaN"


def test_brackets_are_those_of_wandb():
    assert Rules("hyperband", min_iter=3).brackets(30) == [3, 9, 27]
    assert Rules("hyperband", min_iter=2, eta=2).brackets(8) == [2, 4, 8]
    assert Rules("hyperband", max_iter=27, s=2).brackets(27) == [3, 9]
    assert Rules("hyperband", min_iter=3).brackets(2) == []


def test_what_median_and_hyperband_propose():
    """Hyperband, eta 3, of four at the first bracket: place int(4 / 3) = 1, the second best, is the limit."""
    rivals = [[0.9, 0.9], [0.8], [0.7]]
    median, hyperband = Rules("median"), Rules("hyperband", min_iter=1)
    assert [proposed(median, [score], rivals) for score in (0.85, 0.75)] == [False, True]
    assert [proposed(hyperband, [score], rivals) for score in (0.85, 0.75)] == [False, True]
    assert not proposed(hyperband, [0.75], [])
    assert not proposed(median, [0.1, 0.1, 0.1], rivals)
    assert not proposed(Rules("hyperband", min_iter=2), [0.1], rivals)
    assert proposed(Rules("bound"), [0.9], rivals)


def test_rules_go_through_json():
    rules = Rules("hyperband", "common_beta_loss", 0.1, min_iter=2, eta=2)
    assert Rules.of(json.loads(json.dumps(rules.plain()))) == rules


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"method": "hyperband"}, "needs min_iter"),
        ({"method": "hyperband", "max_iter": 9}, "max_iter and s"),
        ({"method": "hyperband", "min_iter": 1, "eta": 1}, "eta must be above 1"),
        ({"objective": "common_beta_loss"}, "above 0, got None"),
    ],
)
def test_rules_that_do_not_go_together_are_refused(rules: dict[str, Any], message: str):
    with pytest.raises(SweepError, match=message):
        Rules(**rules)


def test_a_beaten_run_is_stopped_and_told_why(tmp_path: Path):
    Made(tmp_path, "best").curve(s20=0.8, s40=0.85, s100=0.9)
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path)
    assert judge(0, 100, scores(np.zeros(PAIRS)), SOUND) is None
    assert judged(judge, ours, 20, ranked(0.6)) is None  # on at 0.1 in 20 steps it could be at 1
    told = judged(judge, ours, 40, ranked(0.61))
    assert told is not None
    assert told.startswith(
        "0.610 accuracy at step 40 against 0.900 of best at step 100: even at its pace since step 20 it"
    )
    assert "ends 0.260 [" in told and told.endswith("behind (99%)")  # 0.9 - (0.61 + 60 / 20 * 0.01)


def test_by_the_common_beta_loss_too(tmp_path: Path):
    """Margins of 20 and 2.5 nats: the losses at beta 0.1 are ln(1 + e^-2) = 0.127 and ln(1 + e^-0.25) = 0.576."""
    Made(tmp_path, "best").evaluate(100, np.full(PAIRS, 20.0))
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path, objective="common_beta_loss", common_beta=0.1)
    assert judged(judge, ours, 20, np.full(PAIRS, 2.5)) is None  # on at this pace: 0.693 - 5 * 0.117 = 0.108
    told = judged(judge, ours, 40, np.full(PAIRS, 2.0) + np.random.default_rng(0).normal(size=PAIRS))
    assert told is not None and "loss at beta 0.1 at step 40 against 0.127 of best" in told


@pytest.mark.parametrize(
    "change", [lambda runs: Made(runs, "best", sweep="other"), lambda runs: Made(runs, "best", digest="other")]
)
def test_runs_of_another_sweep_or_other_data_are_no_rivals(tmp_path: Path, change: Callable[[Path], Made]):
    change(tmp_path).curve(s100=0.99)
    assert judged(judge_of(tmp_path), Made(tmp_path, "ours"), 60, ranked(0.5)) is None


def test_a_rivals_evaluations_after_this_runs_end_do_not_count(tmp_path: Path):
    """At our last step, 100, it was no better; that it got there at 500 says nothing of 100 steps."""
    Made(tmp_path, "longer").curve(s100=0.6, s500=0.95)
    assert judged(judge_of(tmp_path), Made(tmp_path, "ours"), 60, ranked(0.6)) is None


def test_a_run_that_is_tied_with_the_best_goes_on(tmp_path: Path):
    Made(tmp_path, "best").curve(s50=0.72, s100=0.72)
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path)
    assert [judged(judge, ours, step, ranked(0.7)) for step in (25, 50, 75)] == [None] * 3


def test_a_failed_rival_counts_by_what_it_reached(tmp_path: Path):
    rival = Made(tmp_path, "best").curve(s40=0.9)
    rival.run.finish("failed", "out of memory")
    assert judged(judge_of(tmp_path), Made(tmp_path, "ours").curve(s30=0.6), 60, ranked(0.6)) is not None


def test_pairs_are_joined_by_their_ids(tmp_path: Path):
    """A rival that wrote its pairs in another order ranks the same ones right: nothing tells the two apart."""
    h = ranked(0.6)
    shuffled = np.random.default_rng(2).permutation(PAIRS)
    rival = Made(tmp_path, "rival")
    rival.run.scores(100, scores(h).take(pa.array(shuffled)))
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path)
    assert judged(judge, ours, 60, h) is None
    assert judge._siblings is not None
    assert np.array_equal(judge._siblings.curves()["rival"][100], pair_scores(h, None))


def test_pairs_of_one_prompt_count_as_one(tmp_path: Path):
    """Ten prompts of 40 pairs each are too few to stop anything, however many pairs there are."""
    pairs = [{"pair_id": f"pair-{i}", "prompt": f"question {i // 40}"} for i in range(PAIRS)]
    Made(tmp_path, "best").curve(s100=0.95)
    share_pairs(tmp_path, "abc", pa.Table.from_pylist(pairs))
    assert judged(judge_of(tmp_path), Made(tmp_path, "ours").curve(s30=0.6), 60, ranked(0.6)) is None
    (tmp_path / ".shared" / "abc" / "pairs.parquet").write_bytes(b"damaged")
    assert judged(judge_of(tmp_path, "next"), Made(tmp_path, "next").curve(s30=0.6), 60, ranked(0.6)) is not None


def test_what_is_half_made_or_damaged_is_passed_over(tmp_path: Path):
    Made(tmp_path, "best").curve(s100=0.9)
    damaged = Made(tmp_path, "damaged").curve(s100=0.99)
    (damaged.run.directory / "scores" / "step-100.parquet").write_bytes(b"PAR1")
    (damaged.run.directory / "scores" / ".step-120.parquet.7").write_bytes(b"")
    strange = Made(tmp_path, "strange")
    (strange.run.directory / "config.json").write_text('{"format": 1, "swe')
    (tmp_path / "empty").mkdir()
    Made(tmp_path, "not finite").evaluate(100, np.full(PAIRS, math.nan))
    told = judged(judge_of(tmp_path), Made(tmp_path, "ours").curve(s30=0.6), 60, ranked(0.6))
    assert told is not None and "of best at step 100" in told


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[tuple[str, int]] = []

    def counted(directory: Path, step: int) -> pa.Table:
        read.append((directory.name, step))
        return reader.read_scores(directory, step)

    monkeypatch.setattr(siblings, "read_scores", counted)
    Made(tmp_path, "rival").curve(s50=0.6, s100=0.62)
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path)
    for step in (20, 40, 60, 80):
        assert judged(judge, ours, step, ranked(0.6)) is None
    assert len(read) == len(set(read)) > 3


def test_a_resumed_run_knows_its_past_from_its_record(tmp_path: Path):
    """A new judge, asked for the first time at step 40, tells what one that saw all would: pace since 20, own start."""
    Made(tmp_path, "best").curve(s100=0.9)
    ours = Made(tmp_path, "ours").curve(s20=0.6)
    assert "since step 20" in str(judged(judge_of(tmp_path), ours, 40, ranked(0.61)))
    diverged = judged(judge_of(tmp_path), ours, 60, ranked(0.45), **{"eval/loss": 9.0})
    assert diverged is not None and "its value before training (0.693)" in diverged


def test_broken_runs_are_stopped_under_every_method_but_no_run_at_its_end(tmp_path: Path):
    ours, judge = Made(tmp_path, "ours"), judge_of(tmp_path, method="none")
    assert judge(20, 100, scores(ranked(0.7)), SOUND | {"eval/loss": math.nan}) == "the evaluation loss is NaN"
    assert "loop" in str(judged(judge, ours, 20, ranked(0.7), **{"eval/samples/repetition": 0.9}))
    assert judge(100, 100, scores(ranked(0.7)), SOUND | {"eval/samples/repetition": 0.9}) is None
    assert judged(judge, Made(tmp_path, "best").curve(s100=0.99), 60, ranked(0.5)) is None


def test_the_warm_up_is_not_taken_for_slowness(tmp_path: Path):
    """At 0.56 of step 40, 36 of them warm-up: 22 steps' worth of training, of 82; 0.5 + 82 / 22 * 0.06 = 0.72.

    Taken for 40 steps' worth, it would end at 0.5 + 100 / 40 * 0.06 = 0.65, behind a rival at 0.71.
    """
    own = {40: pair_scores(ranked(0.56), None)}
    rivals = {"best": {100: pair_scores(ranked(0.71), None)}}
    leads = [standing(own, rivals, np.arange(PAIRS), 40, Schedule(100, warmup), 0.5) for warmup in (0, 36)]
    assert [found.end.mean for found in leads if found] == pytest.approx([-0.06, 0.5 + 82 / 22 * 0.06 - 0.71])


def test_a_sweep_over_real_folders_keeps_the_best_and_stops_the_hopeless(tmp_path: Path):
    """Six runs one after another, linear decay, accuracy 0.5 + (ceiling - 0.5) (1 - exp(-4 D(t) / D(100)))."""
    ceilings = {"a": 0.8, "b": 0.6, "best": 0.9, "c": 0.62, "d": 0.89, "e": 0.55}
    schedule, stopped = Schedule(100, 0, "linear"), {}
    for seed, (name, ceiling) in enumerate(ceilings.items()):
        made, judge = Made(tmp_path, name, lr_scheduler_type="linear"), judge_of(tmp_path, name)
        noise = np.random.default_rng(seed)
        for step in range(10, 101, 10):
            rise = 1 - math.exp(-4 * schedule.done(step) / schedule.done(100))
            h = ranked(0.5 + (ceiling - 0.5) * rise) * np.where(noise.random(PAIRS) < 0.01, -1, 1)
            if judged(judge, made, step, h) is not None:
                stopped[name] = step
                break
    assert {"b", "c", "e"} <= stopped.keys() and max(stopped.values()) < 100
    assert not {"best", "d"} & stopped.keys()
