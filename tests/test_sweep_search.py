"""The search of a sweep: what is asked, what is told, by many processes, through kills."""

import itertools
import math
import multiprocessing
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
import pytest

from training.record.writer import RunWriter
from training.sweeps import journal, search, store
from training.sweeps.journal import Lock
from training.sweeps.plan import Objective
from training.sweeps.search import Search
from training.sweeps.store import Sweep
from training.sweeps.trial import SweepError, Trial

FORK = multiprocessing.get_context("fork")
NUMERIC = """
  learning_rate: {distribution: log_uniform_values, min: 1e-7, max: 1e-4}
  beta: {min: 0.01, max: 1.0}
  max_steps: {value: 5}
"""
MIXED = NUMERIC + "  loss_type: {values: [sigmoid, ipo]}\n"
GRID = """
  beta: {values: [0.1, 0.5]}
  seed: {value: 7}
  warmup_steps: {min: 0, max: 2}
  loss_type: {values: [sigmoid, ipo]}
"""


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's file is checked once a test, not each time the sweep is opened: that takes a good part of a second."""
    monkeypatch.setattr(store.file, "read", cache(store.file.read))


def create(
    runs: Path,
    method: str,
    parameters: str,
    count: int | None = None,
    seed: int = 0,
    cap: int | None = None,
    storage: str | None = None,
    maximize: bool = False,
) -> Sweep:
    goal, metric = ("maximize", "eval/rewards/accuracies") if maximize else ("minimize", "eval/loss")
    head = f"method: {method}\nmetric: {{name: {metric}, goal: {goal}}}\n"
    head += f"run_cap: {cap}\n" if cap is not None else ""
    objective = Objective(metric, maximize, None)
    made = Sweep(store.new_id(runs, "try"), runs, (), count, seed, storage, objective, {}, time.time())
    store.create(made, f"{head}parameters:\n{parameters}")
    return made


def drain(found: Search) -> Iterator[Trial]:
    while (trial := found.ask()) is not None:
        yield trial


def points(made: Sweep, loss: Callable[[Any], float | None] = lambda _: 1.0) -> list[dict[str, Any]]:
    """The parameters of all trials of a sweep that one process runs."""
    found, asked = Search(made), []
    for trial in drain(found):
        asked.append(dict(trial.params))
        found.tell(trial.number, "finished", loss(trial.params))
    return asked


def bowl(params: Any) -> float:
    """0 at a learning rate of 10^-5.2 and beta 0.3, and round."""
    return ((math.log10(params["learning_rate"]) + 5.2) / 1.5) ** 2 + ((params["beta"] - 0.3) / 0.5) ** 2


def database(runs: Path) -> str:
    return f"sqlite:///{runs / 'studies.db'}"


