"""The oddities of W&B's chart exports, each in a small file of ours."""

import contextlib
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources import wandb_history
from dashboard.sources.imported import Corrections, SourceError

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "wandb_history"


def panel(*rows: str, x: str = "Step", columns: tuple[str, ...] = ("a - eval/loss",), **options):
    """A chart export: each column of values with its two bounds, which are equal to it."""
    header = ",".join([f'"{x}"', *(f'"{column}{end}"' for column in columns for end in ("", "__MIN", "__MAX"))])
    lines = [",".join(cell for n, cell in enumerate(row.split(",")) for _ in range(3 if n else 1)) for row in rows]
    return read("\n".join([header, *lines]) + "\n", **options)


def read(text: str | bytes, **options):
    content = text if isinstance(text, bytes) else text.encode()
    return wandb_history.read(content, "panel.csv", "abcd1234", **options)


def points(found, run=0, metric="eval/loss"):
    series = found.histories[found.runs[run].id][metric]
    return dict(zip(series.steps, series.values, strict=True))


def test_a_single_run_has_its_points_and_is_no_group():
    found = panel("0,0.7", "10,0.6", "20,0.5")
    (run,) = found.runs
    assert (run.id, run.name, run.source, run.status) == ("abcd1234-1", "a", "panel.csv", "unknown")
    assert points(found) == {0: 0.7, 10: 0.6, 20: 0.5}
    assert run.metrics == {"eval/loss": 0.5}
    assert (run.step, run.notes, run.config) == (20, (), {})
    assert (run.best_step, run.best_metric) == (20, "eval/loss")


def test_an_empty_cell_is_no_point_and_never_zero():
    found = panel("0,0.7,", "1,,0.9", "2,0.5,", columns=("a - eval/loss", "b - eval/loss"))
    assert points(found) == {0: 0.7, 2: 0.5}
    assert points(found, 1) == {1: 0.9}


def test_nan_is_a_point_of_a_diverged_run():
    found = panel("0,0.7", "1,NaN")
    assert math.isnan(points(found)[1])


@pytest.mark.parametrize("name", ["gpt2.final/1729.4054031", "lr: 1e-5 x", "a - b", "-", "0.5", "müde läuft"])
def test_a_run_is_named_by_all_before_the_last_separator(name):
    found = panel("0,0.7", columns=(f"{name} - eval/loss",))
    assert [run.name for run in found.runs] == [name]
    assert points(found) == {0: 0.7}


def test_spellings_of_a_metric_become_one_key_and_the_user_may_correct_it():
    columns = ("a - eval_rewards/margins", "a - odd")
    found = panel("0,0.1,2", columns=columns, corrections=Corrections(renamed={"odd": "eval/loss"}))
    assert found.runs[0].metrics == {"eval/rewards/margins": 0.1, "eval/loss": 2}


def test_two_spellings_of_one_metric_are_not_mixed():
    found = panel("0,0.1,2", columns=("a - eval_loss", "a - eval/loss"))
    assert found.runs[0].metrics == {"eval/loss": 0.1}
    assert 'panel.csv: "a": "eval/loss" is a second eval/loss; the first is used.' in found.notes


def test_two_runs_of_one_name_stay_two():
    found = panel("0,0.7,0.8", columns=("a - eval/loss", "a - eval/loss"))
    assert [run.name for run in found.runs] == ["a", "a"]
    assert (points(found), points(found, 1)) == ({0: 0.7}, {0: 0.8})
    assert 'panel.csv: several runs are named "a": each is a run of its own.' in found.notes


@pytest.mark.parametrize("name", ["Grouped runs", "exp_name: a"])
def test_a_group_of_runs_is_a_mean_with_a_range_and_said_to_be(name):
    found = read(f"Step,{name} - eval/loss,{name} - eval/loss__MIN,{name} - eval/loss__MAX\n0,0.7,0.6,0.8\n")
    assert found.runs[0].notes == (wandb_history.GROUPED,)
    assert f'panel.csv: "{name}": {wandb_history.GROUPED}' in found.notes


