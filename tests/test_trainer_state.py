"""Trainer states as people have them, nested, bare, with NaN: each in a small one."""

import json
import math
from pathlib import Path

import pytest
from trainer_states import END, curve, evaluation, file, one, read, state, train

from dashboard.sources.imported import Corrections


def test_rows_of_one_step_are_told_apart_by_their_kind():
    found = read(file("dpo/trainer_state.json", state(train(10), train(20, 0.4), evaluation(20, 0.5), END)))
    assert curve(found, "train/loss") == {10: 0.6, 20: 0.4}
    assert curve(found, "eval/loss") == {20: 0.5}
    (run,) = found.runs
    assert (run.id, run.name, run.source) == ("abcd1234-1", "dpo", "dpo/trainer_state.json")
    assert (run.metrics["train_loss"], run.metrics["total_flos"], run.seconds) == (0.55, 1e9, 12.5)
    assert "train_loss" not in found.histories[run.id]


def test_a_run_is_finished_only_with_its_closing_row_at_the_last_step():
    assert one(state(train(20), END)).status == "finished"
    assert one(state(train(20))).status == "unknown"
    cut = one(state(train(10), {**END, "step": 10}))
    assert cut.status == "unknown"
    assert "its log ends at step 10 of 20." in cut.notes


def test_bare_nan_and_infinity_are_read_and_never_best():
    text = json.dumps(state(train(10, math.nan), evaluation(10, math.nan, math.nan), evaluation(20, 0.5, 0.6)))
    assert text.count("NaN") == 3
    found = read(file("dpo/trainer_state.json", text.replace("0.1", "-Infinity").encode()))
    assert math.isnan(curve(found, "train/loss")[10])
    assert curve(found, "train/rewards/chosen") == {10: -math.inf}
    assert (found.runs[0].best_step, found.runs[0].best["eval/loss"]) == (20, 0.5)


def test_nan_inside_a_text_is_no_number():
    row = {**train(10, math.nan), "note": "is NaN, or -Infinity"}
    assert math.isnan(one(state(row)).metrics["train/loss"])


def test_an_epoch_rounded_to_two_digits_does_not_merge_points():
    found = read(file("dpo/trainer_state.json", state(*({**train(step), "epoch": 0.01} for step in (1, 2, 3)))))
    assert list(curve(found, "train/loss")) == [1, 2, 3]


def test_a_step_that_is_logged_again_is_replaced():
    assert curve(read(file("a/t.json", state(train(10, 0.6), train(20), train(10, 0.3)))), "train/loss")[10] == 0.3


def test_new_metrics_pass_through_under_the_keys_that_wandb_gives_them():
    run = one(state(train(10, entropy=1.5, num_tokens=7, nll_loss=2), evaluation(10, eval_helpful_loss=3, eval_odd=4)))
    assert {
        "train/entropy",
        "train/num_tokens",
        "train/nll_loss",
        "eval/helpful_loss",
        "eval/odd",
    } <= run.metrics.keys()
    assert one(state(train(10), {"step": 10, "test_loss": 0.3})).metrics["test_loss"] == 0.3


def test_the_user_may_say_what_a_metric_is():
    corrections = Corrections(renamed={"odd": "eval/rewards/margins"})
    assert one(state(train(10, odd=2)), corrections=corrections).metrics["eval/rewards/margins"] == 2


def test_nested_checkpoints_are_one_run_and_the_newest_is_read():
    rows = [train(10), evaluation(10), train(20), evaluation(20)]
    found = read(
        file("dpo/checkpoint-10/trainer_state.json", state(*rows[:2])),
        file("dpo/checkpoint-20/trainer_state.json", state(*rows)),
        file("dpo/trainer_state.json", state(*rows, END)),
    )
    (run,) = found.runs
    assert (run.name, run.source, run.status) == ("dpo", "dpo/trainer_state.json", "finished")
    said = "the log in trainer_state begins with that in checkpoint-10, checkpoint-20: one run, read from there."
    assert said in run.notes
    assert f'"dpo": {said}' in found.notes


def test_nested_checkpoints_with_nan_are_one_run():
    rows = [train(10, math.nan), train(20)]
    found = read(file("a/checkpoint-10/s.json", state(rows[0])), file("a/checkpoint-20/s.json", state(*rows)))
    assert len(found.runs) == 1


