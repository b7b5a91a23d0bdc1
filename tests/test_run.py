"""`python -m training.run`, as its user meets it."""

import json
import math
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import commands
import pytest

from training.record import reader, schema
from training.record.history import read_history
from training.run import main

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def arguments(tmp_path, tiny_model, pairs_file) -> dict[str, object]:
    return {
        "runs": tmp_path / "my runs",
        "name": "a",
        "model_name_or_path": tiny_model,
        "dataset_name": pairs_file,
        "max_steps": 4,
        "learning_rate": 1e-3,
        "logging_steps": 2,
        "per_device_train_batch_size": 4,
        "sample_max_new_tokens": 4,
    }


def flags(arguments: dict[str, object]) -> list[str]:
    return [f"--{key}={value}" for key, value in arguments.items()]


def command(arguments: dict[str, object]) -> list[str]:
    return [sys.executable, "-m", "training.run", *flags(arguments)]


def environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "TQDM_DISABLE"}  # left by -q in this process
    return {**kept, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def test_a_run_from_start_to_end(tmp_path, arguments):
    """From another folder, with spaces in every path: plain lines on stderr, three lines at the end, a whole record."""
    done = subprocess.run(
        command(arguments), cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert first.startswith("run        my runs/a (finished in ")
    assert second.startswith("best       step ")
    assert "(n = 4), loss 0." in second
    assert third == "dashboard  python dashboard/app.py --runs 'my runs'"
    assert "step 0/4  eval loss 0.693  accuracy 0.500  margin 0.000" in done.stderr
    assert "%|" not in done.stderr
    assert done.stderr.startswith(
        "40 of 40 rows are used: 36 pairs (18 prompts) to train on, 4 pairs (2 prompts) to evaluate on\n"
    )
    run = reader.read_run(tmp_path / "my runs" / "a")
    assert (run.status, run.step, run.max_steps, run.n_eval) == ("finished", 4, 4, 4)
    assert run.config["beta"] == 0.1
    assert run.config["loss_type"] == ["sigmoid"]
    assert run.environment["packages"]["trl"]
    assert run.data["n_train"] == 36
    folder = tmp_path / "my runs" / "a"
    assert (folder / "checkpoints" / "best" / "model.safetensors").exists()
    assert (folder / "checkpoints" / "checkpoint-4" / "model.safetensors").exists()
    assert not (folder / schema.LATEST).exists()
    assert reader.score_steps(folder)[0] == 0
    assert {"step", "prompt", "base", "dpo", "sampling"} <= reader.read_samples(folder)[0].keys()


def test_the_audit_is_kept_with_the_run_and_its_examples_once_for_all_runs(tmp_path, arguments, pairs):
    """One row of 41 has no answer: told, counted in config.json, shown in the shared audit.json."""
    file = tmp_path / "one empty.jsonl"
    rows = [*pairs, {"prompt": "Why?", "chosen": " ", "rejected": "Because."}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["-q", *flags(arguments | {"dataset_name": file})]) == 0
    runs = Path(str(arguments["runs"]))
    data = reader.read_run(runs / "a").data
    assert data["dropped"] == {"empty answer": 1}
    assert data["audit"]["rows"] == {"read": 41, "multi_turn": 0, "kept": 40, "dropped": {"empty answer": 1}}
    assert "examples" not in data["audit"]
    shared = json.loads((runs / ".shared" / data["audit"]["hash"] / "audit.json").read_text())
    assert shared["examples"]["dropped"]["empty answer"][0]["row"] == 40
    assert {key: shared[key] for key in ("rows", "train")} == {key: data["audit"][key] for key in ("rows", "train")}


def test_the_recipes_are_listed(capsys):
    assert main(["--list"]) == 0
    assert "gpt2-orca" in capsys.readouterr().out


def test_quiet_means_quiet(arguments, capfd):
    assert main(["-q", *flags(arguments)]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(tmp_path, arguments):
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    words, terminal = flags(arguments), Path(os.ttyname(slave))
    process = commands.begin("training.run", words, tmp_path, terminal, environment())
    shown = b""
    while select.select([master], [], [], 0.1)[0] or process.is_alive():
        if select.select([master], [], [], 0)[0]:
            shown += os.read(master, 4096)
    os.close(slave)
    os.close(master)
    assert process.exitcode == 0, shown
    assert b"4/4 [" in shown
    assert b"accuracy" in shown
    assert b"margin" in shown


def test_ctrl_c_saves_and_says_stopped(tmp_path, arguments):
    arguments |= {"max_steps": 100000, "eval_steps": 5}
    process = subprocess.Popen(
        command(arguments), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    folder = Path(str(arguments["runs"])) / "a"
    wait_for(lambda: (folder / "scores" / "step-5.parquet").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "(stopped in " in out
    assert "resume     python -m training.run --resume 'my runs/a'" in out
    assert "Traceback" not in err
    run = reader.read_run(folder)
    assert run.status == "stopped"
    saved = [int(path.name.removeprefix("checkpoint-")) for path in (folder / "checkpoints").glob("checkpoint-*")]
    assert len(saved) == 1
    assert saved[0] >= 5


def test_kill_9_loses_nothing_that_was_written(tmp_path, arguments):
    """The run goes on as running, every line is whole, every score file readable."""
    arguments |= {"max_steps": 100000, "eval_steps": 3, "logging_steps": 1}
    process = commands.begin("training.run", flags(arguments), tmp_path, tmp_path / "said.log")
    folder = Path(str(arguments["runs"])) / "a"
    wait_for(lambda: (folder / "scores" / "step-9.parquet").exists())
    process.kill()
    process.join()
    run = reader.read_run(folder)
    assert (run.status, run.max_steps) == ("running", 100000)
    assert run.updated is not None
    assert time.time() - run.updated < 60
    lines = (folder / schema.METRICS).read_bytes().split(b"\n")
    assert all(json.loads(line) for line in lines[:-1])
    assert list(read_history(folder)["train/loss"].steps)[:9] == list(range(1, 10))
    for step in reader.score_steps(folder):
        assert reader.read_scores(folder, step).num_rows == 4


def test_an_error_while_training_is_recorded_and_told_in_one_line(arguments, monkeypatch, capsys):
    from training.scoring import ScoringTrainer

    def broken(self, *args, **options):
        raise RuntimeError("the weights\nfell off")

    monkeypatch.setattr(ScoringTrainer, "training_step", broken)
    assert main(flags(arguments)) == 1
    shown = capsys.readouterr().err
    assert "Traceback" not in shown
    assert shown.splitlines()[-1].startswith("training.run: the weights fell off (the run and its error.log: ")
    folder = Path(str(arguments["runs"])) / "a"
    run = reader.read_run(folder)
    assert (run.status, run.error) == ("failed", "the weights fell off")
    assert "RuntimeError" in (folder / "error.log").read_text()


def test_a_diverged_run_stops_with_the_reason_and_is_never_best(arguments, capsys):
    """A learning rate that sends the weights to infinity in step 1: the loss of step 2 is NaN, and nothing is saved."""
    arguments |= {"learning_rate": 1e30, "max_steps": 6, "eval_steps": 2, "save_steps": 1, "max_grad_norm": 0}
    assert main(["-q", *flags(arguments)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "lower --learning_rate, or raise --warmup_steps; no checkpoint was saved before (the run: " in line
    folder = Path(str(arguments["runs"])) / "a"
    run = reader.read_run(folder)
    assert (run.status, run.best_step) == ("failed", None)
    assert not list((folder / "checkpoints").glob("checkpoint-*"))


def test_a_run_that_diverges_later_names_its_last_good_checkpoint(arguments, monkeypatch, capsys):
    import torch

    from training.scoring import ScoringTrainer

    step = ScoringTrainer.training_step

    def spoilt(self, model, *args, **options):
        if self.state.global_step == 3:
            with torch.no_grad():
                next(model.parameters()).fill_(torch.nan)
        return step(self, model, *args, **options)

    monkeypatch.setattr(ScoringTrainer, "training_step", spoilt)
    arguments |= {"max_steps": 6, "save_steps": 2, "eval_steps": 2}
    assert main(["-q", *flags(arguments)]) == 1
    assert "the loss is NaN at step 4" in (error := capsys.readouterr().err)
    assert "the last good checkpoint is checkpoint-2" in error
    run = reader.read_run(Path(str(arguments["runs"])) / "a")
    assert (run.status, run.best_step) == ("failed", 2)
    assert run.error is not None
    assert "checkpoint-2" in run.error


def test_lora_starts_at_the_base_model_and_learns(arguments):
    arguments |= {"use_peft": True, "learning_rate": 1e-2, "max_steps": 8}
    assert main(["-q", *flags(arguments)]) == 0
    folder = Path(str(arguments["runs"])) / "a"
    accuracy = read_history(folder)["eval/rewards/accuracies"].values
    assert accuracy[0] == 0.5
    assert accuracy[-1] > 0.5
    for checkpoint in ("best", "checkpoint-8"):
        saved = {path.name for path in (folder / "checkpoints" / checkpoint).iterdir()}
        assert "adapter_model.safetensors" in saved
        assert "model.safetensors" not in saved  # the base model is not copied


@pytest.mark.parametrize("change", [{}, {"use_peft": True}, {"gradient_checkpointing": False}])
def test_in_bfloat16_policy_and_reference_are_alike_too(arguments, change):
    """Before training the loss is ln 2 and every pair a tie: policy and reference round in the same way."""
    arguments |= {"dtype": "bfloat16", "max_steps": 1, **change}
    assert main(["-q", *flags(arguments)]) == 0
    folder = Path(str(arguments["runs"])) / "a"
    assert reader.read_run(folder).environment["dtype"] == "bfloat16"
    assert read_history(folder)["eval/loss"].values[0] == pytest.approx(math.log(2), abs=1e-6)
    assert read_history(folder)["eval/rewards/accuracies"].values[0] == 0.5
    assert reader.read_notices(folder) == []


def test_a_model_that_does_not_generate_text_is_refused(arguments, tmp_path, capsys):
    from transformers import AutoTokenizer, ViTConfig

    ViTConfig().save_pretrained(tmp_path / "vit")
    AutoTokenizer.from_pretrained(arguments["model_name_or_path"]).save_pretrained(tmp_path / "vit")
    assert main(flags(arguments | {"model_name_or_path": tmp_path / "vit"})) == 2
    assert "(vit) does not generate text: it cannot be trained with DPO" in capsys.readouterr().err


def test_the_best_checkpoint_follows_the_chosen_metric(arguments):
    arguments |= {"metric_for_best_model": "rewards/margins", "greater_is_better": True, "eval_steps": 2}
    assert main(["-q", *flags(arguments)]) == 0
    run = reader.read_run(Path(str(arguments["runs"])) / "a")
    margins = read_history(Path(str(arguments["runs"])) / "a")["eval/rewards/margins"]
    later = dict(list(zip(margins.steps, margins.values, strict=True))[1:])
    assert run.best_metric == "eval/rewards/margins"
    assert run.best_step == max(later, key=later.__getitem__)


def test_a_metric_that_is_not_evaluated_is_told_with_those_that_are(arguments, capsys):
    assert main(["-q", *flags(arguments | {"metric_for_best_model": "bleu"})]) == 1
    assert (
        "--metric_for_best_model eval/bleu is not evaluated; these are: entropy, logits/chosen"
        in capsys.readouterr().err
    )


def test_best_is_by_accuracy_also_with_load_best_model_at_end(arguments):
    arguments |= {"load_best_model_at_end": True, "eval_steps": 2, "save_steps": 2}
    assert main(["-q", *flags(arguments)]) == 0
    assert reader.read_run(Path(str(arguments["runs"])) / "a").best_metric == "eval/rewards/accuracies"


def test_precomputed_reference_scores_start_at_one_half_too(arguments):
    """Their batches differ from the evaluation's: rounding must not turn ties into wins."""
    arguments |= {"precompute_ref_log_probs": True, "per_device_eval_batch_size": 3}
    assert main(["-q", *flags(arguments)]) == 0
    folder = Path(str(arguments["runs"])) / "a"
    assert read_history(folder)["eval/rewards/accuracies"].values[0] == 0.5
    assert read_history(folder)["eval/rewards/margins"].values[0] == 0.0


def test_a_run_from_a_checkpoint_still_shows_the_base_models_answers(arguments):
    arguments |= {"learning_rate": 0.05, "max_steps": 3, "sample_max_new_tokens": 12}
    assert main(["-q", *flags(arguments)]) == 0
    folder = Path(str(arguments["runs"]))
    arguments |= {"name": "b", "max_steps": 4, "resume_from_checkpoint": folder / "a" / "checkpoints" / "checkpoint-3"}
    assert main(["-q", *flags(arguments)]) == 0
    first, later = reader.read_samples(folder / "a"), reader.read_samples(folder / "b")
    assert later[0]["step"] == 3
    assert [row["base"] for row in later[:4]] == [row["base"] for row in first[:4]]
    assert [row["dpo"] for row in later[:4]] != [row["base"] for row in later[:4]]


def test_a_name_is_made_where_none_is_given(arguments):
    del arguments["name"]
    assert main(["-q", *flags(arguments)]) == 0
    (run,) = [path for path in Path(str(arguments["runs"])).iterdir() if not path.name.startswith(".")]
    assert run.name.startswith("yes no-")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"beta": 0}, "--beta must be above 0, got 0.0; 0.1 is a good start"),
        ({"model_name_or_path": "nobody/nothing"}, "model 'nobody/nothing' cannot be loaded"),
        ({"dataset_name": "nobody/nothing"}, "data set 'nobody/nothing' cannot be read"),
        ({"dataset_name": "missing.jsonl"}, "missing.jsonl does not exist"),
        ({"name": "a/b"}, "cannot be a folder's name"),
        (
            {"max_length": 2, "max_prompt_length": 2},
            "no training pair is left: the prompt alone fills --max_length 2",
        ),
        ({"loss_type": "nonsense"}, "nonsense"),
        ({"beta": "nan"}, "--beta must be above 0, got nan"),
        ({"learning_rate": "inf"}, "--learning_rate must be above 0, got inf"),
        ({"per_device_eval_batch_size": 0}, "--per_device_eval_batch_size must be at least 1, got 0"),
        ({"gradient_accumulation_steps": 0}, "--gradient_accumulation_steps must be at least 1, got 0"),
        ({"f_divergence_type": "foo"}, "--f_divergence_type foo is unknown; known: reverse_kl"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(arguments, change, words, capsys):
    assert main(flags(arguments | change)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training.run: ")
    assert words in line
    runs = Path(str(arguments["runs"]))
    assert not runs.exists() or list(runs.iterdir()) == []


def test_a_taken_name_is_refused(arguments, capsys):
    assert main(["-q", *flags(arguments)]) == 0
    assert main(flags(arguments)) == 2
    assert "already exists; pick another --name or delete it" in capsys.readouterr().err


def test_a_full_disk_is_told_before_training(arguments, monkeypatch, capsys):
    from training import checks

    monkeypatch.setattr(checks.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    assert main(flags(arguments)) == 2
    assert "no disk space" in capsys.readouterr().err
    left = [path.name for path in Path(str(arguments["runs"])).iterdir()]
    assert left == [".shared"]  # the reference's scores: the next try finds them


def test_a_disk_that_fills_up_while_training_is_told_in_one_line(arguments, monkeypatch, capsys):
    from training.scoring import ScoringTrainer

    def full(self, *args, **options):
        raise OSError(28, "No space left on device", "checkpoint-4")

    monkeypatch.setattr(ScoringTrainer, "_save_checkpoint", full)
    assert main(["-q", *flags(arguments)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left on device: checkpoint-4" in line
    assert reader.read_run(Path(str(arguments["runs"])) / "a").status == "failed"


def test_ctrl_c_while_libraries_load_shows_no_traceback(tmp_path, arguments):
    """Once torch's library is in its memory, the process has seconds of imports before it."""
    process = subprocess.Popen(command(arguments), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: "libtorch" in Path(f"/proc/{process.pid}/maps").read_text())
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "training.run: stopped before training began; nothing was written\n"