def test_a_range_under_a_plain_name_is_not_taken_for_one_runs_values():
    found = read("Step,a - eval/loss,a - eval/loss__MIN,a - eval/loss__MAX\n0,0.7,0.7,0.7\n1,0.6,0.5,0.6\n")
    assert found.runs[0].notes == (wandb_history.RANGED,)


def test_a_colon_in_the_name_of_a_single_run_makes_no_group():
    assert panel("0,0.7", columns=("lr: 1e-5 - eval/loss",)).runs[0].notes == ()


def test_wandbs_own_count_is_told_from_optimizer_steps():
    assert panel("0,0.7").notes == ('panel.csv: "a": "Step" is W&B\'s count of logs, not optimizer steps.',)
    assert panel("0,0.7", x="train/global_step").notes == ()


def test_the_runs_own_optimizer_steps_are_used_where_the_file_has_them():
    """Two metrics of one evaluation are logged one W&B step apart: row by row the optimizer step says where."""
    found = panel("100,10,0.7", "203,20,0.6", columns=("a - train/global_step", "a - eval/loss"))
    assert points(found) == {10: 0.7, 20: 0.6}
    assert 'panel.csv: "a": steps are those of the column "train/global_step".' in found.notes
    assert "train/global_step" not in found.runs[0].metrics


def test_an_epoch_axis_takes_the_steps_beside_it_and_keeps_the_epochs():
    found = panel("0,0,0.7", "0.5,7,0.6", x="epoch", columns=("a - _step", "a - eval/loss"))
    assert points(found) == {0: 0.7, 7: 0.6}
    assert found.runs[0].epoch == 0.5


def test_an_axis_without_steps_numbers_the_points_and_says_so():
    """Values at 0.3, 0.1 and 0.2 epochs are points 2, 0 and 1; the last is at epoch 0.3."""
    found = panel("0.3,0.5", "0.1,0.7", "0.2,0.6", x="epoch")
    assert points(found) == {0: 0.7, 1: 0.6, 2: 0.5}
    assert list(found.histories["abcd1234-1"]["eval/loss"].epochs) == [0.1, 0.2, 0.3]
    assert (found.runs[0].step, found.runs[0].epoch) == (None, 0.3)
    assert "counts no steps or repeats them: points are numbered, from 0." in found.notes[0]


def test_numbered_points_of_two_metrics_agree():
    found = panel("0.1,0.7,", "0.2,,1", "0.3,0.5,2", x="epoch", columns=("a - eval/loss", "a - train/loss"))
    assert points(found) == {0: 0.7, 2: 0.5}
    assert points(found, metric="train/loss") == {1: 1, 2: 2}


def test_a_fractional_step_is_rounded_as_long_as_no_two_meet():
    found = panel("0.4,0.7", "10.6,0.6")
    assert points(found) == {0: 0.7, 11: 0.6}
    assert points(panel("0.4,0.7", "0.3,0.6")) == {0: 0.6, 1: 0.7}


def test_evaluation_pairs_are_counted_from_runtime_and_speed():
    """0.5272 s x 11.381 pairs/s = 6.0001 pairs."""
    columns = ("a - eval/runtime", "a - eval/samples_per_second")
    assert panel("0,0.5272,11.381", columns=columns).runs[0].n_eval == 6


def test_a_bad_cell_is_named_and_the_others_are_kept():
    found = panel("0,0.7", "1,oops", "x,0.5", "3,0.4")
    assert points(found) == {0: 0.7, 3: 0.4}
    assert 'panel.csv: row 2, column "a - eval/loss": "oops" is no number; it is left out.' in found.notes
    assert 'panel.csv: row 3, column "Step": "x" is no number; it is left out.' in found.notes