def test_a_grid_has_every_combination_once_in_the_files_order(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", GRID)
    keys = ("beta", "seed", "warmup_steps", "loss_type")
    combinations = itertools.product([0.1, 0.5], [7], [0, 1, 2], ["sigmoid", "ipo"])
    assert points(made) == [dict(zip(keys, one, strict=True)) for one in combinations]
    assert list(points(made)) == []


def test_trials_are_named_by_the_sweep_and_two_digits_at_least(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", "  seed: {min: 0, max: 100}")
    names = [trial.name for trial in drain(Search(made))]
    assert names[:2] == [f"{made.id}-00", f"{made.id}-01"]
    assert names[-1] == f"{made.id}-100"


@pytest.mark.parametrize(("count", "cap", "expected"), [(5, None, 5), (None, 4, 4), (5, 4, 4), (3, 4, 3), (40, 50, 12)])
def test_the_least_of_count_run_cap_and_grid_is_the_limit(
    tmp_path: Path, count: int | None, cap: int | None, expected: int
) -> None:
    assert len(points(create(tmp_path, "grid", GRID, count, cap=cap))) == expected


def _drain_and_put(made: Sweep, results: "multiprocessing.SimpleQueue[list[tuple[int, str, str]]]") -> None:
    found, mine = Search(made), []
    for trial in drain(found):
        mine.append((trial.number, trial.name, repr(trial.params)))
        found.tell(trial.number, "finished", float(trial.number), {1: 1.0})
    results.put(mine)


@pytest.mark.parametrize(
    ("method", "parameters", "count", "expected", "url"),
    [
        ("grid", GRID, None, 12, False),
        ("random", MIXED, 17, 17, False),
        ("random", NUMERIC, 17, 17, False),
        ("bayes", MIXED, 17, 17, False),
        ("grid", GRID, None, 12, True),
        ("bayes", NUMERIC, 15, 15, True),
    ],
)
def test_four_processes_that_open_one_sweep_at_once_share_its_trials(
    tmp_path: Path, method: str, parameters: str, count: int | None, expected: int, url: bool
) -> None:
    made = create(tmp_path, method, parameters, count, storage=database(tmp_path) if url else None)
    results = FORK.SimpleQueue()
    processes = [FORK.Process(target=_drain_and_put, args=(made, results)) for _ in range(4)]
    for process in processes:
        process.start()
    shares = [results.get() for _ in processes]
    for process in processes:
        process.join()
    asked = sorted(one for share in shares for one in share)
    assert [number for number, _, _ in asked] == list(range(expected))
    assert len({params for _, _, params in asked}) == expected
    known = Search(made).trials()
    assert [(one.state, one.value) for one in known] == [("finished", float(n)) for n in range(expected)]
    assert [(one.trial.number, one.trial.name, repr(one.trial.params)) for one in known] == asked


@pytest.mark.parametrize("url", [False, True])
def test_what_is_told_is_known_to_all(tmp_path: Path, url: bool) -> None:
    made = create(tmp_path, "random", NUMERIC, count=8, storage=database(tmp_path) if url else None)
    one, other = Search(made), Search(made)
    for _ in range(8):
        one.ask()
    one.tell(0, "finished", 0.5, {10: 0.7, 20: 0.5})
    other.tell(1, "pruned", 0.9, {10: 0.9})
    one.tell(2, "finished", math.nan)
    other.tell(3, "finished", None)
    one.tell(4, "failed", None)
    other.tell(5, "pruned", None)
    one.tell(6, "failed", 0.1)
    expected = [("finished", 0.5), ("pruned", 0.9), *[("failed", None)] * 3, ("pruned", None), ("failed", None)]
    for found in (one, other, Search(made)):
        assert [(known.state, known.value) for known in found.trials()] == [*expected, ("running", None)]
    assert one._trials()[0].intermediate_values == {10: 0.7, 20: 0.5}


def test_what_was_told_first_counts(tmp_path: Path) -> None:
    made = create(tmp_path, "random", NUMERIC, count=1)
    one, other = Search(made), Search(made)
    one.ask()
    one.tell(0, "finished", 0.5)
    other.tell(0, "failed", None, {1: 2.0})
    assert [(known.state, known.value) for known in other.trials()] == [("finished", 0.5)]


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize("parameters", [NUMERIC, MIXED])
def test_a_seed_gives_the_same_trials_again_also_when_reopened_after_each(
    tmp_path: Path, method: str, parameters: str
) -> None:
    first = points(create(tmp_path / "a", method, parameters, 16), bowl)
    made, again = create(tmp_path / "b", method, parameters, 16), []
    while (trial := Search(made).ask()) is not None:
        again.append(trial.params)
        Search(made).tell(trial.number, "finished", bowl(trial.params))
    assert again == first
    assert points(create(tmp_path / "c", method, parameters, 16, seed=1), bowl) != first


def test_random_numbers_are_evenly_spread(tmp_path: Path) -> None:
    """The first 16 points of a scrambled Sobol sequence have one in each sixteenth of every parameter.

    learning_rate: log10 from -7 to -4, so a sixteenth is 3/16; beta: 0.01 to 1.0, a sixteenth is 0.99/16.
    """
    found = points(create(tmp_path, "random", NUMERIC, 16))
    assert sorted(int((math.log10(one["learning_rate"]) + 7) / 3 * 16) for one in found) == list(range(16))
    assert sorted(int((one["beta"] - 0.01) / 0.99 * 16) for one in found) == list(range(16))


@pytest.mark.parametrize("method", ["random", "bayes"])
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("  beta: {values: [0.1, 0.5, 1.0]}\n  loss_type: {values: [sigmoid, ipo, hinge]}\n", 9),
        ("  loss_type: {values: [sigmoid, ipo]}\n  warmup_steps: {min: 1, max: 6}\n", 12),
        ("  warmup_steps: {min: 1, max: 14}\n", 14),
        ("  loss_type: {values: [sigmoid, ipo, hinge], probabilities: [0.5, 0.25, 0.25]}\n", 3),
    ],
)
def test_a_space_that_can_be_listed_is_tried_once_and_then_used_up(
    tmp_path: Path, method: str, parameters: str, expected: int
) -> None:
    found = points(create(tmp_path, method, parameters, count=100))
    assert len(found) == len({repr(one) for one in found}) == expected


def test_probabilities_are_kept_to(tmp_path: Path) -> None:
    """Of 100 draws with a probability of 0.9, sobol points are 90 within 3 (they spread evenly)."""
    made = create(
        tmp_path,
        "random",
        "  loss_type: {values: [sigmoid, ipo], probabilities: [0.9, 0.1]}\n  beta: {min: 0.1, max: 1.0}\n",
        100,
    )
    assert Counter(one["loss_type"] for one in points(made))["sigmoid"] == pytest.approx(90, abs=3)


