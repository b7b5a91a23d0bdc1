"""Logs of one JSON object per line: LLaMA-Factory's, a Trainer's rows, ours; alone and beside a saved state."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import json_lines, reading
from dashboard.sources.imported import SourceError
from tests.test_trainer_state import curve, evaluation, file, read, state, train

PROGRESS = {"percentage": 50.0, "elapsed_time": "0:01:09", "remaining_time": "0:01:09", "throughput": 13061.0}


def line(step: int, total: int = 40, **metrics: float) -> dict[str, object]:
    """A line of LLaMA-Factory's trainer_log.jsonl."""
    return {"current_steps": step, "total_steps": total, **metrics, "epoch": step / 100, **PROGRESS}


def lines(*rows: object) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


LOG = lines(
    line(10, loss=0.6, accuracy=0.7, lr=1e-6), line(20, loss=math.nan, accuracy=0.8, lr=5e-7), line(20, eval_loss=0.55),
    line(40, eval_loss=0.5), line(40),
)  # fmt: skip


def test_llama_factorys_names_become_those_of_the_trainers_log():
    found = read(file("out/dpo/trainer_log.jsonl", LOG))
    (run,) = found.runs
    assert (run.name, run.step, run.max_steps, run.status, run.apart) == ("dpo", 40, 40, "unknown", None)
    assert set(found.histories[run.id]) == {
        "train/loss",
        "train/rewards/accuracies",
        "train/learning_rate",
        "eval/loss",
    }
    assert curve(found, "eval/loss") == {20: 0.55, 40: 0.5}
    assert curve(found, "train/rewards/accuracies") == {10: 0.7, 20: 0.8}
    assert math.isnan(curve(found, "train/loss")[20])
    assert run.best_step == 40
    assert run.notes == ()


def test_a_log_without_accuracies_proves_nothing_about_what_was_trained():
    (run,) = read(file("out/dpo/trainer_log.jsonl", lines(line(10, loss=0.6), line(20, loss=0.5)))).runs
    assert run.apart is None
    assert any("its log names no reward: whether this is preference training" in note for note in run.notes)


def test_a_torn_last_line_is_left_out_and_told():
    (run,) = read(file("out/dpo/trainer_log.jsonl", LOG + b'{"current_steps": 50, "tot')).runs
    assert run.step == 40
    assert "what has no step or no number in its log is left out (1 of its entries)." in run.notes


def test_the_rows_of_a_trainers_log_one_per_line_are_its_log():
    found = read(file("log.jsonl", lines(train(10), evaluation(10), train(20), evaluation(20, 0.45))))
    assert curve(found, "eval/loss") == {10: 0.5, 20: 0.45}
    assert curve(found, "train/rewards/chosen") == {10: 0.1, 20: 0.1}
    assert found.runs[0].max_steps is None


def test_our_own_metrics_without_their_run_keep_their_times():
    rows = [{"step": step, "epoch": 0.1, "time": 1.7e9 + step, "eval/loss": 0.5} for step in (1, 2)]
    found = reading.read_bytes("metrics.jsonl", lines(*rows), "k")
    assert list(found.histories[found.runs[0].id]["eval/loss"].times) == [1.7e9 + 1, 1.7e9 + 2]


def saved(*steps: int, **stated: object) -> dict[str, object]:
    """A state whose log has more than the lines of the same run."""
    rows = [row for step in steps for row in (train(step, step / 100, grad_norm=2.0), evaluation(step, step / 90))]
    return state(*rows, max_steps=40, **stated)


def told(*steps: int, total: int = 40) -> bytes:
    """LLaMA-Factory's lines of the same run."""
    return lines(*(
        row for step in steps for row in (line(step, total, loss=step / 100), line(step, total, eval_loss=step / 90))
    ))  # fmt: skip


def test_a_log_of_lines_beside_the_saved_state_is_the_same_run():
    found = read(file("dpo/trainer_state.json", saved(10, 20)), file("dpo/trainer_log.jsonl", told(10, 20)))
    (run,) = found.runs
    assert run.name == "dpo"
    assert curve(found, "train/grad_norm") == {10: 2.0, 20: 2.0}
    assert "trainer_log.jsonl is the log of the same run, to step 20." in run.notes


def test_a_log_of_lines_that_goes_on_after_the_last_checkpoint_is_read_to_its_end():
    """Saved at step 20, stopped at step 30: the loss is known to 30, the gradient's norm to 20."""
    state_file = file("dpo/checkpoint-20/trainer_state.json", saved(10, 20))
    found = read(state_file, file("dpo/trainer_log.jsonl", told(10, 20, 30)))
    (run,) = found.runs
    assert (run.step, run.epoch, run.max_steps) == (30, 0.3, 40)
    assert curve(found, "train/loss") == {10: 0.1, 20: 0.2, 30: 0.3}
    assert curve(found, "train/grad_norm") == {10: 2.0, 20: 2.0}
    assert "its log ends at step 30 of 40." in run.notes


def test_lines_written_again_after_a_restart_are_taken_from_the_last_start():
    again = told(10, 20) + lines(line(20, loss=9.0)) + lines(line(20, loss=0.2)) + told(30)
    (run,) = read(file("dpo/trainer_state.json", saved(10, 20)), file("dpo/trainer_log.jsonl", again)).runs
    assert run.step == 30


@pytest.mark.parametrize("other", [told(10, 15, 20), told(10, 20, total=50), told(30), lines(line(10, loss=0.11))])
def test_lines_that_say_something_else_are_another_run(other):
    assert len(read(file("d/trainer_state.json", saved(10, 20)), file("d/trainer_log.jsonl", other)).runs) == 2


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (LOG, True), (LOG[:120], False), (b"\xef\xbb\xbf\n" + LOG, True),
        (lines({"current_steps": 5, "total_steps": 9, "epoch": 1}), True),
        (lines({"step": 1, "loss": 0.5}), True), (lines({"step": 1, "eval_rewards/chosen": 0.5}), True),
        (lines({"step": 1, "train/loss": 0.5}), True), (b'{"step": 1, "loss": NaN}\n', True),
        (lines({"step": 1, "text": "loss"}), False), (lines({"loss": 0.5}), False), (lines([1]), False),
        (lines({"_step": 1, "train/loss": 0.5}), False), (b'{\n"step": 1, "loss": 0.5}', False), (b"", False),
        (lines({"prompt": "a", "chosen": "b", "rejected": "c"}), False), (b'{"step": 1, "loss": ' + b"[" * 9999, False),
    ],
)  # fmt: skip
def test_a_log_of_lines_is_told_by_its_first_line(head, is_one):
    assert json_lines.is_log(head) is is_one


_ROW = st.dictionaries(
    st.sampled_from(["step", "current_steps", "total_steps", "loss", "eval_loss", "accuracy", "epoch", "lr", "x"]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
)


@given(st.lists(_ROW | st.integers() | st.none(), max_size=6), st.binary(max_size=12))
def test_any_lines_are_read_or_refused(rows, junk):
    content = lines({"step": 1, "loss": 0.5}, *rows) + junk
    files = (file("a/trainer_log.jsonl", content), file("a/trainer_state.json", saved(10)))
    try:
        assert 1 <= len(read(*files).runs) <= 2
    except SourceError as problem:
        assert "\n" not in str(problem)
