"""The search of a sweep by many processes: what is told, through kills, lost locks and torn journals."""

import itertools
import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from searches import GRID, MIXED, NUMERIC, create, database, drain, points

from training.record.writer import RunWriter
from training.sweeps import journal, search, store
from training.sweeps.journal import Lock
from training.sweeps.search import Search
from training.sweeps.store import Sweep
from training.sweeps.trial import SweepError, Trial

pytestmark = pytest.mark.usefixtures("sweep_files_read_once")
FORK = multiprocessing.get_context("fork")


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
    assert 2 < time.monotonic() - start < journal.GRACE == 30


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
