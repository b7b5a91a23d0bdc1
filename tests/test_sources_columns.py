"""Columns of a table as runs see them: nothing is made before it is asked for, and nothing is missing then."""

import copy
import pickle
from dataclasses import fields

from dashboard.sources import columns, table, wandb_runs
from dashboard.sources.imported import NO_CORRECTIONS
from training.record.schema import Run

CONTENT = (
    b'"Name","State","beta","eval/loss","train/loss"\n"a","finished","0.1","0.5","0.7"\n"b","crashed","","","NaN"\n'
)


def test_numbers_are_made_when_a_cell_is_asked_for_and_counted_without():
    found = columns.sort(table.parse(CONTENT), NO_CORRECTIONS, ("Name", "State"))
    loss = found.metrics["eval/loss"]
    assert isinstance(loss, columns.Numbers)
    assert (len(loss), loss.count(None)) == (2, 1)
    assert "_values" not in vars(loss)
    assert list(loss) == [loss[0], loss[1]] == [0.5, None]
    assert (loss.count(None), loss.count(0.5)) == (1, 1)
    assert columns.Row(found.metrics, 0)["eval/loss"] == 0.5


def test_reading_a_runs_table_makes_no_column_that_no_field_of_a_run_needs():
    found = wandb_runs.read(CONTENT, "runs.csv", "p").runs[0]
    metrics = found.metrics._columns
    assert "_values" not in vars(metrics["eval/loss"])
    assert dict(found.metrics) == {"eval/loss": 0.5, "train/loss": 0.7}


def test_a_run_of_a_table_has_every_field_of_a_run_the_silent_ones_at_their_default():
    first, second = wandb_runs.read(CONTENT, "runs.csv", "p").runs
    assert first == Run("p-1", "a", "runs.csv", "finished", {"beta": 0.1}, {"eval/loss": 0.5, "train/loss": 0.7})
    assert (second.status, second.error, second.config) == ("failed", "crashed, as W&B says", {})
    for run in (first, copy.copy(first), pickle.loads(pickle.dumps(first))):
        assert [getattr(run, field.name) for field in fields(Run)] == [
            getattr(first, field.name) for field in fields(Run)
        ]
