"""What tests/test_ray_engine.py does with Ray, in a process of its own: python ray_scenarios.py SCENARIO FOLDER ..."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from training.alive import trains
from training.record import reader
from training.record.writer import RunWriter
from training.sweeps.ray_engine import RayEngine
from training.sweeps.trial import Ended, SweepError, Task

STEPS = 12
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
LIMIT = 200.0  # seconds for anything to happen


def until(told: str, happened: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT
    while not happened():
        assert time.monotonic() < limit, f"in {LIMIT} s never: {told}"
        time.sleep(0.1)


def train_in_steps() -> Callable[[Task], Ended]:
    """Counts to STEPS in a run's record, from its newest checkpoint if it has one; slow enough to be killed."""
    import os
    import time
    from pathlib import Path

    from training.record import reader
    from training.record.writer import RunWriter
    from training.sweeps.trial import Ended

    def run(task):
        words = dict(word.split("=", 1) for word in task.argv)
        directory = Path(words["--runs"]) / task.name
        if "--resume" in words:
            writer = RunWriter.reopen(directory, reader.read_progress(directory)[0])
        else:
            writer = RunWriter(directory.parent, task.name)
            writer.publish({"config": {}, "sweep": words["--sweep"]})
        writer.notice(0, "worker", f"{os.getpid()}")
        begun = max((int(path.name.split("-")[1]) for path in writer.checkpoints.glob("checkpoint-*")), default=0)
        for step in range(begun + 1, STEPS + 1):
            time.sleep(0.25)
            writer.log(step, None, {"train/loss": 1 / step, "begun": begun})
            folder = writer.checkpoints / f".checkpoint-{step}"
            folder.mkdir()
            (folder / "trainer_state.json").write_text(str(step))
            folder.rename(writer.checkpoints / f"checkpoint-{step}")
        writer.finish("finished")
        return Ended(task.number, "finished")

    return run


def drive(engine: RayEngine, runs: Path, count: int, watch: Callable[[], None]) -> list[list[object]]:
    """Runs `count` tasks as the driver does: a task whose worker died is given to another once. All that ended."""
    waiting, running, ended = list(range(count)), 0, []
    limit = time.monotonic() + LIMIT
    while waiting or running:
        assert time.monotonic() < limit, "the tasks do not end"
        while waiting and engine.free():
            number = waiting.pop(0)
            name = f"sweep-{number:02}"
            how = f"--resume={runs / name}" if (runs / name).exists() else f"--name={name}"
            engine.start(Task(number, name, (how, "--sweep=sweep", f"--runs={runs}"), {}))
            running += 1
        for one in engine.ended(0.2):
            running -= 1
            ended.append([one.number, one.status, one.error])
            waiting += [one.number] if one.status == "died" else []
        watch()
    return ended


def begin(runs: Path, name: str, steps: int) -> None:
    """A run as its killed worker leaves it."""
    writer = RunWriter(runs, name)
    writer.publish({"config": {}, "sweep": "sweep"})
    writer.notice(0, "worker", f"{os.getpid()}")
    for step in range(1, steps + 1):
        writer.log(step, None, {"train/loss": 1 / step, "begun": 0})
    (writer.checkpoints / f"checkpoint-{steps}").mkdir()
    (writer.checkpoints / f"checkpoint-{steps}" / "trainer_state.json").write_text(str(steps))


def two_nodes(folder: Path) -> dict[str, object]:
    """Six tasks on two nodes; one node is killed when its task is in the middle, another one comes in its place. Two of
    the runs have begun before, one in the folder of runs, one in the store alone.
    """
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    node = cluster.add_node(**NODE)
    runs, store = folder / "runs", folder / "store"
    begin(runs, "sweep-00", 2)
    begin(store, "sweep-01", 2)
    engine = RayEngine(cluster.address, gpus_per_trial=0, store=f"file://{store}", runs=runs, make=train_in_steps)
    until("both workers have begun", lambda: engine.free() == 2)
    killed: list[str] = []

    def watch() -> None:
        for path in () if killed else sorted(store.glob("sweep-*")):
            pid = int(json.loads((path / "notices.jsonl").read_text().splitlines()[-1])["message"])
            of_node = any(process.pid == node.all_processes["raylet"][0].process.pid for process in _parents(pid))
            if of_node and (path / "checkpoints" / "checkpoint-3").exists() and not (path / "summary.json").exists():
                killed.append(path.name)
                cluster.remove_node(node, allow_graceful=False)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # it would go on for two seconds, and may come to its end
                cluster.add_node(**NODE)

    ended = drive(engine, runs, 6, watch)
    until("another worker has begun on the new node", lambda: engine.free() == 2)
    engine.close()
    cluster.shutdown()
    return {"ended": ended, "killed": killed, "workers": engine.workers}


