"""Runs from TensorBoard's files: curves, hyper-parameters, names, and which files are one run."""

import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from dashboard.sources import tensorboard
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, Imported, SourceError
from tests.test_event_file import ROW, file_of, framed, scalar, tensor

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tfevents"
HF = "out/dpo-small/runs/Feb27_04-45-11_host"
ARGS = {"beta": 0.2, "learning_rate": 5e-7, "output_dir": "out/dpo-small", "max_steps": -1, "seed": None, "nested": {}}


def text(tag: str, content: str) -> bytes:
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    return framed(tensor(tag, 0, 10.0, TensorProto(dtype=DT_STRING, string_val=[content.encode()])))


def events(rows: list[ROW], args: dict | None = None, model: str | None = None) -> bytes:
    content = file_of([])
    if args is not None:
        content += text("args/text_summary", json.dumps(args, indent=2))
    if model is not None:
        content += text("model_config/text_summary", json.dumps({"_name_or_path": model, "n_embd": 768}))
    return content + file_of(rows)[len(file_of([])) :]


def training(first: int, last: int, wall: float = 100.0) -> list[ROW]:
    """Every 10 steps: loss, reward accuracy and epoch (100 steps to one)."""
    return [
        (tag, step, wall + step + 0.1, value)
        for step in range(first, last + 1, 10)
        for tag, value in (("train/loss", 0.5), ("train/rewards/accuracies", 0.75), ("train/epoch", step / 100))
    ]


def read(*files: tuple[str, bytes], told: Corrections | None = None) -> Imported:
    listed = [File(PurePosixPath(path), len(content), None, lambda n, c=content: c[:n]) for path, content in files]
    return tensorboard.read(listed, "tb", told or Corrections())


def test_one_file_gives_curves_and_hyper_parameters():
    found = read((f"{HF}/events.out.tfevents.1.0", events(training(10, 30), ARGS, "gpt2")))
    (run,) = found.runs
    assert (run.id, run.name, run.status, run.step) == ("tb-1", "dpo-small", "unknown", 30)
    assert run.config == {
        "beta": 0.2,
        "learning_rate": 5e-7,
        "output_dir": "out/dpo-small",
        "max_steps": -1,
        "model_name_or_path": "gpt2",
    }
    assert (run.max_steps, run.created, run.updated, run.notes, found.notes) == (None, 5.0, 130.1, (), ())
    assert run.epoch == pytest.approx(0.3)
    loss = found.histories["tb-1"]["train/loss"]
    assert (list(loss.steps), list(loss.values), list(loss.times)) == ([10, 20, 30], [0.5] * 3, [110.1, 120.1, 130.1])
    assert list(loss.epochs) == pytest.approx([0.1, 0.2, 0.3])
    assert set(found.histories["tb-1"]) == {"train/loss", "train/rewards/accuracies"}


def test_a_run_has_finished_where_its_runtime_is_logged():
    rows = [*training(10, 20), ("train/train_runtime", 20, 200.0, 52.5)]
    (run,) = read(("a/e", events(rows))).runs
    assert (run.status, run.seconds) == ("finished", 52.5)


def test_evaluation_pairs_are_recovered_from_32_bit_speeds():
    """1.2345 s x 512 pairs / 1.2345 s = 414.743 pairs/s (printed): 1.2345 * 414.743 = 512.0002."""
    rows = [("eval/loss", 10, 1.0, 0.6), ("eval/runtime", 10, 1.0, 1.2345)]
    (run,) = read(("a/e", events([*rows, ("eval/samples_per_second", 10, 1.0, 414.743)]))).runs
    assert (run.n_eval, run.best_step) == (512, 10)


def test_an_epoch_is_known_only_at_the_steps_where_it_was_logged():
    rows = [("train/epoch", 10, 1.0, 0.5), ("eval/loss", 10, 1.0, 0.6), ("eval/loss", 15, 1.0, 0.5)]
    epochs = list(read(("a/e", events(rows))).histories["tb-1"]["eval/loss"].epochs)
    assert epochs[0] == 0.5
    assert np.isnan(epochs[1])


