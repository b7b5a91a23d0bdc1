"""Findings on the pages: worked out beside them, never waited for, never lost."""

import logging
import threading
import time

import pytest
from make_runs import make_run

from dashboard.analysis.findings.finding import Finding
from dashboard.components import judging as module
from dashboard.components import kept_findings
from dashboard.components.evidence import Studies
from dashboard.components.judging import Judging
from dashboard.sources import cache, stamps
from dashboard.sources.catalog import Catalog


def finding(*runs, sentence="It is so."):
    return Finding("check", "warning", runs, sentence, "a source", {"n": 3, "nested": {"b": [1.5, None]}})


class Judge:
    """Finds one thing on all runs, when it is let."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None

    def __call__(self, study, at):
        self.calls.append(tuple(study))
        assert self.free.wait(10)
        if self.error:
            raise self.error
        return [finding(*study, sentence=f"{len(study)} at {at}")]


@pytest.fixture
def quick(monkeypatch):
    for name in ("AT_ONCE", "PAUSE", "TIMES"):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(module, "IDLE", 0.2)


@pytest.fixture
def judged(tmp_path, quick):
    """A catalog with one run, what judges it, and the judge."""
    make_run(tmp_path, "a", steps=20)
    judge, catalog = Judge(), Catalog(tmp_path)
    return catalog, Judging(catalog, Studies(), judge), judge


def wait(judging, at="best"):
    """The findings of the runs as they are, when they are ready."""
    until = time.monotonic() + 10
    while not (found := judging.findings(judging.catalog.snapshot(), at)).ready:
        assert time.monotonic() < until
        time.sleep(0.005)
    return [one.sentence for one in found.found]


def test_asking_does_not_wait_and_the_version_says_when_there_is_an_answer(judged):
    catalog, judging, judge = judged
    judge.free.clear()
    before = catalog.snapshot()
    assert judging.findings(before, "best") == ((), False)
    judge.free.set()
    assert wait(judging) == ["1 at best"]
    after = catalog.snapshot()
    assert (after.state, after.version != before.version) == (before.state, True)
    assert wait(judging, "last") == ["1 at last"]


def test_the_last_answer_stands_until_there_is_a_new_one_without_the_runs_that_are_gone(judged, tmp_path):
    catalog, judging, judge = judged
    make_run(tmp_path, "b", steps=20)
    assert wait(judging) == ["2 at best"]
    judge.free.clear()
    (tmp_path / "a").rename(tmp_path / ".gone")
    (left,) = judging.findings(catalog.snapshot(), "best").found
    assert (left.runs, left.sentence) == (("b",), "2 at best")
    (tmp_path / "b").rename(tmp_path / ".gone too")
    assert judging.findings(catalog.snapshot(), "best") == ((), False)
    judge.free.set()
    assert wait(judging) == ["0 at best"]


def test_many_browsers_have_it_worked_out_once(judged):
    _, judging, judge = judged
    threads = [threading.Thread(target=wait, args=(judging,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert judge.calls == [("a",)]


def test_what_is_asked_for_while_it_is_worked_out_is_not_worked_out_again(judged, monkeypatch):
    _, judging, judge = judged
    monkeypatch.setattr(module, "PAUSE", 0.05)
    settle = judging._settle

    def asked_meanwhile(at, snapshot):
        judging.findings(snapshot, at)
        settle(at, snapshot)

    monkeypatch.setattr(judging, "_settle", asked_meanwhile)
    wait(judging)
    time.sleep(0.3)
    assert judge.calls == [("a",)]


def test_new_states_wait_for_the_pause_and_only_the_newest_is_judged(judged, tmp_path, monkeypatch):
    catalog, judging, judge = judged
    monkeypatch.setattr(module, "PAUSE", 0.4)
    wait(judging)
    ended = time.monotonic()
    for name in "bcd":
        make_run(tmp_path, name, steps=20)
        assert not judging.findings(catalog.snapshot(), "best").ready
    assert wait(judging) == ["4 at best"]
    assert time.monotonic() - ended >= 0.4 - 0.01
    assert [len(runs) for runs in judge.calls] == [1, 4]


def test_an_error_is_logged_and_ends_the_wait_and_the_thread_goes_on(judged, tmp_path, caplog):
    _, judging, judge = judged
    assert wait(judging) == ["1 at best"]
    judge.error = RuntimeError("a planted fault")
    make_run(tmp_path, "b", steps=20)
    with caplog.at_level(logging.ERROR):
        assert wait(judging) == ["1 at best"]
    assert "a planted fault" in caplog.text and "Traceback" in caplog.text
    judge.error = None
    make_run(tmp_path, "c", steps=20)
    assert wait(judging) == ["3 at best"]


def test_the_thread_ends_where_nobody_asks_and_begins_again(judged, tmp_path):
    _, judging, _ = judged
    wait(judging)
    judging._thread.join(5)
    assert judging._thread is None
    make_run(tmp_path, "b", steps=20)
    assert wait(judging) == ["2 at best"]


@pytest.fixture
def kept(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(cache.FOLDER, str(tmp_path_factory.mktemp("cache")))
    cache._store.cache_clear()
    yield
    cache._store.cache_clear()


def test_a_restart_has_the_findings_at_once_unless_a_run_has_changed(judged, kept, tmp_path):
    _, judging, judge = judged
    wait(judging)
    again = Catalog(tmp_path)
    found = Judging(again, Studies(), judge).findings(again.snapshot(), "best")
    assert found == ((finding("a", sentence="1 at best"),), True)
    assert not Judging(again, Studies(), judge).findings(again.snapshot(), "last").ready
    make_run(tmp_path, "b", steps=20)
    assert not Judging(again, Studies(), judge).findings(again.snapshot(), "best").ready


def test_curves_that_were_never_read_are_laid_into_the_cache(judged, kept, monkeypatch):
    catalog, judging, _ = judged
    monkeypatch.setattr(stamps, "TICK", 0.0)
    monkeypatch.setattr(cache, "WORTH", 1)
    wait(judging)
    assert not catalog.local.keep_history("a")


def test_findings_come_back_as_they_were():
    found = (finding("a", "b"), finding())
    assert kept_findings.decode(kept_findings.encode(found)) == found


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b"[{}]", b'[{"id": 1}]', b"\xff"]
    + [
        kept_findings.encode([finding("a")]).replace(old, new)
        for old, new in [
            (b'"warning"', b'"odd"'),
            (b'["a"]', b'"a"'),
            (b'["a"]', b"[1]"),
            (b'"It is so."', b"null"),
            (b'"evidence":{', b'"evidence":[{'),
            (b'"runs"', b'"more"'),
        ]
    ],
)
def test_what_is_no_list_of_findings_is_refused(content):
    with pytest.raises(ValueError):
        kept_findings.decode(content)
