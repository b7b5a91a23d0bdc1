"""The way of a file from the browser: its bytes, a name, and one sentence as the answer, whatever was sent."""

import threading

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dashboard.components import context
from dashboard.components.imports import route as upload_route
from dashboard.components.imports.route import AT_ONCE, PATH, TYPE
from dashboard.sources.catalog import Catalog
from dashboard.sources.uploads import LARGEST, content_id

EXPORT = b"Name,State,beta,eval/loss\na,finished,0.1,0.5\nb,finished,0.2,0.6\n"


@pytest.fixture
def server(tmp_path):
    server = Flask("test")
    server.config.update(MAX_CONTENT_LENGTH=64)
    server.config[context.KEY] = Catalog(tmp_path / "runs")
    upload_route.register(server)
    return server


def post(server, content=EXPORT, name="one.csv", **more):
    asked = {"content_type": TYPE, "query_string": {"name": name, "drop": "d"}, **more}
    return server.test_client().post(PATH, data=content, **asked)


def test_a_file_is_kept_and_the_answer_says_what_was_found(server):
    """It has more bytes than other requests may have."""
    answer = post(server)
    catalog = server.config[context.KEY]
    assert answer.status_code == 200
    assert answer.json == {
        "id": content_id(EXPORT), "sentence": "2 runs added.", "version": catalog.snapshot().version,
    }  # fmt: skip
    assert [run.name for run in catalog.snapshot().runs.values()] == ["a", "b"]
    assert post(server, name="two.csv").json["sentence"] == "Here already: 2 runs."


def test_a_file_that_is_no_log_is_one_sentence_and_not_kept(server):
    answer = post(server, b"text,score\n" * 9, "<b>poem</b>.csv")
    assert (answer.status_code, "id" in answer.json) == (200, False)
    assert "_b_poem__b_.csv" not in answer.json["sentence"] or "<" not in answer.json["sentence"]
    assert "seems to be a list of texts and scores" in answer.json["sentence"]
    assert server.config[context.KEY].uploads.all() == {}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", None])
def test_what_a_form_of_another_site_could_send_is_refused(server, kind):
    answer = post(server, content_type=kind)
    assert answer.status_code == 415
    assert answer.json["sentence"] == "A file is sent as application/octet-stream."


def test_a_size_over_the_limit_is_refused_before_a_byte_is_read(server):
    answer = post(server, b"", environ_overrides={"CONTENT_LENGTH": str(LARGEST + 2**20)})
    assert answer.status_code == 413
    assert answer.json["sentence"] == "The file has 257 MB, the limit is 256 MB."


def test_a_file_that_is_cut_on_its_way_is_refused(server):
    answer = post(server, EXPORT, environ_overrides={"CONTENT_LENGTH": str(len(EXPORT) + 9)})
    assert answer.status_code == 400
    assert answer.json["sentence"] == "The file did not arrive whole. Send it again."
    assert server.config[context.KEY].uploads.all() == {}


def test_a_full_disk_is_a_sentence_and_the_next_file_is_received(server, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(upload_route, "_copy", full)
        answer = post(server)
        assert answer.status_code == 507
        assert answer.json["sentence"] == "The file could not be received: No space left on device."
    assert post(server).status_code == 200


def test_no_more_files_are_received_at_once_than_the_server_has_room_for(server, monkeypatch):
    gate, inside, copy = threading.Event(), threading.Semaphore(0), upload_route._copy

    def slow(*args):
        inside.release()
        assert gate.wait(60)
        return copy(*args)

    monkeypatch.setattr(upload_route, "_copy", slow)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(post(server).status_code)) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=60)
    assert post(server).status_code == 503
    gate.set()
    for thread in threads:
        thread.join()
    assert answers == [200] * AT_ONCE
    assert post(server).status_code == 200


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
    | st.sampled_from(
        ["../../evil.csv", "/etc/passwd", "a/../../b", "..", "C:\\x\\y.csv", "\0", "x" * 5_000, "cache.db", ".."]
    )
)
def test_no_name_from_a_browser_is_a_path(server, tmp_path, name):
    """All that is written lies in the folder of uploads, under names that the database makes."""
    uploads = tmp_path / "runs" / ".shared" / "uploads"
    answer = post(server, name=name)
    assert answer.status_code == 200
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} <= {uploads, *uploads.glob("*/*")}
    assert {path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".val"} <= {"cache.db"}
    (upload,) = server.config[context.KEY].uploads.all(60).values()
    assert not set(upload.name) & set("/\\\0<>\"'")
    server.config[context.KEY].uploads.remove(answer.json["id"])