def test_many_bad_cells_are_counted():
    found = panel("0,0.7", *(f"{n},oops" for n in range(1, 100)))
    assert 'panel.csv: column "a - eval/loss": 79 more cells are no numbers.' not in found.notes
    assert len(found.notes) < 30
    assert any("more cells are no numbers" in note for note in found.notes)


def test_a_run_without_a_point_is_left_out_and_said_to_be():
    found = panel("0,0.7,", columns=("a - eval/loss", "b - eval/loss"))
    assert [run.name for run in found.runs] == ["a"]
    assert 'panel.csv: "b": there is no point; it is left out.' in found.notes


def test_semicolons_and_decimal_commas():
    assert points(read("Step;a - eval/loss\r\n0;0,66\r\n1;0,5")) == {0: 0.66, 1: 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Name,beta,eval/loss\na,0.1,0.5\n", 'no column is named "RUN - METRIC" (columns: Name, beta, eval/loss)'),
        ("Step,a - eval/loss\n0,\n", "without a single point"),
        ("Step,a - _step\n0,1\n", "without a single point"),
        ("Step,a - eval/loss\n", "without a single point"),
        ("", "empty"),
        (b"\x00\x01\x02", "binary"),
    ],
)
def test_what_is_no_chart_is_refused_in_one_sentence(text, said):
    with pytest.raises(SourceError, match=said.replace("(", r"\(").replace(")", r"\)")):
        read(text)


def test_205_columns_are_68_runs_with_their_own_points():
    """Run k has k + 1 points: cells are mostly empty."""
    names = tuple(f"run-{k}.{k}/x - train/loss" for k in range(68))
    rows = (",".join([str(step), *("0.5" if step <= k else "" for k in range(68))]) for step in range(68))
    found = panel(*rows, columns=names)
    assert [len(found.histories[run.id]["train/loss"]) for run in found.runs] == [k + 1 for k in range(68)]


@pytest.mark.parametrize(
    ("name", "runs", "metric", "lengths"),
    [
        ("alighieri_epoch_panel.csv", 2, "valid_dataset_f1", {308, 701}),
        ("druidowm_nanogpt.csv", 8, "train/loss", {51, 57, 166, 150, 128, 386, 118}),
        ("gagiwoo_drone_23_20_06.131.csv", 6, "rollout/success_rate", {5697, 4341, 4098, 5626, 4401, 4192}),
        ("gagiwoo_drone_23_20_12.948.csv", 6, "rollout/ep_rew_mean", {5697, 4341, 4098, 5626, 4401, 4192}),
    ],
)
def test_real_charts(name, runs, metric, lengths):
    if not (REAL / name).is_file():
        pytest.skip("the collection of real files is not beside this repository")
    found = wandb_history.read((REAL / name).read_bytes(), name, "abcd1234")
    assert len(found.runs) == runs
    assert {len(history[metric]) for history in found.histories.values()} == lengths
    assert all(run.notes == () for run in found.runs)


_CELLS = st.sampled_from(["", "0", "1", "2.5", "-1", "nan", "inf", "1e400", "9" * 25, "oops", "0,5", '"', " - ", "é"])
_NAMES = st.sampled_from(["Step", "epoch", "a - b", "a - b__MIN", "a - _step", "a - train/global_step", " - ", "x", ""])


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_raise_anything_but_source_error(content):
    with contextlib.suppress(SourceError):
        read(content)


@given(st.lists(_NAMES, min_size=1, max_size=5), st.lists(st.lists(_CELLS, max_size=5), max_size=6))
def test_whatever_is_read_has_growing_steps(header, rows):
    try:
        found = read("\n".join(",".join(row) for row in [header, *rows]))
    except SourceError:
        return
    for history in found.histories.values():
        for series in history.values():
            assert len(series) > 0
            assert all(after > before for before, after in zip(series.steps, series.steps[1:], strict=False))
