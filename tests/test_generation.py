"""Whatever the process with the models does, a request ends with an answer or one sentence; nothing is left over."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from flask import Flask

from dashboard import generation
from dashboard.generation import GenerationError, Service, TokenRewards

FAKE = Path(__file__).resolve().parent / "fake_models.py"
ROOT = FAKE.parent.parent
FOUND = [TokenRewards(("a",), (0.5,), 0.5)] * 2


class Fake:
    """A service over the fake process, and what that has noted."""

    def __init__(self, folder: Path) -> None:
        self.run = folder / "run"
        self.run.mkdir()
        self.journal = folder / "journal"
        self.services: list[Service] = []

    def service(self, manner: str = "", patience: float = 30.0) -> Service:
        self.services.append(Service((sys.executable, str(FAKE), manner, str(self.journal)), patience))
        return self.services[-1]

    def noted(self) -> list[dict]:
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def pids(self) -> list[int]:
        return list(dict.fromkeys(row["pid"] for row in self.noted()))


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Fake]:
    made = Fake(tmp_path)
    threads = threading.active_count()
    made.before = processes()
    yield made
    for service in made.services:
        service.close()
    until(lambda: threading.active_count() <= threads)
    assert processes() == made.before  # no zombie either


def processes() -> set[int]:
    """The children of this process; other tests may have left some, such as the server of commands."""
    return {child.pid for child in psutil.Process().children()}


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


def ask(service: Service, fake: Fake, prompt: object, **other: object) -> list[TokenRewards]:
    return service.token_rewards(fake.run, prompt, ["yes", "no"], **other)


def reason(service: Service, fake: Fake, prompt: object) -> str:
    with pytest.raises(GenerationError) as found:
        ask(service, fake, prompt)
    assert "\n" not in str(found.value)
    return str(found.value)


def test_the_process_gets_the_pair_and_the_run_as_they_are(fake):
    assert ask(fake.service(), fake, [{"role": "user", "content": "é\n"}], checkpoint=40) == FOUND
    (request,) = fake.noted()
    assert request["run"] == str(fake.run)
    assert (request["prompt"], request["answers"]) == ([{"role": "user", "content": "é\n"}], ["yes", "no"])
    assert (request["do"], request["checkpoint"]) == ("token_rewards", 40)


def test_it_is_started_when_it_is_asked_and_once_for_all_threads(fake):
    service = fake.service()
    assert processes() == fake.before
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda n: ask(service, fake, f"prompt {n}"), range(100)))
    assert found == [FOUND] * 100
    assert len(fake.pids()) == 1
    assert len(fake.noted()) == 100


def test_what_is_known_is_not_asked_again_until_the_checkpoints_change(fake):
    service = fake.service()
    for _ in range(3):
        ask(service, fake, "one")
    assert len(fake.noted()) == 1
    (fake.run / "checkpoints" / "best").mkdir(parents=True)
    ask(service, fake, "one")
    assert len(fake.noted()) == 2
    (fake.run / "checkpoints" / "best").rename(fake.run / "checkpoints" / "checkpoint-4")
    ask(service, fake, "one")
    ask(service, fake, "one", checkpoint=4)
    assert len(fake.noted()) == 4


def test_many_who_ask_the_same_at_once_wait_for_one_answer(fake):
    service = fake.service()
    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(lambda _: ask(service, fake, "slow"), range(20))) == [FOUND] * 20
    assert len(fake.noted()) == 1


def test_only_the_latest_results_are_kept(fake, monkeypatch):
    monkeypatch.setattr(generation, "KEPT", 2)
    service = fake.service()
    for prompt in ("one", "two", "three", "three", "one"):
        ask(service, fake, prompt)
    assert [row["prompt"] for row in fake.noted()] == ["one", "two", "three", "one"]


def test_a_refusal_is_told_as_one_sentence_and_not_kept(fake):
    service = fake.service()
    assert reason(service, fake, "refuse") == reason(service, fake, "refuse") == "There is a reason."
    assert len(fake.noted()) == 2


def test_a_process_that_dies_is_told_with_its_last_words_and_started_again(fake, caplog):
    service = fake.service()
    found = reason(service, fake, "die")
    assert found == "The model process ended (exit status 3): MemoryError: it was too much."
    assert "MemoryError" in caplog.text
    assert ask(service, fake, "again") == FOUND
    assert len(fake.pids()) == 2


def test_a_killed_process_is_told_as_a_lack_of_memory(fake):
    assert "out of memory?" in reason(fake.service(), fake, "killed")


def test_all_who_wait_hear_of_the_death(fake):
    service = fake.service()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(reason, service, fake, "slow")]
        until(lambda: bool(fake.noted()))
        waiting += [pool.submit(reason, service, fake, f"prompt {n}") for n in range(6)]
        time.sleep(0.2)
        os.kill(fake.pids()[0], 9)
        assert all("out of memory?" in future.result(10) for future in waiting)


def test_a_process_that_hangs_is_ended_and_the_next_request_starts_another(fake):
    service = fake.service(patience=1.0)
    assert reason(service, fake, "hang") == "The model process gave no answer within 1 seconds."
    (first,) = fake.pids()
    assert not psutil.pid_exists(first)
    assert ask(service, fake, "again") == FOUND


def test_a_slow_process_that_lives_is_left_alone_and_told_that_nobody_waits(fake):
    service = fake.service(patience=30.0)
    ask(service, fake, "warm")
    service._patience = 0.5
    assert "no answer within 0.5 seconds" in reason(service, fake, "slow")
    service._patience = 30.0
    assert ask(service, fake, "again") == FOUND
    assert [row["do"] for row in fake.noted()] == ["token_rewards", "token_rewards", "cancel", "token_rewards"]
    assert len(fake.pids()) == 1


def test_a_process_that_does_not_even_read_blocks_nobody(fake):
    """A pipe holds 64 KiB; this prompt has a megabyte."""
    service = fake.service("deaf", patience=1.0)
    begun = time.monotonic()
    assert "no answer" in reason(service, fake, "x" * 2**20)
    assert time.monotonic() - begun < 10


def test_a_process_that_closes_its_output_is_ended(fake, monkeypatch):
    monkeypatch.setattr("dashboard.generation_process._SOON", 0.2)
    assert reason(fake.service(), fake, "mute") == "The model process closed its output and was ended."


def test_rubbish_on_its_output_is_passed_over(fake, caplog):
    assert ask(fake.service(), fake, "rubbish") == FOUND
    assert "Loading weights" in caplog.text


def test_an_answer_of_another_shape_is_told(fake):
    assert reason(fake.service(), fake, "nonsense") == "The model process gave an answer that cannot be read."


def test_a_flood_on_its_stderr_neither_blocks_it_nor_is_kept(fake):
    service = fake.service()
    assert ask(service, fake, "flood") == FOUND
    process = service._process
    assert process is not None
    until(lambda: len(process._last()) == 20)
    assert sum(map(len, process._last())) <= 20 * 1000


def test_a_process_that_has_ended_idle_is_started_again_unnoticed(fake):
    service = fake.service("once")
    assert ask(service, fake, "one") == FOUND
    assert ask(service, fake, "two") == FOUND
    assert len(fake.pids()) == 2


def test_a_process_that_ends_at_once_is_told(fake):
    assert reason(fake.service("idle"), fake, "one") == "The model process ends as soon as it is asked."


def test_a_command_that_is_not_there_is_told(fake):
    service = Service(("/not/here",))
    assert reason(service, fake, "one").startswith("The model process cannot be started: No such file")


def test_what_is_no_text_is_told_before_anything_is_started(fake):
    service = fake.service()
    assert "not made of texts" in reason(service, fake, object())
    assert "not made of texts" in reason(service, fake, "\ud800")
    assert processes() == fake.before


def test_closing_ends_the_process_and_tells_who_waits(fake):
    service = fake.service()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(reason, service, fake, "hang")
        until(lambda: bool(fake.noted()))
        service.close()
        assert waiting.result(10) == "The model process was ended, as the dashboard ends."
    assert not psutil.pid_exists(fake.pids()[0])


def test_with_the_server_the_process_ends_also_in_the_midst_of_work(fake):
    """A thread that waits does not keep the interpreter from ending, and nothing is said on its way out."""
    code = f"""
