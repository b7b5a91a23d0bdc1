"""The same run in several sources, as those sources show it; and runs that only look alike."""

import math
import random
import struct
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.sources.imported import Imported, with_evaluations
from dashboard.sources.joining import joined
from dashboard.sources.sameness import WANDB_ID
from training.record.schema import Run, Series


def float32(value: float) -> float:
    """The value as an event file keeps it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def curve(values, start=10, stride=10) -> Series:
    count = len(values)
    nan = array("d", [math.nan]) * count
    return Series(array("q", range(start, start + stride * count, stride)), nan, nan, array("d", values))


def noisy(seed: str, count: int) -> list[float]:
    """A value that falls from about 0.7 to 0.4, with noise that no other seed has."""
    noise = random.Random(seed)
    return [0.7 - 0.3 * n / count + noise.gauss(0, 0.05) for n in range(count)]


def losses(seed: int, count: int = 20) -> list[float]:
    return noisy(f"train {seed}", count)


def history(seed: int, count: int = 20):
    return {
        "train/loss": curve(losses(seed, count)),
        "eval/loss": curve(noisy(f"eval {seed}", count)),
        "eval/rewards/margins": curve(noisy(f"margins {seed}", count)),
    }


def logged(name, seed=1, ident="log-1", source="events", curves=None, **fields) -> Imported:
    """A source with curves."""
    curves = history(seed) if curves is None else curves
    run = with_evaluations(Run(ident, name, source, "unknown", **fields), curves)
    return Imported((run,), (), {ident: curves})


def row(name, seed=1, ident="table-1", source="runs.csv", **fields) -> Run:
    """One row of a runs table: configuration and last values."""
    last = {key: series.values[-1] for key, series in history(seed).items()}
    told = {"config": {"beta": 0.1}, "metrics": last, **fields}
    return Run(ident, name, source, "finished", **told)


def ours(name, seed=1, **fields) -> Imported:
    """A run folder of our own: exact metrics, and TRL's own beside them, a little different."""
    curves = history(seed)
    curves["eval/trl/loss"] = curve([value + 0.0007 for value in curves["eval/loss"].values])
    run = with_evaluations(Run(name, name, "runs", "finished", created=1e9, **fields), curves)
    return Imported((run,), (), {name: curves}, {name: Path("runs") / name})


def names(found: Imported) -> list[str]:
    return [run.name for run in found.runs]


def test_our_run_and_its_row_in_a_w_and_b_table_are_one_and_ours_stays():
    found = joined([Imported((row("alpha", config={"beta": 0.1, "group": "x"}),)), ours("alpha", config={"beta": 0.1})])
    (run,) = found.runs
    assert (run.id, run.source, run.config) == ("alpha", "runs", {"beta": 0.1, "group": "x"})
    assert found.folders == {"alpha": Path("runs/alpha")}
    assert found.notes == ("alpha is in both runs.csv and runs: shown once.",)


def test_our_run_and_its_event_files_are_one_though_the_values_are_float32():
    curves = {key: curve([float32(v) for v in series.values]) for key, series in history(1).items()}
    found = joined([ours("alpha"), logged("alpha", curves=curves)])
    assert len(found.runs) == 1
    assert found.histories["alpha"]["train/loss"].values[3] == history(1)["train/loss"].values[3]


def test_a_log_rounded_to_four_digits_does_not_contradict():
    """Transformers rounded its training loss to four digits: 0.680123 there is 0.6801 here."""
    curves = {"train/loss": curve([round(value, 4) for value in losses(1)])}
    assert len(joined([ours("alpha"), logged("alpha", curves=curves)]).runs) == 1


def test_a_foreign_evaluation_may_be_trls_mean_of_batch_means():
    """0.0007 more than our exact mean at every step: not equal to `eval/loss`, but to `eval/trl/loss`."""
    curves = {"eval/loss": curve([value + 0.0007 for value in history(1)["eval/loss"].values])}
    assert len(joined([ours("alpha"), logged("alpha", curves=curves)]).runs) == 1
    wrong = {"eval/loss": curve([value + 0.0017 for value in history(1)["eval/loss"].values])}
    assert len(joined([ours("alpha"), logged("alpha", curves=wrong)]).runs) == 2


