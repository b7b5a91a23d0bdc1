"""TRL's log events become the record under W&B's keys, and the best checkpoint is kept."""

import math
import os
import signal
from types import SimpleNamespace

import pyarrow as pa
import pytest
from transformers import TrainerControl, TrainerState

from training.callback import RecordCallback, StopCallback, Stopped, standard_key
from training.record import reader
from training.record.writer import SCORE_COLUMNS, RunWriter
from training.watch import Diverged


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("loss", "train/loss"),
        ("rewards/chosen", "train/rewards/chosen"),
        ("eval_loss", "eval/loss"),
        ("eval_rewards/accuracies", "eval/rewards/accuracies"),
        ("eval_trl/logps/chosen", "eval/trl/logps/chosen"),
    ],
)
def test_metrics_get_the_names_that_wandb_shows(theirs, ours):
    assert standard_key(theirs) == ours


WHOLE = SimpleNamespace(fsdp=[], deepspeed=None, should_save=True)


@pytest.fixture
def recorded(tmp_path):
    """A callback over a run, and a function that gives it an evaluation."""
    writer = RunWriter(tmp_path, "a")
    writer.publish({"config": {}})

    def save(folder):
        folder.mkdir()
        (folder / "saved").touch()

    def make(metric: str = "eval/rewards/accuracies", higher: bool = True):
        callback = RecordCallback(writer, SCORE_COLUMNS.empty_table, save, metric, higher)

        def evaluate(step: int, should_save: bool = False, **metrics: float) -> None:
            state = TrainerState(global_step=step, is_world_process_zero=True)
            found = {f"eval_{key.replace('accuracy', 'rewards/accuracies')}": value for key, value in metrics.items()}
            callback.on_evaluate(WHOLE, state, TrainerControl(should_save=should_save), found)

        return callback, evaluate

    return writer, make


def test_the_best_is_the_most_accurate_and_ties_go_to_the_lower_loss(recorded):
    writer, make = recorded
    callback, evaluate = make()
    evaluate(10, accuracy=0.8, loss=0.6)
    evaluate(20, accuracy=0.8, loss=0.5)
    evaluate(30, accuracy=0.8, loss=0.5)
    evaluate(40, accuracy=0.7, loss=0.1)
    assert callback.best_step == 20
    assert reader.read_run(writer.directory).best_step == 20
    assert (writer.directory / "checkpoints" / "best" / "saved").exists()


def test_nan_and_step_0_never_win(recorded):
    _, make = recorded
    callback, evaluate = make("eval/loss", higher=False)
    evaluate(0, accuracy=0.5, loss=0.1)
    assert callback.best_step is None
    evaluate(20, accuracy=math.nan, loss=0.7)
    with pytest.raises(Diverged, match="the evaluation loss is NaN at step 30; lower --learning_rate"):
        evaluate(30, accuracy=0.9, loss=math.nan)
    with pytest.raises(Diverged, match="infinite at step 0; the base model itself is not finite"):
        evaluate(0, accuracy=0.5, loss=math.inf)
    assert callback.best_step == 20


def test_a_run_that_goes_on_knows_its_best(recorded):
    _, make = recorded
    callback, evaluate = make()
    callback.restore(20, {"eval/rewards/accuracies": 0.8, "eval/loss": 0.5})
    evaluate(30, accuracy=0.8, loss=0.6)
    assert callback.best_step == 20
    evaluate(40, accuracy=0.8, loss=0.4)
    assert callback.best_step == 40


def test_a_best_evaluation_whose_checkpoint_is_saved_too_is_linked_and_not_saved_twice(recorded):
    """Of the checkpoint the model goes into checkpoints/best, and nothing that only training needs."""
    writer, make = recorded
    callback, evaluate = make()
    evaluate(10, accuracy=0.8, loss=0.6)
    evaluate(20, should_save=True, accuracy=0.9, loss=0.5)
    best, checkpoint = writer.checkpoints / "best", writer.checkpoints / "checkpoint-20"
    assert (best / "saved").exists()  # still the one of step 10
    checkpoint.mkdir()
    for name in (
        "model.safetensors",
        "config.json",
        "optimizer.pt",
        "scheduler.pt",
        "rng_state.pth",
        "trainer_state.json",
    ):
        (checkpoint / name).write_text(name)
    callback.take(checkpoint)
    assert sorted(path.name for path in best.iterdir()) == ["config.json", "model.safetensors"]
    assert (best / "model.safetensors").samefile(checkpoint / "model.safetensors")
    assert reader.read_run(writer.directory).best_step == 20


def test_a_checkpoint_whose_evaluation_was_not_the_best_changes_nothing(recorded):
    writer, make = recorded
    callback, evaluate = make()
    evaluate(10, accuracy=0.8, loss=0.6)
    evaluate(20, should_save=True, accuracy=0.7, loss=0.6)
    (writer.checkpoints / "checkpoint-20").mkdir()
    callback.take(writer.checkpoints / "checkpoint-20")
    assert [path.name for path in (writer.checkpoints / "best").iterdir()] == ["saved"]


def test_scores_of_each_evaluation_are_written(recorded):
    writer, make = recorded
    _, evaluate = make()
    evaluate(0, accuracy=0.5, loss=0.7)
    evaluate(10, accuracy=0.6, loss=0.6)
    assert reader.score_steps(writer.directory) == [0, 10]
    assert isinstance(reader.read_scores(writer.directory, 10), pa.Table)


def step_end(stop: StopCallback, step: int, strategy: str = "steps") -> TrainerControl:
    control = TrainerControl()
    stop.on_step_end(SimpleNamespace(eval_strategy=strategy), TrainerState(global_step=step, max_steps=10), control)
    return control


def test_the_first_ctrl_c_ends_after_the_step_and_the_second_at_once():
    with StopCallback() as stop:
        assert not step_end(stop, 3).should_training_stop
        os.kill(os.getpid(), signal.SIGINT)
        control = step_end(stop, 4)
        assert control.should_training_stop
        assert control.should_save
        with pytest.raises(Stopped):
            stop.on_prediction_step()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_last_step_is_always_evaluated():
    stop = StopCallback()
    assert not step_end(stop, 9).should_evaluate
    assert step_end(stop, 10).should_evaluate
    assert not step_end(stop, 10, "epoch").should_evaluate  # the end of the epoch does
