"""What is marked on a run's axis."""

from array import array

import pytest

from dashboard.analysis import marks
from dashboard.analysis.findings.finding import Finding
from training.record.schema import Run, Series


def history(steps: list[int], per_epoch: float) -> dict[str, Series]:
    epochs = array("d", [step / per_epoch for step in steps])
    times = array("d", [1000.0 + 6 * step for step in steps])
    return {"train/loss": Series(array("q", steps), epochs, times, array("d", [0.5] * len(steps)))}


RUN = Run("a", "a", "runs", "finished", best={"eval/loss": 0.4}, best_step=30, best_metric="eval/loss")


def test_the_ends_of_epochs_lie_between_the_logged_steps():
    """25 steps an epoch, logged every 10: epoch 1 ends at step 25, between 20 and 30; epoch 2 at 50."""
    found = marks.marks(Run("a", "a", "runs", "finished"), history([10, 20, 30, 40, 50], 25), [], [])
    assert [(mark.step, mark.words) for mark in found] == [(25, "end of epoch 1"), (50, "end of epoch 2")]


def test_many_epochs_and_epochs_that_go_back_are_not_marked():
    assert marks.marks(Run("a", "a", "runs", "finished"), history([10, 1000], 1), [], []) == []
    back = {"x": Series(array("q", [1, 2]), array("d", [2, 1]), array("d", [0, 1]), array("d", [0, 0]))}
    assert marks.marks(Run("a", "a", "runs", "finished"), back, [], []) == []


def test_the_best_evaluation_is_marked_with_what_it_was_chosen_by():
    (found,) = marks.marks(RUN, {}, [], [])
    assert (found.step, found.kind, found.words) == (30, "best", "best evaluation by eval/loss")


def test_a_finding_is_marked_where_its_evidence_names_a_step_of_this_run():
    evidence = {"runs": {"a": {"first_step": 40}, "b": {"first_step": 50}, "c": {"first_step": None}}}
    finding = Finding("divergence", "bad", ("a", "b", "c"), "", "", evidence)
    other = Finding("over-fitting", "warning", ("a",), "", "", {"runs": {"a": {"step": 7}}})
    runs = {name: Run(name, name, "runs", "finished") for name in "abc"}
    found = {name: marks.marks(run, {}, [finding, other], []) for name, run in runs.items()}
    assert [(mark.step, mark.kind) for mark in found["a"]] == [(40, "bad")]
    assert [mark.step for mark in found["b"]] == [50]
    assert found["c"] == []


def test_remarks_made_in_training_are_marked_as_one_line_and_what_is_no_remark_is_passed_over():
    rows = [
        {"step": 12, "kind": "spike", "message": "a jump\nof the norm"},
        {"step": 0, "kind": "fast", "message": "before training"},
        {"step": "x", "message": "no step"},
        {"step": 3, "message": 7},
        {},
    ]
    (found,) = marks.marks(Run("a", "a", "runs", "finished"), {}, [], rows)
    assert found.step == 12
    assert "\n" not in found.words


def test_marks_are_placed_on_the_axis_asked_for():
    """6 s per step: step 30 is 3 minutes after step 0, and epoch 1.2 of 25 steps each."""
    curves = history([0, 20, 40], 25)
    (found,) = marks.marks(RUN, {}, [], [])
    assert marks.placed([found], curves, "step", None)[0][0] == 30
    assert marks.placed([found], curves, "epoch", None)[0][0] == pytest.approx(1.2)
    assert marks.placed([found], curves, "time", 1000.0)[0][0] == 3
    assert marks.placed([found], {}, "epoch", None) == []
