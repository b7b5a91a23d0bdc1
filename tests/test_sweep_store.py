"""The folder of a sweep: made once, read back, its runs as their files tell."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.record.writer import RunWriter, check_name
from training.sweeps import store
from training.sweeps.plan import Objective
from training.sweeps.store import Sweep
from training.sweeps.trial import SweepError

FORK = multiprocessing.get_context("fork")
TEXT = """\ufeffmethod: grid\r
metric: {name: eval/loss, goal: minimize}  # größer ist schlechter\r
parameters:\r
  beta: {values: [0.1, 1e-2]}\r
"""


def sweep(runs: Path, name: str = "orca") -> Sweep:
    objective = Objective("eval/common_beta_loss", False, 0.1)
    argv = ("--config=recipe.yaml", "--seed", "7")
    return Sweep(store.new_id(runs, name), runs, argv, 8, 3, None, objective, {"method": "bound"}, 1763740800.25)


def test_a_sweep_comes_back_as_it_was_created_and_its_file_byte_for_byte(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    store.create(made, TEXT)
    assert store.load(tmp_path, made.id) == made
    assert made.folder == tmp_path / ".shared" / "sweeps" / made.id
    assert (made.folder / "sweep.yaml").read_bytes() == TEXT.encode()
    assert made.file().text == TEXT
    assert made.file().parameters[0].values == (0.1, 0.01)


def test_a_sweep_is_created_once(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    store.create(made, TEXT)
    with pytest.raises(SweepError, match=f"go on with it by --resume {made.id}"):
        store.create(replace(made, seed=4), TEXT)
    assert store.load(tmp_path, made.id).seed == 3


def test_an_id_has_the_name_and_the_date_and_a_number_from_the_second_on(tmp_path: Path) -> None:
    first, second, third = (store.new_id(tmp_path, "lr beta/β?") for _ in range(3))
    assert first.startswith("lr-beta-β-20")
    assert (second, third) == (f"{first}.2", f"{first}.3")


def test_an_id_is_not_given_again_while_runs_bear_it(tmp_path: Path) -> None:
    first = store.new_id(tmp_path / "a", "orca")
    (tmp_path / "b" / f"{first}-00").mkdir(parents=True)
    assert store.new_id(tmp_path / "b", "orca") == f"{first}.2"


@given(name=st.text(max_size=300))
def test_any_name_makes_an_id_that_runs_can_bear(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    runs = tmp_path_factory.mktemp("runs")
    found = store.new_id(runs, name)
    check_name(runs, f"{found}-00")
    assert not set(found) & set("*?[]{} \t\n'\"$;&|<>()!`\\~#%:")


def _take_ids(runs: Path, results: "multiprocessing.SimpleQueue[list[str]]") -> None:
    results.put([store.new_id(runs, "orca") for _ in range(10)])


def test_four_processes_get_forty_ids(tmp_path: Path) -> None:
    results = FORK.SimpleQueue()
    processes = [FORK.Process(target=_take_ids, args=(tmp_path, results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [id for _ in processes for id in results.get()]
    for process in processes:
        process.join()
    assert len(set(found)) == 40


def test_a_sweep_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"no sweep 'orca' in .*; none is there"):
        store.load(tmp_path, "orca")
    made = sweep(tmp_path)
    store.create(made, TEXT)
    store.new_id(tmp_path, "reserved and never begun")
    for id in ("orc", "quite another", "..", f"../sweeps/{made.id}", ""):
        with pytest.raises(SweepError, match=f"there: {made.id}$"):
            store.load(tmp_path, id)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda head: head[:40], "is damaged"),
        (lambda head: b"[]", "is damaged"),
        (lambda head: b"\xff", "is damaged"),
        (lambda head: head.replace(b'"seed": 3', b'"seed": "3"'), "seed is '3'"),
        (lambda head: head.replace(b'"seed"', b'"seeds"'), "is damaged .KeyError: 'seed'"),
        (lambda head: head.replace(b'"metric"', b'"name"'), "is damaged"),
        (lambda head: head.replace(b'"format": 1', b'"format": 2'), "format 2, this code reads up to 1; update"),
        (lambda head: head.replace(b'"format": 1', b'"format": null'), "is damaged"),
    ],
)
def test_a_damaged_or_newer_sweep_is_told_in_one_line(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    made = sweep(tmp_path)
    store.create(made, TEXT)
    path = made.folder / "sweep.json"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SweepError, match=message) as caught:
        store.load(tmp_path, made.id)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_password_is_not_written_down_but_the_name_of_a_variable_is(tmp_path: Path) -> None:
    made = replace(sweep(tmp_path), storage="postgresql://me:hunter2@host/optuna")
    with pytest.raises(SweepError, match="write it as \\$NAME") as caught:
        store.create(made, TEXT)
    assert "hunter2" not in str(caught.value)
    assert not (made.folder / "sweep.json").exists()
    store.create(replace(made, storage="postgresql://me:$SECRET@host/optuna"), TEXT)
    assert store.load(tmp_path, made.id).storage == "postgresql://me:$SECRET@host/optuna"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SweepError, match="cannot be written: Permission denied"):
        store.new_id(tmp_path, "orca")


def test_a_file_in_the_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / ".shared").write_text("")
    with pytest.raises(SweepError, match="cannot be written: Not a directory"):
        store.new_id(tmp_path, "orca")


@pytest.fixture
def python() -> Iterator[int]:
    """The number of a Python process that lives as long as the test."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate(b"\n")