@pytest.mark.parametrize(
    ("written", "config"),
    [
        (json.dumps({"beta": 0.2}), {"beta": 0.2}),
        (
            '<pre>\n{"beta": 0.2,\n "loss": NaN}\n</pre>',
            {"beta": 0.2, "loss": pytest.approx(float("nan"), nan_ok=True)},
        ),
        ('    {\n    "beta": 0.2\n    }', {"beta": 0.2}),
        ('{"beta": 0.2, "cut', {}),
        ("[" * 100_000 + "{}", {}),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, {}),
        ("beta = 0.2", {}),
    ],
)
def test_arguments_are_read_alone_or_in_a_markdown_block_and_broken_ones_are_left_out(written, config):
    content = file_of([]) + text("args/text_summary", written) + framed(scalar("train/loss", 1, 1.0, 0.5))
    assert read(("a/e", content)).runs[0].config == config


def test_files_of_one_folder_are_separate_starts():
    first, again = events(training(10, 30), ARGS), events(training(10, 50, 900.0), ARGS)
    found = read((f"{HF}/events.1", first), (f"{HF}/events.2", again))
    assert [(run.name, run.step) for run in found.runs] == [
        ("dpo-small (Feb27_04-45-11_host) (start 1)", 30),
        ("dpo-small (Feb27_04-45-11_host) (start 2)", 50),
    ]
    assert found.notes == (f"{HF} holds 2 separate starts: each is a run of its own.",)


def test_a_resumed_training_is_one_run_and_its_later_values_count():
    """The first start got to step 50, its checkpoint was of step 30: steps 40 and 50 were trained twice."""
    rows = [("train/loss", step, 900.0 + step, 0.25) for step in (40, 50, 60)]
    found = read((f"{HF}/events.1", events(training(10, 50), ARGS)), (f"{HF}/events.2", events(rows, ARGS)))
    (run,) = found.runs
    loss = found.histories[run.id]["train/loss"]
    assert (list(loss.steps), list(loss.values)) == ([10, 20, 30, 40, 50, 60], [0.5] * 3 + [0.25] * 3)
    assert found.notes == (f"{HF}: 2 event files continue each other and are one run.",)


def test_other_arguments_make_another_run():
    other = events(training(60, 90, 900.0), ARGS | {"beta": 0.5})
    assert len(read((f"{HF}/events.1", events(training(10, 50), ARGS)), (f"{HF}/events.2", other)).runs) == 2


def test_an_evaluation_after_the_training_belongs_to_it():
    after = events([("eval/loss", 50, 999.0, 0.4)])
    found = read((f"{HF}/events.2.1", after), (f"{HF}/events.1.0", events(training(10, 50), ARGS)))
    (run,) = found.runs
    assert (run.metrics["eval/loss"], run.config["beta"]) == (pytest.approx(0.4), 0.2)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("my-run/events.1", "my-run"),
        ("my-run/runs/Feb27_04-45-11_host/events.1", "my-run"),
        ("sweep/lr-1/runs/Feb27_04-45-11_host/events.1", "lr-1"),
        ("lightning_logs/version_3/events.1", "dpo-small"),
        ("runs/Feb27_04-45-11_host/events.1", "dpo-small"),
        ("events.1", "dpo-small"),
    ],
)
def test_a_run_is_named_by_the_folder_that_means_something(path, name):
    assert read((path, events(training(10, 20), ARGS))).runs[0].name == name


def test_without_anything_that_means_something_the_time_stamp_is_the_name():
    assert read(("runs/Feb27_04-45-11_host/e", events(training(10, 20)))).runs[0].name == "Feb27_04-45-11_host"


def test_runs_of_one_name_are_told_apart_by_their_folder():
    paths = [f"a/runs/Feb27_04-4{minute}-11_host/e" for minute in (1, 2)]
    names = [run.name for run in read(*((path, events(training(10, 20))) for path in paths)).runs]
    assert names == ["a (Feb27_04-41-11_host)", "a (Feb27_04-42-11_host)"]


def test_a_torn_file_is_said_to_be_and_does_not_take_the_others_down():
    """The first record has 40 bytes: of 120, 80 are left over."""
    whole = events(training(10, 30), ARGS)
    found = read(("a/e", whole), ("b/e", whole[:120]), ("c/e", whole[:-5]))
    assert [run.source for run in found.runs] == ["a/e", "c/e"]
    assert "b/e holds no scalars (it was cut: its last 80 bytes are no whole record)." in found.notes
    assert any(note.startswith("c/e was cut: what is whole is used") for note in found.notes)