def test_bayes_with_30_trials_beats_random_on_the_mean_of_10_seeds(tmp_path: Path) -> None:
    best: dict[str, list[float]] = {}
    for method, seed in itertools.product(("random", "bayes"), range(10)):
        made = create(tmp_path / f"{method}{seed}", method, NUMERIC, 30, seed)
        best.setdefault(method, []).append(min(map(bowl, points(made, bowl))))
    assert statistics.mean(best["bayes"]) < statistics.mean(best["random"]) / 2


def test_bayes_maximizes_where_that_is_the_goal(tmp_path: Path) -> None:
    """The goal is at beta = 1.0: of 30 trials, the last 10 by chance would have a mean beta of 0.5."""
    made = create(tmp_path, "bayes", NUMERIC, 30, maximize=True)
    assert statistics.mean(one["beta"] for one in points(made, lambda params: params["beta"])[20:]) > 0.8


def test_bayes_keeps_away_from_where_runs_fail(tmp_path: Path) -> None:
    """Learning rates above 10^-5.5, half the range, fail: by chance 15 of the last 30 would be there."""

    def loss(params: Any) -> float | None:
        return None if params["learning_rate"] > 10**-5.5 else bowl({**params, "learning_rate": 10**-5.2})

    asked = points(create(tmp_path, "bayes", NUMERIC, 40), loss)[10:]
    assert sum(one["learning_rate"] > 10**-5.5 for one in asked) < 10


def test_trials_of_parallel_workers_differ(tmp_path: Path) -> None:
    """Ten trials are asked with none told between: TPE takes those that run for bad, and does not repeat them."""
    made = create(tmp_path, "bayes", MIXED, 40)
    found = Search(made)
    for _ in range(15):
        trial = found.ask()
        assert trial is not None
        found.tell(trial.number, "finished", bowl(trial.params))
    asked = list(itertools.islice(drain(found), 10))
    assert len({trial.params["beta"] for trial in asked}) == 10


def test_nothing_of_optuna_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    points(create(tmp_path, "bayes", MIXED, 13), bowl)
    points(create(tmp_path, "random", NUMERIC, 3, storage=database(tmp_path)))
    assert capfd.readouterr() == ("", "")


@contextmanager
def killed(target: Callable[..., None], *args: Any) -> Iterator[Any]:
    """A process that has told something, before and after it was killed by signal 9."""
    results = FORK.SimpleQueue()
    process = FORK.Process(target=target, args=(*args, results))
    process.start()
    told = results.get()
    try:
        yield told, process
    finally:
        process.kill()
        process.join()


def _ask_and_wait(made: Sweep, count: int, results: "multiprocessing.SimpleQueue[list[Trial]]") -> None:
    found = Search(made)
    results.put(list(itertools.islice(drain(found), count)))
    signal.pause()


def _take_back(made: Sweep, results: "multiprocessing.SimpleQueue[list[Trial]]") -> None:
    found, taken = Search(made), []
    while (trial := found.take_back()) is not None:
        taken.append(trial)
    results.put(taken)
    signal.pause()  # a process that has ended would be dead too, and what it took, free again


@pytest.mark.parametrize("url", [False, True])
def test_trials_of_a_killed_driver_are_taken_back_by_one_of_four(tmp_path: Path, url: bool) -> None:
    made = create(tmp_path, "grid", GRID, storage=database(tmp_path) if url else None)
    with killed(_ask_and_wait, made, 5) as (asked, process):
        found = Search(made)
        mine = found.ask()
        assert found.take_back() is None  # both drivers live
        assert mine is not None
        assert mine.number == 5
        process.kill()
        process.join()
    found.tell(1, "finished", 0.5)
    results = FORK.SimpleQueue()
    processes = [FORK.Process(target=_take_back, args=(made, results)) for _ in range(4)]
    for one in processes:
        one.start()
    taken = sorted((trial for _ in processes for trial in results.get()), key=lambda trial: trial.number)
    assert found.take_back() is None
    for one in processes:
        one.kill()
        one.join()
    assert taken == [asked[number] for number in (0, 2, 3, 4)]
    assert found.take_back() == asked[0]
    assert [trial.number for trial in drain(found)] == list(range(6, 12))


