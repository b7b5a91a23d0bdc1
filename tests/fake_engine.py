"""An engine of sweeps without workers: shared by the tests of driver and trouble."""

from training.sweeps.trial import Ended, Task


class FakeEngine:
    """Runs each task at once, in this process, by `train(task)`, and remembers the tasks."""

    def __init__(self, train, workers: int = 1) -> None:
        self.workers = workers
        self.train = train
        self.tasks: list[Task] = []
        self.stopped = False
        self._ended: list[Ended] = []

    def free(self) -> int:
        return self.workers - len(self._ended)

    def start(self, task: Task) -> None:
        self.tasks.append(task)
        self._ended.append(self.train(task))

    def ended(self, timeout: float) -> list[Ended]:
        found, self._ended = self._ended, []
        return found

    def stop(self) -> None:
        self.stopped = True

    def close(self) -> None:
        pass
