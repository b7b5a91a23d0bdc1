"""Worker processes of a sweep: what they are told, how they end, and what their death means. Workers here are scripts
that speak the protocol; tests/test_sweep.py has the real ones."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from training.sweeps import local
from training.sweeps.local import LocalEngine
from training.sweeps.trial import Ended, Task

SCRIPT = """
import json, os, signal, sys, time
print("loaded", file=sys.stderr, flush=True)
for line in sys.stdin:
    task = json.loads(line)
    what = task["argv"][0]
    if what == "answer":
        pass
    elif what == "see":
        task["error"] = " ".join(os.environ.get(name, "-") for name in task["argv"][1:])
    elif what == "pid":
        task["error"] = str(os.getpid())
    elif what == "group":
        task["error"] = str(os.getpgid(0) == os.getpid())
    elif what == "sleep":
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(InterruptedError))
        try:
            print(json.dumps(task["name"]), file=sys.stderr, flush=True)
            time.sleep(60)
        except InterruptedError:
            print(json.dumps({"number": task["number"], "status": "stopped", "error": None}), flush=True)
            continue
    elif what == "hang":
        time.sleep(60)
    elif what == "die":
        os.kill(os.getpid(), int(task["argv"][1]))
    elif what == "exit":
        sys.exit(3)
    elif what == "answer and die":
        print(json.dumps({"number": task["number"], "status": "finished", "error": None}), flush=True)
        os._exit(1)
    print(json.dumps({"number": task["number"], "status": "finished", "error": task.get("error")}), flush=True)
"""


@pytest.fixture
def engine(tmp_path, monkeypatch):
    script = tmp_path / "worker.py"
    script.write_text(SCRIPT)
    monkeypatch.setattr(local, "COMMAND", (sys.executable, str(script)))
    made = []

    def make(workers=1, threads=1, devices=()):
        made.append(LocalEngine(workers, threads, tmp_path / "logs", devices))
        return made[-1]

    yield make
    for one in made:
        one.close()


def task(number: int, *argv: str) -> Task:
    return Task(number, f"run-{number}", argv, {"method": "none"})


def outcome(engine: LocalEngine, *tasks: Task) -> dict[int, Ended]:
    """How each of the tasks ended, all of them started at once."""
    for one in tasks:
        engine.start(one)
    found: dict[int, Ended] = {}
    end = time.monotonic() + 30
    while len(found) < len(tasks):
        assert time.monotonic() < end
        found |= {ended.number: ended for ended in engine.ended(1.0)}
    return found


def test_a_worker_runs_one_task_after_another(engine):
    one = engine()
    pids = {outcome(one, task(number, "pid"))[number].error for number in range(3)}
    assert len(pids) == 1
    assert one.free() == 1


def test_no_worker_is_started_before_there_is_a_task(engine, tmp_path):
    one = engine(2)
    assert one.free() == 2
    assert one.ended(0.0) == []
    assert list((tmp_path / "logs").iterdir()) == []


def test_workers_run_at_once_each_in_a_group_of_its_own(engine):
    two = engine(2)
    found = outcome(two, task(0, "group"), task(1, "group"))
    assert [found[number].error for number in (0, 1)] == ["True", "True"]


def test_threads_and_gpus_are_dealt_out(engine):
    two = engine(2, threads=3, devices=("0", "5"))
    found = outcome(two, *(task(number, "see", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES") for number in (0, 1)))
    assert sorted(ended.error for ended in found.values()) == ["3 0", "3 5"]


def test_without_several_gpus_the_choice_is_left_alone(engine, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert outcome(engine(), task(0, "see", "CUDA_VISIBLE_DEVICES"))[0].error == "7"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("die", str(int(signal.SIGKILL))), "killed by SIGKILL, which looks like the machine running out of memory"),
        (("die", str(int(signal.SIGSEGV))), "was killed by SIGSEGV; see "),
        (("exit",), "ended with exit status 3; see "),
    ],
)
def test_a_worker_that_dies_costs_its_task_only_and_says_how(engine, argv, words):
    one = engine()
    ended = outcome(one, task(0, *argv))[0]
    assert ended.status == "died"
    assert ended.error is not None
    assert words in ended.error
    assert outcome(one, task(1, "answer"))[1] == Ended(1, "finished")


def test_the_others_go_on_when_one_dies(engine):
    two = engine(2)
    two.start(task(0, "hang"))
    assert outcome(two, task(1, "die", "9"))[1].status == "died"
    assert outcome(two, task(2, "answer"))[2].status == "finished"
    assert two.free() == 1


def test_a_worker_that_answered_before_it_died_has_not_died_with_its_task(engine):
    one = engine()
    assert outcome(one, task(0, "answer and die"))[0] == Ended(0, "finished")
    assert one.ended(0.5) == []


def test_a_worker_killed_while_idle_is_replaced(engine):
    one = engine()
    worker = psutil.Process(int(outcome(one, task(0, "pid"))[0].error or 0))
    worker.kill()
    end = time.monotonic() + 30
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
    assert outcome(one, task(1, "answer"))[1].status == "finished"


def test_stop_asks_those_that_run_and_death_is_then_no_failure(engine, tmp_path):
    """One worker answers SIGTERM in words, as training does; the other just dies of it, as while it loads."""
    two = engine(2)
    two.start(task(0, "sleep"))
    two.start(task(1, "hang"))
    end = time.monotonic() + 30
    while "run-0" not in (tmp_path / "logs" / "worker-0.log").read_text():
        assert time.monotonic() < end
        time.sleep(0.02)
    two.stop()
    found: dict[int, str] = {}
    while len(found) < 2:
        assert time.monotonic() < end
        found |= {ended.number: ended.status for ended in two.ended(1.0)}
    assert found == {0: "stopped", 1: "stopped"}


def test_close_ends_every_worker_also_one_that_hangs(engine, monkeypatch):
    """The idle one ends by itself and the other, which would sleep for a minute, is killed: neither is waited for."""
    monkeypatch.setattr(local, "_PATIENCE", 60.0)
    two = engine(2)
    pid = int(outcome(two, task(0, "pid"))[0].error or 0)
    two.start(task(1, "hang"))
    before = time.monotonic()
    two.close()
    assert time.monotonic() - before < 30
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_libraries_print_goes_to_the_log(engine, tmp_path):
    outcome(engine(), task(0, "answer"))
    assert (tmp_path / "logs" / "worker-0.log").read_text() == "loaded\n"


def test_a_worker_that_is_stopped_while_it_loads_ends_even_where_a_library_swallows_it():
    code = """if True:
        import os, signal, sys, time
        from training.sweeps import worker
        def swallows():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            except KeyboardInterrupt:
                os._exit(9)
        worker.load_libraries = swallows
        sys.exit(worker.main())
    """
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b"")
