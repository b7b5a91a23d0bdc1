"""The search of a sweep: which trial comes next, and how each one ended, for any number of processes and machines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from training.sweeps import store
from training.sweeps.draws import Draws
from training.sweeps.journal import Lock, careful, open_storage
from training.sweeps.store import Sweep
from training.sweeps.trial import Trial

JOURNAL = "study.journal"
End = Literal["finished", "pruned", "failed"]
State = Literal["running", "finished", "pruned", "failed"]

_PARAMS, _DRIVER = "params", "driver"
_STATES: Mapping[TrialState, State] = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True)
class Known:
    """A trial and how it stands; "running" until its end is told, whether its process lives or not."""

    trial: Trial
    state: State
    value: float | None


class Search:
    """The study of a sweep, opened or made. Raises SweepError, here and in all it does, if it cannot be used.

    `ask` and `take_back` hold a lock that works on a shared folder from looking at the trials to writing one line,
    which has the whole trial and the driver that runs it. So no two drivers get one trial, and a kill leaves no half.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._place = str(sweep.folder / JOURNAL) if sweep.storage is None else "the database of --storage"
        self._lock = Lock(sweep.folder / JOURNAL)
        file = sweep.file()
        self._limit = min((cap for cap in (sweep.count, file.run_cap) if cap is not None), default=None)
        maximize = sweep.objective.maximize
        with careful(self._place):
            self._draws = Draws(file.method, file.parameters, maximize, sweep.seed, self._limit)
            with self._lock:
                self._storage = open_storage(sweep.folder / JOURNAL, sweep.storage, self._lock)
                self._study = self._open(StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE)

    def ask(self) -> Trial | None:
        """The next trial; None when count, run_cap or the points are used up."""
        with careful(self._place):
            store.beat(self._sweep)
            while True:
                with self._lock:
                    trials = self._trials()
                    new = self._next(trials)
                    if new is None:
                        return None
                    if self._lock.held():
                        id = self._storage.create_new_trial(self._study, template_trial=new)
                        return self._told(self._storage.get_trial(id))

    def tell(
        self, number: int, state: End, value: float | None = None, step_values: Mapping[int, float] | None = None
    ) -> None:
        """How a trial ended; what was told first counts. Without a finite value it failed, unless it was pruned."""
        kept = [float(value)] if value is not None and math.isfinite(value) and state != "failed" else None
        end = TrialState.PRUNED if state == "pruned" else TrialState.COMPLETE if kept else TrialState.FAIL
        with careful(self._place), self._lock:
            id = self._storage.get_trial_id_from_study_id_trial_number(self._study, number)
            try:
                for step, at_step in (step_values or {}).items():
                    self._storage.set_trial_intermediate_value(id, step, at_step)
                self._storage.set_trial_state_values(id, end, kept)
            except UpdateFinishedTrialError:
                return

    def trials(self) -> list[Known]:
        """All trials so far, by number."""
        with careful(self._place):
            store.beat(self._sweep)
            return [Known(self._told(one), _STATES.get(one.state, "running"), one.value) for one in self._trials()]

    def take_back(self) -> Trial | None:
        """A trial whose run and whose driver are dead, which is from now on this process's to run; None if none is.

        Its run may have a checkpoint, or an end that nobody told.
        """
        with careful(self._place):
            store.beat(self._sweep)
            while True:
                with self._lock:
                    dead = next((one for one in self._trials() if self._is_dead(one)), None)
                    if dead is None:
                        return None
                    if self._lock.held():
                        self._storage.set_trial_user_attr(dead._trial_id, _DRIVER, store.driver())
                        return self._told(dead)

    def _open(self, direction: StudyDirection) -> int:
        """The study's number in the storage. Its name is unique where sweeps of many folders share a database."""
        name = f"{self._sweep.id} {self._sweep.created:.6f}"
        try:
            return self._storage.get_study_id_from_name(name)
        except KeyError:
            pass
        try:
            return self._storage.create_new_study([direction], name)
        except DuplicatedStudyError:  # by a machine that broke the lock
            return self._storage.get_study_id_from_name(name)

    def _trials(self) -> Sequence[FrozenTrial]:
        return self._storage.get_all_trials(self._study, deepcopy=False)

    def _next(self, trials: Sequence[FrozenTrial]) -> FrozenTrial | None:
        number = len(trials)
        if self._limit is not None and number >= self._limit:
            return None
        drawn = self._draws.draw(number, trials, [trial.user_attrs[_PARAMS] for trial in trials])
        if drawn is None:
            return None
        return create_trial(
            state=TrialState.RUNNING,
            params=drawn,
            distributions=self._draws.distributions,
            user_attrs={_PARAMS: self._draws.values(drawn), _DRIVER: store.driver()},
        )

    def _told(self, trial: FrozenTrial) -> Trial:
        params: dict[str, Any] = trial.user_attrs[_PARAMS]
        return Trial(trial.number, f"{self._sweep.id}-{trial.number:02d}", params)

    def _is_dead(self, trial: FrozenTrial) -> bool:
        if trial.state != TrialState.RUNNING or store.lives(self._sweep, trial.user_attrs[_DRIVER]):
            return False
        return store.run_state(self._sweep.runs / self._told(trial).name) != "running"
