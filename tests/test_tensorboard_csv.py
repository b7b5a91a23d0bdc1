"""TensorBoard's downloads: run and metric are in the path alone."""

import contextlib
import math
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import tensorboard_csv
from dashboard.sources.files import File
from dashboard.sources.imported import Corrections, SourceError

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "tensorboard_csv"
ROWS = "Wall time,Step,Value\n100.5,0,0.7\n200.5,10,0.6\n"


def file(path: str, text: str | bytes = ROWS) -> File:
    content = text if isinstance(text, bytes) else text.encode()
    return File(PurePosixPath(path), len(content), None, lambda count: content[:count])


def read(*files: File, **options):
    return tensorboard_csv.read(files, "abcd1234", **options)


def keys(found):
    return [sorted(found.histories[run.id]) for run in found.runs]


def test_folder_and_file_name_are_run_and_metric():
    found = read(file("DPO_curves/EvalRewardsMargins.csv"), file("DPO_curves/TrainLoss.csv"))
    (run,) = found.runs
    assert (run.id, run.name, run.source, run.status) == ("abcd1234-1", "DPO_curves", "DPO_curves", "unknown")
    assert keys(found) == [["eval/rewards/margins", "train/loss"]]
    series = found.histories[run.id]["train/loss"]
    assert (list(series.steps), list(series.values), list(series.times)) == ([0, 10], [0.7, 0.6], [100.5, 200.5])
    assert (run.step, run.created, run.updated) == (10, 100.5, 200.5)


def test_what_a_name_was_taken_to_mean_is_said_with_how_to_correct_it():
    (note,) = read(file("a/EvalRewardsMargins.csv")).notes
    assert "Proposed: EvalRewardsMargins is eval/rewards/margins." in note
    assert "--map EvalRewardsMargins=eval/rewards/margins" in note


def test_the_user_corrects_the_mapping():
    found = read(file("a/EvalFoo.csv"), corrections=Corrections(renamed={"EvalFoo": "eval/loss"}))
    assert keys(found) == [["eval/loss"]]
    found = read(
        file("a/x_EvalFoo.csv"), file("a/x_Odd.csv"), corrections=Corrections(renamed={"EvalFoo": "eval/loss"})
    )
    assert keys(found) == [["Odd", "eval/loss"]]


@pytest.mark.parametrize("pattern", ["run-one-tag-{}.csv", "run-one_tag-{}.csv", "run_one,tag_{}.csv"])
def test_tensorboards_own_file_names(pattern):
    found = read(*(file(pattern.format(tag)) for tag in ("train_loss", "eval_rewards_chosen", "eval_logps_rejected")))
    assert [run.name for run in found.runs] == ["one"]
    assert keys(found) == [["eval/logps/rejected", "eval/rewards/chosen", "train/loss"]]


def test_what_stands_before_the_metric_names_the_run_even_before_one_that_is_not_known():
    found = read(file("fawa_DPO_EvalLoss.csv"), file("fawa_DPO_Odd.csv"), file("other_EvalLoss.csv"))
    assert [run.name for run in found.runs] == ["fawa_DPO", "other"]
    assert keys(found) == [["Odd", "eval/loss"], ["eval/loss"]]


def test_folders_keep_runs_apart_whose_files_have_the_same_names():
    found = read(file("a/exp_EvalLoss.csv"), file("b/exp_EvalLoss.csv"))
    assert [run.name for run in found.runs] == ["a/exp", "b/exp"]


def test_a_common_beginning_that_is_part_of_the_metric_is_not_cut():
    assert keys(read(file("a/EvalLoss.csv"), file("a/EvalRewardsAcc.csv"))) == [
        ["eval/loss", "eval/rewards/accuracies"]
    ]


def test_after_a_restart_the_later_wall_time_wins_whatever_the_order():
    """Step 10 was logged at 300 s and, before the restart, at 200 s."""
    text = "Wall time,Step,Value\n100,0,0.7\n300,10,0.4\n200,10,0.6\n400,20,0.3\n"
    found = read(file("a/EvalLoss.csv", text))
    series = found.histories["abcd1234-1"]["eval/loss"]
    assert (list(series.steps), list(series.values)) == ([0, 10, 20], [0.7, 0.4, 0.3])
    assert "a/EvalLoss.csv: 1 steps are there again (a restart?): the latest in time is used." in found.notes


def test_a_diverged_value_is_kept_and_a_bad_row_is_named():
    found = read(file("a/EvalLoss.csv", "Wall time,Step,Value\n1,0,NaN\n2,x,0.5\n3,1.5,0.5\n4,2,\n"))
    assert math.isnan(found.histories["abcd1234-1"]["eval/loss"].values[0])
    assert len(found.histories["abcd1234-1"]["eval/loss"]) == 1
    assert "a/EvalLoss.csv, row 2: step or value is no number; the row is left out." in found.notes
    assert sum("is left out" in note for note in found.notes) == 3


def test_two_files_of_one_metric_are_not_mixed():
    found = read(file("a/EvalLoss.csv"), file("a/eval_loss.csv"))
    assert "a/eval_loss.csv is a second eval/loss of its run; the first is used." in found.notes


def test_a_file_that_cannot_be_read_does_not_take_the_others_down():
    found = read(file("a/EvalLoss.csv", "Wall time,Step,Value\n"), file("a/TrainLoss.csv"), file("a/x.csv", b"\0\1"))
    assert keys(found) == [["train/loss"]]
    assert any(note.startswith("a/EvalLoss.csv") for note in found.notes)
    assert any(note.startswith("a/x.csv") for note in found.notes)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "Wall time,Step,Value\n", b"\0\1\2"])
def test_no_scalars_at_all_are_refused_in_one_sentence(text):
    with pytest.raises(SourceError, match="EvalLoss"):
        read(file("a/EvalLoss.csv", text))


def test_real_downloads_are_one_run():
    paths = sorted(REAL.glob("*.csv"))
    if not paths:
        pytest.skip("the collection of real files is not beside this repository")
    found = read(*(file(path.name, path.read_bytes()) for path in paths))
    assert [run.name for run in found.runs] == ["fawa_DPO_curves"]
    assert keys(found) == [["eval/loss", "eval/rewards/accuracies", "train/rewards/chosen", "train/rewards/rejected"]]
    assert found.runs[0].metrics["eval/rewards/accuracies"] == 0.6772226095199585
    assert found.runs[0].best_step == 770


_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
_ROWS = st.lists(st.lists(st.sampled_from(["", "1", "2", "nan", "inf", "1e300", "x", "0,5"]), max_size=4), max_size=5)


@given(
    _NAMES, st.binary() | _ROWS.map(lambda rows: "\n".join(map(",".join, [["Wall time,Step,Value"], *rows])).encode())
)
def test_nothing_raises_anything_but_source_error(name, content):
    with contextlib.suppress(SourceError):
        found = read(file(name, content))
        for series in (series for history in found.histories.values() for series in history.values()):
            assert all(after > before for before, after in zip(series.steps, series.steps[1:], strict=False))
