"""Trainer states as people have them, nested, bare, with NaN, beside other files: each in a small one."""

import contextlib
import json
import math
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import beside, trainer_log, trainer_state
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, SourceError

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "trainer_state"


def file(path: str, content: Any, origin: Path | None = None) -> File:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return File(PurePosixPath(path), len(raw), origin, lambda count: raw[:count])


def train(step: int, loss: float = 0.6, **more: float) -> dict[str, float]:
    return {"epoch": step / 100, "step": step, "loss": loss, "rewards/chosen": 0.1, **more}


def evaluation(step: int, loss: float = 0.5, accuracy: float = 0.7, **more: float) -> dict[str, float]:
    row = {"eval_loss": loss, "eval_rewards/accuracies": accuracy, "eval_runtime": 0.5272}
    return {"epoch": step / 100, "step": step, **row, "eval_samples_per_second": 11.381, **more}


END = {"step": 20, "epoch": 0.2, "train_runtime": 12.5, "train_loss": 0.55, "total_flos": 1e9}


def state(*rows: object, max_steps: int = 20, **stated: object) -> dict[str, object]:
    steps = [row["step"] for row in rows if isinstance(row, dict) and isinstance(row.get("step"), int)]
    return {"global_step": max(steps, default=0), "max_steps": max_steps, "epoch": 0.2, "log_history": rows, **stated}


def read(*files: File, beside: tuple[File, ...] = (), **options):
    siblings = {found.path: found for found in (*files, *beside)}
    return trainer_state.read(files, siblings, "abcd1234", **options)


def one(content: Any, path: str = "dpo/trainer_state.json", **options):
    (run,) = read(file(path, content), **options).runs
    return run


def curve(found, key, run=0):
    series = found.histories[found.runs[run].id][key]
    return dict(zip(series.steps, series.values, strict=True))


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


CARD = b"""---
base_model: org/model-7b
datasets:
- org/pairs
tags:
- dpo
---
# A model
- beta: 9
### Training hyperparameters

The following hyperparameters were used during training:
- learning_rate: 5e-07
- train_batch_size: 4
- lr_scheduler_type: cosine
- lr_scheduler_warmup_ratio: 0.1
- num_epochs: 3
- optimizer: Adam with betas=(0.9,0.999)

### Training results
- seed: 7
"""


def test_files_beside_tell_the_configuration_and_each_is_named():
    adapter = {
        "base_model_name_or_path": "org/adapted",
        "r": 16,
        "lora_alpha": 32,
        "target_modules": ["q", "v"],
        "odd": 1,
    }
    results = {"eval_loss": 0.4, "eval_samples": 2000, "train_runtime": 99.5, "train_loss": 0.6}
    run = one(
        state(train(20)),
        beside=(
            file("dpo/README.md", CARD),
            file("dpo/adapter_config.json", adapter),
            file("dpo/all_results.json", results),
            file("dpo/training_args.bin", b"\x80\x04never opened"),
            file("other/adapter_config.json", {"r": 64}),
        ),
    )
    assert run.config == {
        "model_name_or_path": "org/adapted",
        "lora_r": 16,
        "lora_alpha": 32,
        "lora_target_modules": ["q", "v"],
        "dataset_name": "org/pairs",
        "learning_rate": 5e-07,
        "train_batch_size": 4,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "num_train_epochs": 3,
        "optimizer": "Adam with betas=(0.9,0.999)",
    }
    assert (run.n_eval, run.metrics["eval/loss"], run.seconds, run.status) == (2000, 0.4, 99.5, "finished")
    assert any(note.startswith("from dpo/adapter_config.json: model_name_or_path = org/adapted") for note in run.notes)
    assert any(note.startswith("from dpo/README.md: ") for note in run.notes)
    assert any("dpo/all_results.json" in note for note in run.notes)


def test_training_arguments_are_read_without_their_secrets():
    arguments = {"beta": 0.2, "learning_rate": 1e-6, "hub_token": "hf_secret", "deepspeed": None, "lr_kwargs": {}}
    assert one(state(train(10)), beside=(file("dpo/training_args.json", arguments),)).config == {
        "beta": 0.2,
        "learning_rate": 1e-6,
    }


def test_the_models_own_configuration_names_the_base_model():
    run = one(state(train(10)), beside=(file("dpo/config.json", {"_name_or_path": "org/base", "hidden_size": 8}),))
    assert run.config == {"model_name_or_path": "org/base"}


def test_results_with_a_bare_nan_and_broken_files_beside_do_no_harm():
    run = one(
        state(train(10)),
        beside=(
            file("dpo/all_results.json", b'{"eval_loss": NaN, "eval_runtime": 3.5}'),
            file("dpo/adapter_config.json", b"{"),
            file("dpo/README.md", b"\0\1"),
        ),
    )
    assert "eval/loss" not in run.metrics
    assert run.metrics["eval/runtime"] == 3.5
    assert "dpo/adapter_config.json beside it is passed over: it is no JSON object." in run.notes
    assert any(note.startswith("dpo/README.md beside it is passed over") for note in run.notes)