def test_curves_of_a_panel_are_joined_to_the_rows_of_a_runs_table():
    table = Imported((row("a", 1, "t-1"), row("b", 2, "t-2")))
    panel = Imported(
        (Run("p-1", "b", "panel.csv", "unknown"), Run("p-2", "a", "panel.csv", "unknown")),
        (),
        {"p-1": {"eval/loss": history(2)["eval/loss"]}, "p-2": {"eval/loss": history(1)["eval/loss"]}},
    )
    found = joined([table, panel])
    assert [(run.id, run.status, run.config["beta"]) for run in found.runs] == [
        ("t-1", "finished", 0.1),
        ("t-2", "finished", 0.1),
    ]
    assert list(found.histories["t-2"]["eval/loss"].values) == list(history(2)["eval/loss"].values)
    assert found.notes == ("a, b are in both runs.csv and panel.csv: shown once.",)


def test_the_curves_of_a_panel_cannot_be_given_to_one_of_two_seeds():
    table = Imported((row("seed", 1, "t-1"), row("seed", 2, "t-2")))
    panel = logged("seed", 1, "p-1", "panel.csv", {"eval/loss": history(1)["eval/loss"]})
    found = joined([table, panel])
    assert [run.id for run in found.runs] == ["t-1", "t-2", "p-1"]
    assert found.notes == ("Runs named seed in runs.csv, panel.csv cannot be told apart: they are left apart.",)


def test_one_of_two_seeds_is_told_by_the_values_of_two_metrics():
    table = Imported((row("seed", 1, "t-1"), row("seed", 2, "t-2")))
    found = joined([table, logged("seed", 2, "p-1")])
    assert [run.id for run in found.runs] == ["t-1", "t-2"]
    assert "train/loss" in found.histories["t-2"]


def test_panels_of_one_metric_each_make_one_run_and_every_metric_keeps_its_steps():
    """W&B logs each metric in a step of its own: 10, 20, ... and 11, 21, ..."""
    values = losses(1)
    parts = [
        logged("a", ident="p-1", source="loss.csv", curves={"eval/loss": curve(values)}),
        logged("a", ident="p-2", source="accuracy.csv", curves={"eval/rewards/accuracies": curve(values, start=11)}),
        logged("a", ident="p-3", source="margins.csv", curves={"eval/rewards/margins": curve(values, start=12)}),
    ]
    found = joined(parts)
    (run,) = found.runs
    curves = found.histories[run.id]
    assert [curves[key].steps[0] for key in sorted(curves)] == [10, 11, 12]
    assert run.best_metric == "eval/rewards/accuracies"
    assert found.notes == ("a is in loss.csv, accuracy.csv, margins.csv: shown once.",)


def test_event_files_and_trainer_state_of_one_training_are_one_under_different_names():
    found = joined(
        [logged("Feb27_04-04-45", ident="e-1"), logged("recovery", ident="s-1", source="trainer_state.json")]
    )
    assert len(found.runs) == 1
    assert found.notes == (
        "Feb27_04-04-45 (also called recovery) is in both events and trainer_state.json: shown once.",
    )


def test_a_log_that_was_cut_off_is_found_in_the_whole_one():
    assert (
        len(
            joined(
                [
                    logged("x", curves=history(1, 20)),
                    logged(
                        "y",
                        ident="2",
                        curves={
                            key: Series(s.steps[:9], s.epochs[:9], s.times[:9], s.values[:9])
                            for key, s in history(1, 20).items()
                        },
                    ),
                ]
            ).runs
        )
        == 1
    )


def test_two_metrics_must_be_equal_under_different_names():
    one = {"train/loss": history(1)["train/loss"]}
    assert len(joined([logged("x", curves=one), logged("y", ident="2", curves=one)]).runs) == 2