def test_a_trial_whose_run_goes_on_without_its_driver_is_not_taken_back(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", GRID)
    with killed(_ask_and_wait, made, 2) as (_, process):
        process.kill()
        process.join()
    run = RunWriter(tmp_path, f"{made.id}-00")
    run.publish({"sweep": made.id})
    latest = run.directory / "latest.json"
    latest.write_bytes(orjson.dumps({"host": "elsewhere", "pid": 1}))
    found = Search(made)
    second = found.take_back()
    assert second is not None
    assert second.number == 1
    assert found.take_back() is None
    os.utime(latest, (time.time() - store.STALE - 1,) * 2)
    first = found.take_back()
    assert first is not None
    assert first.number == 0


def test_a_trial_of_another_machine_is_taken_back_when_that_gives_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = create(tmp_path, "grid", GRID)
    with monkeypatch.context() as there:
        there.setattr("socket.gethostname", lambda: "elsewhere")
        Search(made).ask()
    assert Search(made).take_back() is None
    (sign,) = (made.folder / "drivers").glob("elsewhere *")
    os.utime(sign, (time.time() - store.STALE - 1,) * 2)
    assert Search(made).take_back() is not None
    assert Search(made).take_back() is None


def _hold(path: Path, results: "multiprocessing.SimpleQueue[bool]") -> None:
    with Lock(path):
        results.put(True)
        signal.pause()


def test_the_lock_of_a_killed_process_does_not_hang_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "Lock", partial(Lock, grace=3))
    made = create(tmp_path, "random", NUMERIC, 2)
    with killed(_hold, made.folder / "study.journal"):
        pass
    assert (made.folder / "study.journal.lock").exists()
    start = time.monotonic()
    assert Search(made).ask() is not None
    assert 2 < time.monotonic() - start < 15
    assert journal.GRACE == 30


def test_a_lock_that_others_broke_is_known_to_be_lost_and_not_taken_from_them(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with Lock(tmp_path / "x") as lock:
        with lock:
            assert lock.held()
        assert lock.held()
        path.unlink()
        assert not lock.held()
        time.sleep(0.01)
        path.touch()
        assert not lock.held()
    assert path.exists()


def test_a_process_that_lost_the_lock_asks_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = create(tmp_path, "random", NUMERIC, 2)
    found, other = Search(made), Search(made)
    draw = found._draws.draw

    def slow_draw(*args: Any) -> Any:
        """Suspended for so long, the first time, that another process broke the lock and got a trial."""
        monkeypatch.setattr(found._draws, "draw", draw)
        drawn = draw(*args)
        (made.folder / "study.journal.lock").unlink()
        assert other.ask() is not None
        return drawn

    monkeypatch.setattr(found._draws, "draw", slow_draw)
    trial = found.ask()
    assert trial is not None
    assert trial.number == 1
    first, second = (known.trial.params for known in found.trials())
    assert first != second
    assert found.ask() is None


def test_a_journal_cut_at_any_byte_opens_and_goes_on(tmp_path: Path) -> None:
    """Each line of the journal whole, its first bytes, all but its last ones; the last two lines at every byte."""
    made = create(tmp_path, "grid", GRID)
    found = Search(made)
    for _ in range(3):
        found.ask()
    found.tell(0, "finished", 0.5, {10: 0.5})
    found.ask()
    path = made.folder / "study.journal"
    content = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(content) if byte == ord("\n")]
    near = {end + shift for end in (0, *ends) for shift in (-2, -1, 0, 1, 2)}
    cuts = sorted(cut for cut in near | set(range(ends[-2] - 60, len(content), 7)) if 0 <= cut <= len(content))
    for cut in cuts:
        path.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        opened = Search(made)
        trials = sum(line.startswith(b'{"op_code":4') for line in content.splitlines()[:whole])
        assert [known.trial.number for known in opened.trials()] == list(range(trials))
        trial = opened.ask()
        assert trial is not None
        assert trial.number == trials
        opened.tell(trial.number, "finished", 0.1)
        assert Search(made).trials()[trials].value == 0.1
        assert path.read_bytes().endswith(b"\n")
    assert len(cuts) > 60


def test_a_damaged_line_is_told_in_one_line(tmp_path: Path) -> None:
    made = create(tmp_path, "grid", GRID)
    found = Search(made)
    for _ in range(3):
        found.ask()
    path = made.folder / "study.journal"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], lines[2][:20] + b"\n", *lines[3:]]))
    with pytest.raises(SweepError, match=r"study\.journal is damaged .*restore it") as caught:
        Search(made)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["nonsense", "nonsense://me:hunter2@x/y", "sqlite:////no/such/folder/x.db", "postgresql://me:hunter2@[/y"]
)
def test_a_database_that_cannot_be_opened_is_told_in_one_line_without_its_password(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("URL", url)
    with pytest.raises(SweepError, match=r"the study in the database of --storage cannot be used: .") as caught:
        Search(create(tmp_path, "grid", GRID, storage="$URL"))
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_sweeps_of_two_folders_share_a_database(tmp_path: Path) -> None:
    one, other = (create(tmp_path / name, "grid", GRID, 2, storage=database(tmp_path)) for name in "ab")
    assert one.id == other.id
    assert len(points(one)) == len(points(other)) == 2
