"""Takes trials from the study to the workers, and what became of them back, until none is left or Ctrl-C."""

import glob
import re
import shutil
import signal
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from training.record import reader
from training.record.schema import RecordError
from training.record.writer import RunWriter
from training.sweeps import closing, store
from training.sweeps import file as files
from training.sweeps.search import Search
from training.sweeps.store import Sweep
from training.sweeps.table import Clock, Row, Screen, View, row, settings
from training.sweeps.trial import Ended, Engine, SweepError, Task, Trial

_TICK = 1.0  # seconds between two looks at the runs
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
State = Literal["finished", "pruned", "failed"]
_ENDS: tuple[State, ...] = ("finished", "pruned", "failed")


class Driver:
    """One sweep, driven by this process; others may drive it at the same time.

    `total` is how many runs the sweep has in all. A trial whose worker died is tried once more. The first Ctrl-C stops
    every run after its current step, with a checkpoint; a second one does not wait. A disk that is full has `hindered`
    the sweep and stops it too.
    """

    def __init__(self, sweep: Sweep, search: Search, engine: Engine, screen: Screen, total: int) -> None:
        self._sweep, self._search, self._engine, self._screen = sweep, search, engine, screen
        self._file = sweep.file()
        self._varying = [parameter.name for parameter in self._file.parameters if not parameter.constant]
        self._total = total
        self._running: dict[int, Trial] = {}
        self._waiting: list[Trial] = []
        self._retried: set[int] = set()
        self._left: set[int] = set()
        self._rows: dict[int, Row] = {}
        self._values: dict[str, float] = {}
        self._clock = Clock()
        self.stopped = False
        self.hindered: str | None = None
        self.worked = False

    @property
    def states(self) -> dict[str, str]:
        """How each run of the sweep stands, by name."""
        return {one.name: one.state for one in self._rows.values()}

    def closing(self) -> list[str]:
        """The runs ranked, and what is sure about that."""
        runs, objective = self._sweep.runs, self._sweep.objective
        ended = [one for one in self._rows.values() if one.state == "finished"]
        found = [closing.result(runs / one.name, one.params, objective) for one in ended]
        results = closing.ranked([one for one in found if one is not None], objective)
        return closing.lines(self._sweep.id, self.states, results, objective, runs)

    def run(self) -> None:
        """Until every run of the sweep has ended, also those that other processes train, or Ctrl-C: then `stopped`.

        Raises KeyboardInterrupt at the second Ctrl-C, SweepError if the very first run is refused: all would be.
        """
        before = {number: signal.signal(number, self._ask_to_stop) for number in _SIGNALS}
        try:
            self._work()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def _work(self) -> None:
        asked = False
        self._look()
        while self._feed() or self._running or (not self.stopped and self._look()):
            if self.stopped and not asked:
                asked = True
                self._screen.say("stopping: every run ends after its current step; Ctrl-C again does not wait for it")
                self._engine.stop()
            for ended in self._engine.ended(_TICK):
                self._settle(ended)
            store.beat(self._sweep)
            self._rows |= {number: self._row(trial, "running") for number, trial in self._running.items()}
            self._screen.draw(self._view())

    def _feed(self) -> bool:
        """Starts as many trials as there are free workers. Whether there was one to start."""
        found = False
        while not self.stopped and self._engine.free() > 0 and (trial := self._next()) is not None:
            found = True
            self._start(trial)
        return found

    def _next(self) -> Trial | None:
        """A trial to try again, else one that a dead process has left, else a new one."""
        return self._waiting.pop() if self._waiting else self._search.take_back() or self._search.ask()

    def _look(self) -> bool:
        """Takes in the whole study. Whether a trial is under way that is not ours: its process may die yet."""
        ours = {*self._running, *self._left}
        known = [one for one in self._search.trials() if one.trial.number not in ours]
        self._rows |= {one.trial.number: self._row(one.trial, one.state) for one in known}
        self._values |= {
            one.trial.name: one.value for one in known if one.state == "finished" and one.value is not None
        }
        return any(one.state == "running" for one in known)

    def _start(self, trial: Trial) -> None:
        """Gives a trial to a worker, unless its run has ended already: then only the study did not know.

        A run that failed and that the study does not know of is tried again: the disk may have been full.
        """
        self.worked = True
        directory = self._sweep.runs / trial.name
        if (ended := recorded_end(directory)) is not None and ended[0] != "failed":
            self._tell(trial, *ended)
            return
        if begun(directory, self._sweep.id):
            argv: tuple[str, ...] = ("--resume", str(directory))
        else:
            remove_unpublished(directory)
            argv = self._argv(trial)
        self._running[trial.number] = trial
        self._screen.note(f"start  {trial.name}  {settings(self._shown(trial))}")
        self._engine.start(Task(trial.number, trial.name, argv, self._sweep.rules))

    def _argv(self, trial: Trial) -> tuple[str, ...]:
        sweep, beta = self._sweep, self._sweep.objective.common_beta
        ours = [f"--name={trial.name}", f"--sweep={sweep.id}", f"--runs={sweep.runs}"]
        ours += [f"--common_beta={beta}"] if beta is not None else []
        params = files.anchored(trial.params, Path(sweep.home))
        return (*sweep.argv, *files.argv(params), *ours)

    def _settle(self, ended: Ended) -> None:
        """What a task's end means for its trial; the run's own record counts more than its worker's last word."""
        trial = self._running.pop(ended.number)
        directory = self._sweep.runs / trial.name
        state, reason = recorded_end(directory) or (ended.status, None)
        reason = reason or ended.error
        state = "stopped" if state == "failed" and ended.status == "stopped" else state
        hindered = state == "stopped" and reason is not None and not self.stopped
        if (state == "refused" or hindered) and not store.runs_of(self._sweep):
            raise SweepError(f"{trial.name} cannot be trained: {reason}")
        if state == "stopped" or (state == "died" and self.stopped):
            self._left.add(trial.number)
            self._rows[trial.number] = self._row(trial, "stopped")
            if hindered:  # as the next one would be
                self._screen.warn(f"{trial.name} stopped, and the sweep with it: {reason}")
                self.stopped, self.hindered = True, reason
        elif state == "died" and trial.number not in self._retried:
            self._retried.add(trial.number)
            self._waiting.append(trial)
            self._rows[trial.number] = self._row(trial, "waiting")
            self._screen.warn(f"{trial.name}: {reason}; it is tried once more")
        else:
            if state == "died" and begun(directory, self._sweep.id):
                record_failure(directory, reason or "its worker died")
            self._tell(trial, state, reason)

    def _tell(self, trial: Trial, state: str, reason: str | None) -> None:
        """Tells study and terminal how a trial ended."""
        objective = self._sweep.objective
        values = closing.evaluations(self._sweep.runs / trial.name, objective)
        at = closing.best(values, objective)
        if state == "finished" and at is None:
            state, reason = "failed", f"{objective.metric} was not evaluated after step 0"
        value = values[at] if at is not None and state in ("finished", "pruned") else None
        known: State = "finished" if state == "finished" else "pruned" if state == "pruned" else "failed"
        self._search.tell(trial.number, known, value, values)
        self._rows[trial.number] = self._row(trial, known)
        if known == "finished" and value is not None:
            self._values[trial.name] = value
        if known == "failed":
            self._screen.warn(f"{trial.name} failed: {reason}")
        else:
            best_value = f"best {objective.metric} {value:.4f} at step {at}" if value is not None else "not evaluated"
            show = self._screen.say if known == "pruned" else self._screen.note  # a table has no room for the reason
            show(f"end    {trial.name}  {known}: {best_value}{f'; {reason}' if reason else ''}")

    def _row(self, trial: Trial, state: str) -> Row:
        return row(replace(trial, params=self._shown(trial)), state, self._sweep.runs)

    def _shown(self, trial: Trial) -> dict[str, Any]:
        return {name: value for name, value in trial.params.items() if name in self._varying}

    def _view(self) -> View:
        rows = list(self._rows.values())
        eta = self._clock.eta(rows, self._total, time.monotonic())
        pick = max if self._sweep.objective.maximize else min
        name = pick(self._values, key=self._values.__getitem__, default=None)
        shown = f"{name} ({self._sweep.objective.metric} {self._values[name]:.4f})" if name else None
        return View(rows, Counter(one.state for one in rows), self._total, shown, eta)


def recorded_end(directory: Path) -> tuple[str, str | None] | None:
    """How the run has ended for good by its own record, and the reason; None if it can go on."""
    try:
        progress, ended = reader.read_progress(directory)
    except RecordError:
        return None
    status, error = progress.get("status"), progress.get("error")
    return (str(status), error and str(error)) if ended and status in _ENDS else None


def begun(directory: Path, sweep: str) -> bool:
    """Whether the directory is a run of the sweep."""
    try:
        return reader.read_run(directory).sweep == sweep
    except RecordError:
        return False


def record_failure(directory: Path, reason: str) -> None:
    """Writes the end that a run's dead worker could not write."""
    try:
        progress, _ = reader.read_progress(directory)
    except RecordError:
        progress = {}
    RunWriter.reopen(directory, progress).finish("failed", reason)


def remove_unpublished(directory: Path) -> None:
    """Deletes what a killed worker has prepared of a run that never appeared."""
    for path in directory.parent.glob(f".{glob.escape(directory.name)}.*"):
        if re.fullmatch(r"\d+", path.name.rpartition(".")[2]):
            shutil.rmtree(path, ignore_errors=True)