def test_equal_schedules_and_constant_metrics_are_no_trace_of_a_run():
    """Runs of one sweep share their learning rates, epochs and, when all pairs are right, an accuracy of 1."""
    shared = {key: curve(losses(1)) for key in ("train/learning_rate", "train/epoch", "train/num_tokens")}
    shared |= {"eval/rewards/accuracies": curve([1.0] * 20), "train/rewards/accuracies": curve([1.0] * 20)}
    assert len(joined([logged("x", curves=shared), logged("y", ident="2", curves=shared)]).runs) == 2


def test_one_metric_that_differs_keeps_equal_curves_apart():
    other = {**history(1), "train/loss": curve(losses(2))}
    assert len(joined([logged("x"), logged("y", ident="2", curves=other)]).runs) == 2


def test_the_same_name_is_not_the_same_run_where_an_argument_differs():
    found = joined([Imported((row("a"),)), logged("a", config={"beta": 0.2})])
    assert len(found.runs) == 2
    assert found.notes == (
        "The same name, but not the same run in runs.csv, events: a (beta is 0.1 and 0.2). They are shown apart.",
    )


def test_the_same_name_is_not_the_same_run_where_a_metric_differs():
    found = joined([Imported((row("a", 1),)), logged("a", 2)])
    assert len(found.runs) == 2
    assert "eval/loss is 0." in found.notes[0]


def test_a_diverged_run_is_not_one_that_did_not_diverge():
    table = [Imported((row("a", metrics={"eval/loss": value}, source=str(value)),)) for value in (math.nan, 0.123456)]
    assert len(joined(table).runs) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"loss_type": ["sigmoid"]}, {"loss_type": "sigmoid"}),
        ({"learning_rate": 2e-5}, {"learning_rate": "2e-05"}),
        ({"lr_scheduler_type": "SchedulerType.LINEAR"}, {"lr_scheduler_type": "linear"}),
        ({"bf16": True}, {"bf16": "TRUE"}),
        ({"output_dir": "a"}, {"output_dir": "b"}),
        ({"model_name_or_path": "/data/base"}, {"model_name_or_path": "base"}),
        ({"beta": 0.10000000149011612}, {"beta": 0.1}),
    ],
)
def test_arguments_written_in_another_way_do_not_contradict(one, other):
    assert len(joined([Imported((row("a", config=one),)), logged("a", config=other)]).runs) == 1


def test_w_and_bs_id_joins_what_has_another_name():
    told = {"environment": {WANDB_ID: "8x1"}}
    found = joined([Imported((row("renamed", **told),)), logged("trainer_output", 2, **told)])
    assert len(found.runs) == 1


def test_w_and_bs_ids_keep_equal_runs_apart():
    parts = [logged("a", ident=str(n), environment={WANDB_ID: f"id{n}"}, source=f"offline-{n}") for n in range(2)]
    assert len(joined(parts).runs) == 2


def test_rows_of_one_table_are_never_joined():
    rows = tuple(row("a", ident=f"t-{n}", environment={WANDB_ID: "same"}) for n in range(3))
    assert [run.id for run in joined([Imported(rows)]).runs] == ["t-0", "t-1", "t-2"]


def test_two_tables_with_nothing_in_common_but_a_name_are_not_joined():
    tables = [row("baseline", metrics={key: 0.123456}, config={}, source=key) for key in ("eval/loss", "eval/f1")]
    assert len(joined([Imported((run,)) for run in tables]).runs) == 2


def test_two_exports_of_one_table_are_one():
    assert len(joined([Imported((row("a"),)), Imported((row("a", ident="u-1", source="runs (1).csv"),))]).runs) == 1


def test_an_export_taken_while_the_run_went_on_is_the_same_run():
    """The table has the values of step 100; our run went on to step 200: 100 is the tenth point."""
    early = {key: series.values[9] for key, series in history(1).items()}
    assert len(joined([ours("a"), Imported((row("a", metrics=early, step=100),))]).runs) == 1


def test_two_folders_of_our_own_are_two_runs_though_all_is_equal():
    again = ours("b")
    assert names(joined([ours("a"), again])) == ["a", "b"]


def test_a_copy_of_our_folder_is_the_same_run():
    assert names(joined([ours("a"), ours("a")])) == ["a"]