def test_files_beside_checkpoints_of_two_runs_are_given_to_neither():
    found = read(
        file("dpo/checkpoint-7/trainer_state.json", state(evaluation(7), max_steps=7)),
        file("dpo/checkpoint-20/trainer_state.json", state(train(20))),
        beside=(file("dpo/adapter_config.json", {"r": 16}), file("dpo/checkpoint-7/adapter_config.json", {"r": 8})),
    )
    assert [run.config for run in found.runs] == [{}, {"lora_r": 8}]
    assert "the files in dpo may be of another of its runs and are not used." in found.runs[0].notes


@pytest.mark.parametrize(
    ("name", "beta"),
    [
        ("recovery_beta_0.05", 0.05),
        ("dpo-lr1e-6-beta0.1", 0.1),
        ("Beta=1", 1.0),
        ("beta.5", 0.5),
        ("beta_1e-1", 0.1),
        ("beta_01", None),
        ("adam_beta1_0.9", None),
        ("beta1_0.9", None),
        ("alphabeta_0.1", None),
        ("beta_0.1_beta_0.2", None),
        ("beta", None),
        ("beta_0", None),
        ("v1.beta-release", None),
    ],
)
def test_a_folders_name_hints_at_beta(name, beta):
    assert beside.beta_of(name) == beta


def test_a_beta_from_a_folders_name_is_said_to_be_a_hint_and_yields_to_a_file():
    run = one(state(train(10)), "dpo_beta_0.05/checkpoint-10/trainer_state.json")
    assert run.config["beta"] == 0.05
    assert any('only the name of its folder, "dpo_beta_0.05": a hint' in note for note in run.notes)
    run = one(
        state(train(10)),
        "dpo_beta_0.05/trainer_state.json",
        beside=(file("dpo_beta_0.05/args.json", {"beta": 0.1}),),
    )
    assert run.config["beta"] == 0.1
    assert any(note.startswith("beta is 0.1 by the files beside it, but 0.05 by the name") for note in run.notes)


@pytest.mark.parametrize(
    ("content", "is_one"),
    [
        (json.dumps(state(train(1))).encode(), True),
        (b"\xef\xbb\xbf \n" + json.dumps(state(train(1))).encode(), True),
        (json.dumps([train(1)]).encode(), True),
        (json.dumps([evaluation(1)], indent=2).encode(), True),
        (b'[{"prompt": "a", "chosen": "b", "rejected": "c"}]', False),
        (b'[{"step": 1, "text": "loss"}]', False),
        (b'{"a": 1}', False),
        (b"Name,eval/loss\n", False),
        (b"", False),
    ],
)
def test_a_state_is_told_by_its_content(content, is_one):
    assert trainer_state.is_trainer_state(content) is is_one


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"log_history":' + b"[" * 100_000 + b"NaN",
        b'{"log_history":' + b'{"a":' * 100_000 + b"NaN" + b"}" * 100_001,
        b'{"log_history": "' + b"x" * (45 * 2**20) + b'"}',
        b'{"log_history": "' + b"x" * (50 * 2**20) + b'"}',
        b'{"log_history": [' + b"{}," * 600_000 + b"{}]}",
        b'{"log_history": [' + b"1," * 5_000_000 + b"1]}",
        bytes(range(256)) * 1000,
        b'{"log_history": []}',
        b'{"log_history": [{"step": 1}]}',
        b'{"log_history": 3}',
        b'{"log_history": [{"step": NaN, "loss": 1}]}',
        b'{"max_steps": 3}',
        b'{"log_history": [{"step": 1, ' + b",".join(b'"m%d": 1' % n for n in range(300_000)) + b"}]}",
        b"3",
        b"null",
        b"",
    ],
    ids=range(17),
)
def test_what_is_no_state_is_refused_in_one_sentence(content):
    with pytest.raises(SourceError, match=r"^dpo/s\.json"):
        read(file("dpo/s.json", content))


def test_a_state_that_cannot_be_read_does_not_take_the_others_down():
    found = read(file("a/s.json", state(train(1))), file("b/s.json", b"{"))
    assert [run.name for run in found.runs] == ["a"]
    assert "b/s.json cannot be read: it is no whole JSON file." in found.notes


def test_entries_that_are_no_rows_are_counted():
    run = one(state(train(10), 3, {"loss": 1.0}, {"step": 5}, {"step": "x", "loss": 1.0}))
    assert "what has no step or no number in its log is left out (4 of its entries)." in run.notes


def test_endless_names_of_metrics_are_refused():
    with pytest.raises(SourceError, match="names more than 2,000 metrics"):
        read(file("a/s.json", [{"step": 1, **{f"m{n}": 1.0 for n in range(3000)}}]))