def test_damaged_records_are_counted_for_the_user():
    content = bytearray(events(training(10, 30), ARGS))
    content[-8] ^= 1  # in the value of the last epoch
    found = read(("a/e", bytes(content)))
    assert found.notes == ("a/e has 1 records that are damaged or no events; left out.",)
    assert np.isnan(found.histories["tb-1"]["train/loss"].epochs[-1])


def test_a_file_over_the_limit_does_not_take_the_others_down():
    content = events(training(10, 30), ARGS)
    huge = File(PurePosixPath("b/e"), 2**40, None, lambda count: content[:count])
    good = File(PurePosixPath("a/e"), len(content), None, lambda count: content[:count])
    found = tensorboard.read([huge, good], "tb")
    assert [run.source for run in found.runs] == ["a/e"]
    assert "the limit is" in found.notes[0]


def test_nothing_but_torn_files_is_refused_in_one_sentence():
    with pytest.raises(SourceError, match=r"^b/e holds no scalars \(it was cut: .*\)\.$"):
        read(("b/e", events(training(10, 30), ARGS)[:120]))


def test_spellings_are_mapped_and_corrections_win():
    rows = [("eval_rewards/margins", 10, 1.0, 0.5), ("Curve", 10, 1.0, 0.25), ("beta", 10, 1.0, 0.5)]
    told = Corrections(config=frozenset({"beta"}), renamed={"Curve": "eval/loss"})
    (run,) = read(("a/e", events(rows)), told=told).runs
    assert (run.metrics, run.config) == ({"eval/rewards/margins": 0.5, "eval/loss": 0.25}, {"beta": 0.5})


def test_two_spellings_of_one_metric_are_said():
    rows = [("eval_loss", 10, 1.0, 0.5), ("eval/loss", 10, 1.0, 0.25)]
    found = read(("a/e", events(rows)))
    assert found.runs[0].metrics == {"eval/loss": 0.25}
    assert found.notes == ("a/e: eval_loss means a metric that is there already; left out.",)


@pytest.mark.skipif(not DATA.is_dir(), reason="the sample files are not here")
def test_real_files_are_read():
    """Five files of two projects: three hold scalars, two were cut at 4,184 bytes, inside the arguments."""
    files = [
        File(PurePosixPath(path.relative_to(DATA)), path.stat().st_size, path, lambda n, p=path: p.read_bytes()[:n])
        for path in sorted(DATA.rglob("events*"))
    ]
    assert all(tensorboard.is_event_file(file.head()) for file in files)
    found = tensorboard.read(files, "tb")
    runs = {run.name: run for run in found.runs}
    assert set(runs) == {
        "gpt2_DPO_train (Feb27_04-41-49_01c03f72e90d)",
        "gpt2_DPO_train (Feb27_04-51-13_01c03f72e90d)",
        "t5_small_DPO_ds302",
    }
    assert sum("holds no scalars" in note for note in found.notes) == len(found.notes) == 2
    t5 = runs["t5_small_DPO_ds302"]
    told = {name: t5.config[name] for name in ("beta", "loss_type", "learning_rate", "seed", "model_name_or_path")}
    assert told == {
        "beta": 0.1,
        "loss_type": "sigmoid",
        "learning_rate": 1e-6,
        "seed": 42,
        "model_name_or_path": "t5-small",
    }
    assert (t5.status, t5.step, t5.epoch, t5.n_eval) == ("finished", 408, 3.0, None)
    assert t5.metrics["train/rewards/accuracies"] == pytest.approx(0.7625)
    curves = found.histories[t5.id]
    assert list(curves["train/loss"].steps) == list(range(10, 401, 10))
    assert [curves["train/loss"].values[0], curves["train/learning_rate"].values[0]] == pytest.approx(
        [8.0461, 9.7549e-7], rel=1e-5
    )
    margins = np.array(curves["train/rewards/chosen"].values) - np.array(curves["train/rewards/rejected"].values)
    assert margins == pytest.approx(np.array(curves["train/rewards/margins"].values), abs=2e-5)
    assert runs["gpt2_DPO_train (Feb27_04-41-49_01c03f72e90d)"].status == "unknown"
    assert runs["gpt2_DPO_train (Feb27_04-51-13_01c03f72e90d)"].step == 39
