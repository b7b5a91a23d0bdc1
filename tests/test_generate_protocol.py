"""Requests are answered in turn, whatever comes in between; a line that is none is told, and the next one counts."""

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.generate import main
from training.generating.protocol import Answers, ProtocolError, Refused, lines, parse
from training.generating.serving import Server

ROOT = Path(__file__).resolve().parent.parent
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.binary())
def test_any_bytes_are_a_request_or_a_protocol_error(line):
    try:
        assert parse(line).content
    except ProtocolError as error:
        assert str(error)


@given(JSON, JSON, st.dictionaries(st.text(), JSON, max_size=3))
def test_any_object_is_a_request_or_a_protocol_error_that_keeps_its_id(id, do, more):
    is_id = isinstance(id, int) and not isinstance(id, bool)
    content = {**more, "id": id, "do": do}
    try:
        request = parse(orjson.dumps(content))
        assert is_id
        assert (request.id, request.do, request.content) == (id, do, content)
    except ProtocolError as error:
        assert error.id == (id if is_id else None)


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b"")), max_size=5), st.binary(max_size=5), st.data())
def test_lines_are_whole_however_they_come(whole, rest, data):
    """The last one counts without a line break too."""
    content = b"".join(line + b"\n" for line in whole) + rest.replace(b"\n", b"")
    out, into = os.pipe()
    cut = data.draw(st.integers(0, len(content)))
    os.write(into, content[:cut])
    found = lines(out)
    os.write(into, content[cut:])
    os.close(into)
    assert list(found) == content.removesuffix(b"\n").split(b"\n") if content else list(found) == []
    os.close(out)


class Conversation:
    """A server that echoes, except what it is told to do otherwise."""

    def __init__(self) -> None:
        self.sink = io.BytesIO()
        self.server = Server(Answers(self.sink))
        self.started, self.go_on = threading.Event(), threading.Event()
        self.handlers = {"echo": self.echo, "wait": self.wait, "refuse": self.refuse, "break": self.broken}

    def echo(self, job):
        return {"said": job.request.content["say"]}

    def wait(self, job):
        self.started.set()
        assert self.go_on.wait(10)
        job.check()
        return {}

    def refuse(self, job):
        raise Refused("there is a reason")

    def broken(self, job):
        raise ZeroDivisionError("a bug\nof two lines")

    def hold(self, *requests: bytes) -> list[dict[str, object]]:
        self.server.listen(requests)
        self.server.work(self.handlers)
        return self.answers()

    def answers(self) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in self.sink.getvalue().splitlines()]


def request(id: int, do: str, **content: object) -> bytes:
    return orjson.dumps({"id": id, "do": do, **content})


def test_requests_are_answered_in_order_and_with_the_time_they_took():
    answers = Conversation().hold(request(7, "echo", say="a"), request(3, "echo", say="b"))
    assert [(answer["id"], answer["said"]) for answer in answers] == [(7, "a"), (3, "b")]
    assert all(0 <= answer["seconds"] < 5 for answer in answers)


def test_broken_lines_are_told_and_the_next_one_is_answered():
    answers = Conversation().hold(b"{", b"", b"[]", b'{"id": 4}', request(5, "echo", say="still here"))
    assert [answer["id"] for answer in answers] == [None, None, 4, 5]
    assert answers[0]["error"].startswith("not JSON")
    assert answers[3]["said"] == "still here"


def test_an_unknown_request_is_told_what_is_known():
    (answer,) = Conversation().hold(request(1, "dance"))
    assert answer["error"] == "nothing here does 'dance'; known: break, cancel, echo, ping, refuse, wait"


def test_a_reason_is_told_as_it_is_and_a_bug_in_one_line(capsys):
    reason, bug, fine = Conversation().hold(request(1, "refuse"), request(2, "break"), request(3, "echo", say=""))
    assert reason == {"id": 1, "error": "there is a reason"}
    assert bug == {"id": 2, "error": "ZeroDivisionError: a bug of two lines"}
    assert fine["said"] == ""
    assert "Traceback" in capsys.readouterr().err


def test_an_id_that_is_in_use_is_refused():
    answers = Conversation().hold(request(1, "echo", say="a"), request(1, "echo", say="b"))
    assert [answer.get("said") for answer in answers] == [None, "a"]
    assert "not answered yet" in answers[0]["error"]


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def at_work() -> Iterator[tuple[Conversation, int]]:
    """A conversation whose server works on request 1, and where to write the next ones."""
    talk = Conversation()
    out, into = os.pipe()
    threads = [
        threading.Thread(target=talk.server.listen, args=(lines(out),)),
        threading.Thread(target=talk.server.work, args=(talk.handlers,)),
    ]
    for thread in threads:
        thread.start()
    os.write(into, request(1, "wait") + b"\n")
    assert talk.started.wait(10)
    yield talk, into
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    os.close(out)


def test_what_waits_and_what_is_worked_on_can_be_cancelled(at_work):
    talk, into = at_work
    for line in (request(2, "echo", say="x"), request(2, "cancel"), request(1, "cancel"), request(99, "cancel")):
        os.write(into, line + b"\n")
    os.write(into, request(3, "ping") + b"\n")
    until(lambda: len(talk.answers()) == 1)  # by then the others were heard
    talk.go_on.set()
    os.close(into)
    until(lambda: len(talk.answers()) == 3)
    ping, first, second = sorted(talk.answers(), key=lambda answer: -answer["id"])
    assert (ping["id"], ping["pid"], ping["waiting"]) == (3, os.getpid(), 2)
    assert (first, second) == ({"id": 2, "error": "cancelled"}, {"id": 1, "error": "cancelled"})


def test_with_the_end_of_the_input_what_was_asked_is_still_answered(at_work):
    talk, into = at_work
    os.write(into, request(2, "echo", say="last"))
    os.close(into)
    talk.go_on.set()
    until(lambda: len(talk.answers()) == 2)
    assert [answer["id"] for answer in talk.answers()] == [1, 2]


def test_without_requests_the_work_ends():
    talk = Conversation()
    talk.server.work(talk.handlers, idle=0.05)  # returns
    assert talk.answers() == []


@pytest.mark.parametrize("words", [["--memory", "0"], ["--memory", "much"], ["--idle", "-1"], ["--idle", "nan"]])
def test_memory_and_idle_time_are_above_zero(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_command_listens_before_it_has_loaded_the_libraries():
    code = "import sys, training.generate; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