def test_the_real_folder_of_three_betas_and_three_short_runs():
    paths = sorted(REAL.glob("recovery_beta_*/*/trainer_state.json"))
    if not paths:
        pytest.skip("the collection of real files is not beside this repository")
    found = read(*(file(path.relative_to(REAL).as_posix(), path.read_bytes(), path) for path in paths))
    names = [f"recovery_beta_{beta}{end}" for beta in ("0.05", "0.1", "0.5") for end in ("", "/checkpoint-7")]
    assert [run.name for run in found.runs] == names
    assert [run.step for run in found.runs] == [81, 7] * 3
    assert [run.config["beta"] for run in found.runs] == [0.05, 0.05, 0.1, 0.1, 0.5, 0.5]
    assert {run.n_eval for run in found.runs} == {6}
    assert list(curve(found, "eval/loss")) == [27, 54, 81]


def test_a_real_state_of_2023_with_bare_nan():
    path = REAL / "llama2_miniguanaco" / "trainer_state.json"
    if not path.is_file():
        pytest.skip("the collection of real files is not beside this repository")
    found = read(file("llama2_miniguanaco/trainer_state.json", path.read_bytes()))
    (run,) = found.runs
    assert (run.step, run.n_eval, run.config) == (1000, 267, {"num_train_epochs": 1})
    values = [value for series in found.histories[run.id].values() for value in series.values]
    assert sum(map(math.isnan, values)) == 15
    assert len(curve(found, "eval/loss")) == 10


def test_a_real_state_with_the_metrics_of_today():
    path = REAL / "cs5788" / "trainer_state.json"
    if not path.is_file():
        pytest.skip("the collection of real files is not beside this repository")
    run = one(path.read_bytes(), "cs5788/trainer_state.json")
    assert (run.n_eval, run.best_step, run.best_metric) == (2308, 2656, "eval/loss")
    assert "train/mean_token_accuracy" in run.metrics


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_ROWS = st.lists(
    st.dictionaries(
        st.sampled_from(["step", "epoch", "loss", "eval_loss", "eval_", "rewards/chosen", "train_runtime", "x\ud800"]),
        _JSON,
    )
    | _JSON,
    max_size=6,
)
_STATED = st.dictionaries(
    st.sampled_from(["global_step", "max_steps", "epoch", "best_metric", "best_global_step", "best_model_checkpoint"]),
    _JSON,
)


@given(_ROWS, _STATED, _JSON, st.booleans())
def test_no_json_raises_anything_but_source_error(rows, stated, other, bare):
    content = rows if bare else {**stated, "log_history": rows}
    around = tuple(
        file(f"a/{name}", other) for name in ("adapter_config.json", "all_results.json", "args.json", "config.json")
    )
    with contextlib.suppress(SourceError):
        found = read(file("a/s.json", content), file("a/t.json", other), beside=around)
        for run in found.runs:
            assert run.step is not None
            for key, series in found.histories[run.id].items():
                assert key.encode()
                assert all(after > before for before, after in zip(series.steps, series.steps[1:], strict=False))


@given(st.binary(), st.binary())
def test_no_bytes_raise_anything_but_source_error(content, other):
    trainer_state.is_trainer_state(content)
    with contextlib.suppress(SourceError):
        read(file("a/s.json", content))
    read(file("a/s.json", state(train(1))), beside=(file("a/README.md", other), file("a/args.json", other)))


@given(st.text(st.sampled_from("#-* :\n\tahyperparameters`0e1._"), max_size=200))
def test_no_model_card_raises(text):
    one(state(train(1)), beside=(file("dpo/README.md", text.encode()),))


def test_a_pickle_beside_the_state_is_never_opened():
    def opened(_: int) -> bytes:
        raise AssertionError("training_args.bin was opened")

    pickle = File(PurePosixPath("dpo/training_args.bin"), 5_000, None, opened)
    (run,) = read(file("dpo/trainer_state.json", state(train(10), evaluation(10))), beside=(pickle,)).runs
    assert run.config == {}


def test_four_rows_and_three_pairs_are_enough_to_be_read():
    """0.25 s x 12 pairs a second = 3 pairs."""
    (run,) = read(file("dpo/trainer_state.json", state(
        train(1), evaluation(1, eval_runtime=0.25, eval_samples_per_second=12.0), train(2),
        evaluation(2, 1e-4, 1.0, eval_runtime=0.25, eval_samples_per_second=12.0),
    ))).runs  # fmt: skip
    assert (run.n_eval, run.metrics["eval/rewards/accuracies"], run.step) == (3, 1.0, 2)


def test_a_single_large_state_is_refused_by_its_own_limit(monkeypatch):
    monkeypatch.setattr(trainer_log, "LARGEST", 100)
    monkeypatch.setattr(trainer_state, "MOST_BYTES", 200)
    big = file("a/trainer_state.json", state(*(train(step) for step in range(1, 50))))
    with pytest.raises(SourceError, match="the limit is"):
        read(big)