def begin(made: Sweep, number: int, sweep_id: str | None = None, **latest: object) -> RunWriter:
    """A run of the sweep that has made one step, its latest.json changed by `latest`."""
    run = RunWriter(made.runs, f"{made.id}-{number:02d}")
    run.publish({"sweep": sweep_id or made.id, "config": {}})
    run.log(1, 0.1, {"eval/loss": 0.5})
    path = run.directory / "latest.json"
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **latest}))
    return run


def test_the_runs_of_a_sweep_have_the_states_that_their_files_tell(tmp_path: Path, python: int) -> None:
    made = sweep(tmp_path)
    for number, status in enumerate(("finished", "pruned", "stopped", "failed")):
        begin(made, number).finish(status, None)  # type: ignore[arg-type]
    begin(made, 4, pid=python)
    begin(made, 5, pid=2**22 + 1)  # above the greatest number a process can have
    begin(made, 6, host="elsewhere")
    os.utime(begin(made, 7, host="elsewhere").directory / "latest.json", (0, 0))
    (begin(made, 8).directory / "latest.json").write_text("{")  # no run, to the record's reader
    begin(made, 100, pid=python)
    begin(made, 9, sweep_id="another")
    RunWriter(tmp_path, f"{made.id}-12")  # prepared, never published
    begin(replace(made, id=f"{made.id}.2"), 0)
    found = [(run.number, run.state) for run in store.runs_of(made)]
    states = ["finished", "pruned", "stopped", "failed", "running", "dead", "running", "dead"]
    assert found == [*enumerate(states), (100, "running")]
    assert store.runs_of(made)[0].directory == tmp_path / f"{made.id}-00"


def test_a_run_that_is_not_there_is_dead(tmp_path: Path) -> None:
    assert store.run_state(tmp_path / "nothing") == "dead"


def test_a_process_lives_by_its_number_and_its_beginning_and_one_elsewhere_by_its_last_sign(tmp_path: Path) -> None:
    made = sweep(tmp_path)
    store.create(made, TEXT)
    host, pid, began = store.driver().rsplit(" ", 2)
    assert store.lives(made, store.driver())
    assert not store.lives(made, f"{host} {pid} {float(began) - 60:.2f}")  # a number that is used again
    assert not store.lives(made, f"elsewhere {pid} {began}")
    store.beat(made)
    sign = made.folder / "drivers" / store.driver()
    elsewhere = sign.rename(sign.with_name(f"elsewhere {pid} {began}"))
    assert store.lives(made, elsewhere.name)
    os.utime(elsewhere, (elsewhere.stat().st_mtime - store.STALE - 1,) * 2)
    assert not store.lives(made, elsewhere.name)