def test_a_checkpoint_of_another_plan_is_a_run_of_its_own():
    found = read(
        file("dpo/checkpoint-7/trainer_state.json", state(evaluation(7), max_steps=7)),
        file("dpo/checkpoint-20/trainer_state.json", state(train(10), evaluation(20))),
    )
    assert [(run.name, run.step) for run in found.runs] == [("dpo", 20), ("dpo/checkpoint-7", 7)]
    assert "lies beside checkpoint-20 and is a run of its own: its max_steps is 7, not 20." in found.runs[1].notes


def test_a_checkpoint_whose_log_differs_is_a_run_of_its_own():
    found = read(
        file("dpo/checkpoint-10/s.json", state(train(10, 0.6))), file("dpo/checkpoint-20/s.json", state(train(10, 0.5)))
    )
    assert len(found.runs) == 2
    assert any(note.endswith("a run of its own: its log is another one.") for note in found.notes)


def test_checkpoints_of_two_folders_are_two_runs():
    found = read(
        file("a/checkpoint-20/trainer_state.json", state(train(20))),
        file("b/checkpoint-20/trainer_state.json", state(train(20))),
    )
    assert [run.name for run in found.runs] == ["a", "b"]


def test_a_bare_list_and_other_file_names():
    found = read(
        file("dpo_log_history.json", [train(10), evaluation(10)]), file("trainer_state_dpo.json", state(train(10)))
    )
    assert [run.name for run in found.runs] == ["dpo_log_history", "trainer_state_dpo"]
    assert one([train(10)], "x/dpo_log_history.json").name == "x"
    assert (found.runs[0].step, found.runs[0].max_steps, found.runs[0].status) == (10, None, "unknown")


def test_only_evaluation_rows():
    run = one(state(evaluation(10), evaluation(20)))
    assert run.step == 20
    assert not [key for key in run.metrics if key.startswith("train/")]


@pytest.mark.parametrize(
    ("path", "origin", "stated", "name"),
    [
        ("recovery/checkpoint-81/trainer_state.json", None, {}, "recovery"),
        ("recovery/output/checkpoint-81/trainer_state.json", None, {}, "recovery"),
        ("checkpoint-81/trainer_state.json", Path("/data/mine/checkpoint-81/trainer_state.json"), {}, "mine"),
        ("trainer_state.json", None, {"best_model_checkpoint": "./results/said/checkpoint-2"}, "said"),
        ("trainer_state.json", None, {"best_model_checkpoint": "C:\\x\\said\\checkpoint-2"}, "said"),
        ("trainer_state.json", None, {}, "trainer_state"),
        ("output/trainer_state_dpo.json", None, {}, "trainer_state_dpo"),
    ],
)
def test_a_run_is_named_by_the_nearest_folder_that_means_something(path, origin, stated, name):
    assert read(file(path, state(train(10), **stated), origin)).runs[0].name == name


def test_equal_names_are_whole_paths():
    found = read(
        file("a/dpo/output/trainer_state.json", state(train(1))), file("b/dpo/trainer_state.json", state(train(1)))
    )
    assert [run.name for run in found.runs] == ["a/dpo/output", "b/dpo"]


def test_the_trainers_own_best_is_used_where_its_log_confirms_it():
    rows = evaluation(10, 0.4, 0.6), evaluation(20, 0.5, 0.8)
    run = one(state(*rows, best_metric=0.4, best_global_step=10))
    assert (run.best_step, run.best_metric, run.best["eval/rewards/accuracies"]) == (10, "eval/loss", 0.6)
    run = one(state(*rows, best_metric=0.8, best_model_checkpoint="x/checkpoint-20"))
    assert (run.best_step, run.best_metric) == (20, "eval/rewards/accuracies")
    for wrong in ({"best_metric": 0.3, "best_global_step": 10}, {"best_metric": None}, {"best_metric": math.nan}):
        run = one(state(*rows, **wrong))
        assert (run.best_step, run.best_metric) == (20, "eval/rewards/accuracies")