import sys, threading, time
from pathlib import Path
from dashboard.generation import Service
service = Service((sys.executable, {str(FAKE)!r}, "", {str(fake.journal)!r}))
ask = lambda: service.token_rewards(Path({str(fake.run)!r}), "hang", ["yes", "no"])
threading.excepthook = lambda _: None
threading.Thread(target=ask, daemon=True).start()
while not Path({str(fake.journal)!r}).exists():
    time.sleep(0.01)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, "")
    until(lambda: not psutil.pid_exists(fake.pids()[0]))


def test_a_server_that_is_killed_takes_the_process_with_it(fake):
    """Nobody is left to end it: its input ends."""
    code = f"""
import os, signal, sys
from pathlib import Path
from dashboard.generation import Service
service = Service((sys.executable, {str(FAKE)!r}, "", {str(fake.journal)!r}))
service.token_rewards(Path({str(fake.run)!r}), "one", ["yes", "no"])
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=30)
    until(lambda: not psutil.pid_exists(fake.pids()[0]))


def test_an_app_has_one_service_of_its_own():
    first, second = Flask("first"), Flask("second")
    with first.app_context(), ThreadPoolExecutor(1):
        found = {generation.service() for _ in range(3)}
    with second.app_context():
        found.add(generation.service())
    assert len(found) == 2