def test_equal_ids_of_different_runs_are_made_unique():
    later = ours("a", 2)
    later = replace(later, runs=(replace(later.runs[0], created=2e9),))
    found = joined([ours("a"), later])
    assert [run.id for run in found.runs] == ["a", "a~2"]
    assert found.histories["a~2"]["train/loss"].values == history(2)["train/loss"].values


def test_order_and_notes_of_the_input_are_kept():
    parts = [Imported((row("z", 1, "1"), row("b", 2, "2")), ("first",)), Imported((row("a", 3, "3"),), ("second",))]
    found = joined(parts)
    assert (names(found), found.notes) == (["z", "b", "a"], ("first", "second"))


def test_joining_what_is_joined_changes_nothing():
    once = joined([Imported((row("a"),)), logged("a"), ours("a"), logged("b", 2, "b")])
    again = joined([once])
    assert (again.runs, again.folders) == (once.runs, once.folders)
    assert again.notes == once.notes


def test_a_curve_of_nan_is_not_a_healthy_one():
    broken = {key: curve([math.nan] * 20) for key in history(1)}
    assert len(joined([logged("a"), logged("a", ident="2", curves=broken)]).runs) == 2
    assert len(joined([logged("a", curves=broken), logged("a", ident="2", curves=broken)]).runs) == 1


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(["eval/loss", "train/loss", "x"]), st.lists(st.floats(), max_size=9)),
            st.dictionaries(
                st.sampled_from("ab"),
                st.floats() | st.text() | st.booleans() | st.integers() | st.just(10**400) | st.none(),
            ),
        ),
        max_size=5,
    )
)
def test_any_values_are_survived(runs):
    parts = [
        logged(
            f"run {n % 2}", ident=f"{n}", source=f"part {n}", curves={k: curve(v) for k, v in curves.items()}, config=c
        )
        for n, (curves, c) in enumerate(runs)
    ]
    found = joined(parts)
    assert len(found.runs) <= len(runs)
    assert all(note.isprintable() for note in found.notes)


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), max_size=4), max_size=4))
def test_no_run_is_lost_and_none_of_a_part_is_joined(spec):
    parts = [
        Imported(tuple(row(name, seed, f"{p}-{n}", f"part {p}") for n, (name, seed) in enumerate(rows)))
        for p, rows in enumerate(spec)
    ]
    found = joined(parts)
    kinds = {pair for rows in spec for pair in rows}
    assert {(run.name, run.metrics["eval/loss"]) for run in found.runs} == {
        (name, history(seed)["eval/loss"].values[-1]) for name, seed in kinds
    }
    assert len(found.runs) >= max(map(len, spec), default=0)
    assert len({run.id for run in found.runs}) == len(found.runs)


def test_a_thousand_runs_meet_a_thousand_others_without_meeting_each_of_them(monkeypatch):
    """Every run of one part is compared with a few of the other part, not with all: below 4 of 1,000 each."""
    from dashboard.sources import joining

    calls = []
    compare = joining.compare
    monkeypatch.setattr(joining, "compare", lambda *two: calls.append(1) or compare(*two))
    table = Imported(tuple(row(f"run {n}", n, f"t-{n}") for n in range(1000)))
    others = [logged(f"other {n}", n, f"l-{n}") for n in range(1000)]
    merged = Imported(
        tuple(run for part in others for run in part.runs),
        (),
        {key: curves for part in others for key, curves in part.histories.items()},
    )
    same = replace(table, runs=tuple(replace(run, id=f"u{run.id}", source="again.csv") for run in table.runs))
    found = joined([table, same, merged])
    assert len(found.runs) == 2000
    assert len(calls) < 4 * 2000


def test_a_thousand_runs_of_one_name_are_not_compared_with_each_other(monkeypatch):
    from dashboard.sources import joining

    calls = []
    compare = joining.compare
    monkeypatch.setattr(joining, "compare", lambda *two: calls.append(1) or compare(*two))
    parts = [
        Imported(tuple(row("DPO", n, f"{source}-{n}", source) for n in range(1000))) for source in ("a.csv", "b.csv")
    ]
    assert len(joined(parts).runs) == 1000
    assert len(calls) < 8 * 1000