def _parents(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).parents() if psutil.pid_exists(pid) else []


def sweep(folder: Path, *words: str) -> dict[str, object]:
    """The whole command on two nodes, one of which is killed when it trains a run that has a checkpoint in the store.
    `words` are its own, before those of the engine.
    """
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    node = cluster.add_node(**NODE)
    raylet = node.all_processes["raylet"][0].process.pid
    store = folder / "store"
    engine = ["--engine=ray", f"--address={cluster.address}", "--gpus_per_trial=0", f"--store=file://{store}"]
    command = [sys.executable, "-m", "training.sweep", *words, *engine]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killed: list[str] = []

    def kill() -> bool:
        for path in () if killed else sorted(store.glob("[!.]*")):
            progress, ended = reader.read_progress(path)
            of_node = any(parent.pid == raylet for parent in _parents(progress.get("pid", 0)))
            if not ended and of_node and list((path / "checkpoints").glob("checkpoint-*")):
                killed.append(path.name)
                cluster.remove_node(node, allow_graceful=False)
        return bool(killed) or process.poll() is not None

    until("a run on the second node has a checkpoint", kill)
    out, err = process.communicate(timeout=LIMIT)
    cluster.shutdown()
    return {"status": process.returncode, "out": out, "err": err, "killed": killed}


def until_asked() -> Callable[[Task], Ended]:
    """Trains as training.dpo does, as far as signals go: until the run is asked to stop."""
    import time
    from pathlib import Path

    from training.callback import StopCallback
    from training.sweeps.trial import Ended

    def run(task):
        with StopCallback() as stop:
            Path(task.argv[0]).write_text(str(os.getpid()))
            while not stop.asked:
                time.sleep(0.05)
            return Ended(task.number, "stopped", "after its step")

    return run


def kill_and_stop(folder: Path) -> dict[str, object]:
    """A local cluster: a worker is killed, another takes its place, and then all are asked to stop."""
    engine = RayEngine(workers=2, gpus_per_trial=0, cpus_per_trial=0.5, make=until_asked)
    open_to = {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    until("both workers have begun", lambda: engine.free() == 2)
    files = [folder / str(number) for number in range(3)]
    for number in (0, 1):
        engine.start(Task(number, f"sweep-{number}", (str(files[number]),), {}))
    until("both tasks run", lambda: all(file.exists() and file.read_text() for file in files[:2]))
    known = [trains(int(file.read_text())) for file in files[:2]]
    os.kill(int(files[0].read_text()), signal.SIGKILL)
    died: list[Ended] = []
    until("the death is noticed", lambda: bool(died.extend(engine.ended(1)) or died))
    until("another worker has begun", lambda: engine.free() == 1)
    engine.start(Task(2, "sweep-2", (str(files[2]),), {}))
    until("its task runs", lambda: files[2].exists() and bool(files[2].read_text()))
    engine.stop()
    stopped: list[Ended] = []
    until("both have stopped", lambda: len(stopped.extend(engine.ended(1)) or stopped) == 2)
    until("they are free", lambda: engine.free() == 2)
    engine.start(Task(3, "sweep-3", (str(folder / "never"),), {}))
    until("a task after that", lambda: len(stopped.extend(engine.ended(1)) or stopped) == 3)
    engine.close()
    left = [process.name() for process in psutil.Process().children(recursive=True)]
    told = [[one.number, one.status, one.error] for one in (*died, *sorted(stopped, key=lambda one: one.number))]
    return {
        "ended": told,
        "open_to": sorted(open_to),
        "left": left,
        "begun": (folder / "never").exists(),
        "known": known,
    }


def no_room(folder: Path) -> dict[str, object]:
    try:
        RayEngine(gpus_per_trial=1000, make=until_asked)
    except SweepError as error:
        return {"error": str(error)}
    raise AssertionError("it has found 1000 GPUs")


if __name__ == "__main__":
    scenarios: dict[str, Callable[..., dict[str, object]]]
    scenarios = {"two_nodes": two_nodes, "sweep": sweep, "kill_and_stop": kill_and_stop, "no_room": no_room}
    print(json.dumps(scenarios[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