def test_what_the_state_states_is_kept():
    run = one(state(train(10), num_train_epochs=3, train_batch_size=2, logging_steps=10, save_steps=500, eval_steps=50))
    assert (run.max_steps, run.epoch) == (20, 0.2)
    assert run.config == {
        "num_train_epochs": 3,
        "train_batch_size": 2,
        "logging_steps": 10,
        "save_steps": 500,
        "eval_steps": 50,
    }


def test_evaluation_pairs_are_counted_at_the_last_evaluation():
    """0.5272 s x 11.381 pairs/s = 6.0001; 89.3588 s x 2.988 pairs/s = 267.004, known to 89.3588 * 0.0005 = 0.045."""
    assert one(state(evaluation(10))).n_eval == 6
    later = evaluation(20, eval_runtime=89.3588, eval_samples_per_second=2.988)
    assert one(state(evaluation(10), later)).n_eval == 267
    assert one(state(train(10))).n_eval is None


def test_a_log_without_rewards_is_imported_and_said_to_be_no_dpo_run():
    run = one(state({"step": 10, "loss": 1.5, "mean_token_accuracy": 0.6}))
    assert run.metrics["train/loss"] == 1.5
    said = "it is no DPO run: its log has no rewards/* (it may be supervised fine-tuning)."
    assert said in run.notes
    run = one(state({"step": 10, "loss": 1.5, "log_odds_ratio": -0.5}))
    assert "it is no DPO run: its log has no rewards/* (its metrics are those of ORPO)." in run.notes
    assert not any("DPO" in note for note in one(state(train(10), evaluation(10))).notes)


def test_orpo_with_rewards_is_told_from_dpo():
    run = one(state(train(10, log_odds_ratio=-0.5)))
    assert any("those of ORPO, not of DPO" in note for note in run.notes)


def test_a_log_without_evaluation_says_so():
    assert "its log has no evaluation." in one(state(train(10))).notes


def test_the_real_folder_of_three_betas_and_three_short_runs(shared_data):
    real = shared_data / "trainer_state"
    paths = sorted(real.glob("recovery_beta_*/*/trainer_state.json"))
    found = read(*(file(path.relative_to(real).as_posix(), path.read_bytes(), path) for path in paths))
    names = [f"recovery_beta_{beta}{end}" for beta in ("0.05", "0.1", "0.5") for end in ("", "/checkpoint-7")]
    assert [run.name for run in found.runs] == names
    assert [run.step for run in found.runs] == [81, 7] * 3
    assert [run.config["beta"] for run in found.runs] == [0.05, 0.05, 0.1, 0.1, 0.5, 0.5]
    assert {run.n_eval for run in found.runs} == {6}
    assert list(curve(found, "eval/loss")) == [27, 54, 81]


def test_a_real_state_of_2023_with_bare_nan(shared_data):
    content = (shared_data / "trainer_state" / "llama2_miniguanaco" / "trainer_state.json").read_bytes()
    found = read(file("llama2_miniguanaco/trainer_state.json", content))
    (run,) = found.runs
    assert (run.step, run.n_eval, run.config) == (1000, 267, {"num_train_epochs": 1})
    values = [value for series in found.histories[run.id].values() for value in series.values]
    assert sum(map(math.isnan, values)) == 15
    assert len(curve(found, "eval/loss")) == 10


def test_a_real_state_with_the_metrics_of_today(shared_data):
    content = (shared_data / "trainer_state" / "cs5788" / "trainer_state.json").read_bytes()
    run = one(content, "cs5788/trainer_state.json")
    assert (run.n_eval, run.best_step, run.best_metric) == (2308, 2656, "eval/loss")
    assert "train/mean_token_accuracy" in run.metrics


def test_four_rows_and_three_pairs_are_enough_to_be_read():
    """0.25 s x 12 pairs a second = 3 pairs."""
    (run,) = read(file("dpo/trainer_state.json", state(
        train(1), evaluation(1, eval_runtime=0.25, eval_samples_per_second=12.0), train(2),
        evaluation(2, 1e-4, 1.0, eval_runtime=0.25, eval_samples_per_second=12.0),
    ))).runs  # fmt: skip
    assert (run.n_eval, run.metrics["eval/rewards/accuracies"], run.step) == (3, 1.0, 2)
