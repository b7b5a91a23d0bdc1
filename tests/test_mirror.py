"""A node's runs and the store are kept alike, and who reads the store sees nothing half-copied."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from training.record import reader
from training.record.writer import SCORE_COLUMNS, RunWriter
from training.sweeps.mirror import Mirror
from training.sweeps.trial import SweepError


@pytest.fixture(params=["folder", "file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that can move folders, by path and by URL, and one that, as object stores do, only copies files."""
    yield {"folder": f"{tmp_path}/a store", "file": f"file://{tmp_path}/store", "memory": "memory://store/of runs"}[
        request.param
    ]
    if request.param == "memory":
        with suppress(FileNotFoundError):
            MemoryFileSystem().rm("/store", recursive=True)


def content(store: str) -> dict[str, bytes]:
    """Every file of the store by its path, hidden ones too."""
    fs, root = fsspec.url_to_fs(store)
    return {path.removeprefix(root).strip("/"): fs.cat_file(path) for path in fs.find(root)}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def begin(runs: Path, name: str = "sweep-01", sweep: str = "sweep") -> RunWriter:
    runs.mkdir(exist_ok=True)
    run = RunWriter(runs, name)
    run.publish({"config": {}, "sweep": sweep})
    return run


def evaluate(run: RunWriter, step: int) -> None:
    run.scores(step, SCORE_COLUMNS.empty_table())
    run.log(step, step / 10, {"eval/loss": 1 / step})


def save(run: RunWriter, name: str, weights: bytes) -> None:
    """A checkpoint as TRL leaves it: prepared under a hidden name, moved when it is whole."""
    hidden = run.checkpoints / f".{name}.new"
    hidden.mkdir()
    for file in ("config.json", "model.safetensors", "optimizer.pt", "trainer_state.json"):
        (hidden / file).write_bytes(weights)
    shutil.rmtree(run.checkpoints / name, ignore_errors=True)
    hidden.rename(run.checkpoints / name)


def test_a_run_is_in_the_store_as_it_is_on_the_node_and_comes_to_another_node_the_same(store, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    run, mirror = begin(here), Mirror(store, here)
    mirror.push("sweep-01")
    evaluate(run, 10)
    save(run, "checkpoint-10", b"ten")
    save(run, "best", b"ten")
    mirror.push("sweep-01")
    evaluate(run, 20)
    save(run, "best", b"twenty")
    save(run, "checkpoint-20", b"twenty")
    shutil.rmtree(run.checkpoints / "checkpoint-10")
    mirror.push("sweep-01")
    assert content(store) == on_disk(here)
    Mirror(store, there).pull("sweep-01")
    assert on_disk(there) == on_disk(here)
    run.finish("finished")
    mirror.push("sweep-01")
    assert content(store) == on_disk(here)
    assert "sweep-01/latest.json" not in content(store)


def test_a_run_resumed_on_another_node_goes_on_in_the_store(store, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    run = begin(here)
    evaluate(run, 10)
    save(run, "checkpoint-10", b"ten")
    run.finish("stopped")
    first = Mirror(store, here)
    first.push("sweep-01")
    other = Mirror(store, there)
    other.pull("sweep-01")
    again = RunWriter.reopen(there / "sweep-01", reader.read_progress(there / "sweep-01")[0])
    evaluate(again, 20)
    shutil.rmtree(again.checkpoints / "checkpoint-10")
    save(again, "checkpoint-20", b"twenty")
    other.push("sweep-01")
    assert content(store) == on_disk(there)
    assert "sweep-01/summary.json" not in content(store)
    first.pull("sweep-01")
    assert on_disk(here) == on_disk(there)


class Watched:
    """A file system that shows the store to `look` after each operation that changes it, and counts uploads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, look) -> None:
        self.sent: list[str] = []
        for kind in (LocalFileSystem, MemoryFileSystem):
            for name in ("put_file", "mv", "rm", "cp_file"):
                monkeypatch.setattr(kind, name, self._shown(getattr(kind, name), name, look))

    def _shown(self, operation, name, look):
        def shown(fs, *args, **options):
            found = operation(fs, *args, **options)
            if name == "put_file":
                self.sent.append(args[1])
            look()
            return found

        return shown


def is_checkpoint(names: set[str]) -> bool:
    """Whether readers take a folder with these files for a checkpoint: `checkpoints.is_whole`, from_pretrained."""
    return {"trainer_state.json", "config.json"} <= names


def test_a_reader_of_the_store_never_sees_a_checkpoint_in_part(store, tmp_path, monkeypatch):
    """At every moment a checkpoint that looks like one has all four files, all of one saving, and what latest.json
    calls the best step is a step whose weights are there.
    """
    here = tmp_path / "here"
    run, mirror, seen = begin(here), Mirror(store, here), []

    def look() -> None:
        files = content(store)
        for folder in ("best", "checkpoint-10", "checkpoint-20"):
            start = f"sweep-01/checkpoints/{folder}/"
            found = {path.removeprefix(start): data for path, data in files.items() if path.startswith(start)}
            if is_checkpoint(set(found)):
                assert len(found) == 4
                assert len(set(found.values())) == 1
                seen.append(folder)
        if "sweep-01/latest.json" in files and b'"best_step": 20' in files["sweep-01/latest.json"]:
            assert files["sweep-01/checkpoints/best/config.json"] == b"twenty"
        if "sweep-01/summary.json" in files:
            assert "sweep-01/checkpoints/checkpoint-20/trainer_state.json" in files
            assert "sweep-01/scores/step-20.parquet" in files

    mirror.push("sweep-01")
    Watched(monkeypatch, look)
    for step, weights in ((10, b"ten"), (20, b"twenty")):
        evaluate(run, step)
        save(run, "best", weights)
        run.best(step, "eval/loss", {"eval/loss": 1 / step})
        save(run, f"checkpoint-{step}", weights)
        if step == 10:
            mirror.push("sweep-01")
    run.finish("finished")
    mirror.push("sweep-01")
    assert {"best", "checkpoint-10", "checkpoint-20"} <= set(seen)


def test_only_what_changed_is_sent_and_fetched(store, tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    run, mirror, other = begin(here), Mirror(store, here), Mirror(store, there)
    evaluate(run, 10)
    save(run, "best", b"ten")
    mirror.push("sweep-01")
    other.pull("sweep-01")
    watched = Watched(monkeypatch, lambda: None)
    mirror.push("sweep-01")
    assert watched.sent == []
    evaluate(run, 20)
    mirror.push("sweep-01")
    sent = sorted(Path(path).name.strip(".").removesuffix(".part") for path in watched.sent)
    assert sent == ["latest.json", "metrics.jsonl", "step-20.parquet"]
    old = {path: path.stat().st_ino for path in (there / "sweep-01").rglob("*") if path.is_file()}
    other.pull("sweep-01")
    fetched = {path.name for path, node in old.items() if path.stat().st_ino != node}
    assert fetched == {"latest.json", "metrics.jsonl"}
    assert on_disk(there) == on_disk(here)


def test_a_worker_gets_the_records_of_its_siblings_without_their_checkpoints(store, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    mirror = Mirror(store, here)
    for name in ("sweep-01", "sweep-02", "other-01"):
        run = begin(here, name)
        evaluate(run, 10)
        save(run, "best", b"ten")
        mirror.push(name)
    other = Mirror(store, there)
    other.pull_sweep("sweep", but="sweep-02")
    assert [path.name for path in there.iterdir()] == ["sweep-01"]
    assert reader.score_steps(there / "sweep-01") == [10]
    assert reader.read_run(there / "sweep-01").sweep == "sweep"
    assert not (there / "sweep-01" / "checkpoints").exists()


def test_what_another_writer_adds_to_a_run_without_its_checkpoints_leaves_them_in_the_store(store, tmp_path):
    """A driver that records why a run failed has only the run's record."""
    here, there = tmp_path / "here", tmp_path / "there"
    run, mirror, driver = begin(here), Mirror(store, here), Mirror(store, there)
    save(run, "best", b"ten")
    mirror.push("sweep-01")
    driver.pull_sweep("sweep")
    RunWriter.reopen(there / "sweep-01", {}).finish("failed", "its node died")
    driver.push("sweep-01")
    assert b"its node died" in content(store)["sweep-01/summary.json"]
    assert content(store)["sweep-01/checkpoints/best/config.json"] == b"ten"


def test_a_run_that_the_store_does_not_have_is_taken_away(store, tmp_path):
    here = tmp_path / "here"
    begin(here)
    Mirror(store, here).pull("sweep-01")
    assert not (here / "sweep-01").exists()


def test_reference_scores_go_both_ways_and_studies_stay(store, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, name in ((here, "one"), (there, "two")):
        for file in (f"reference/weights/{name}.parquet", "reference/weights/.half", "sweeps/s/study.journal"):
            (folder / ".shared" / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / ".shared" / file).write_text(name)
    ours, theirs = Mirror(store, here), Mirror(store, there)
    ours.push_shared()
    theirs.push_shared()
    ours.pull_shared()
    assert set(content(store)) == {f".shared/reference/weights/{name}.parquet" for name in ("one", "two")}
    assert (here / ".shared/reference/weights/two.parquet").read_text() == "two"
    (here / ".shared/reference/weights/one.parquet").unlink()  # joined with others into one
    ours.pull_shared()
    assert not (here / ".shared/reference/weights/one.parquet").exists()


def test_a_push_that_broke_off_leaves_nothing_behind_after_the_next(store, tmp_path, monkeypatch):
    here = tmp_path / "here"
    run, mirror = begin(here), Mirror(store, here)
    save(run, "best", b"ten")
    kind, sent = (MemoryFileSystem if store.startswith("memory") else LocalFileSystem), []
    put = kind.put_file

    def broken(fs, source, target, **options):
        sent.append(target)
        if len(sent) == 4:
            raise OSError("the network is gone")
        return put(fs, source, target, **options)

    monkeypatch.setattr(kind, "put_file", broken)
    with pytest.raises(OSError, match="the network is gone"):
        mirror.push("sweep-01")
    assert "sweep-01/checkpoints/best/config.json" not in content(store)
    (run.checkpoints / "best" / "optimizer.pt").unlink()
    mirror.push("sweep-01")
    assert content(store) == on_disk(here)


def test_a_run_that_changes_while_it_is_sent_is_sent_as_it_was_at_one_moment(tmp_path, monkeypatch):
    """The best checkpoint is replaced after each upload of another: the store has the old one, whole, and the new one
    after the next push.
    """
    here, store = tmp_path / "here", str(tmp_path / "store")
    run, mirror = begin(here), Mirror(store, here)
    save(run, "best", b"ten")
    save(run, "checkpoint-10", b"ten")
    once = [True]

    def look() -> None:
        if once:
            once.clear()
            save(run, "best", b"twenty")

    Watched(monkeypatch, look)
    mirror.push("sweep-01")
    best = "sweep-01/checkpoints/best/"
    found = {path: data for path, data in content(store).items() if path.startswith(best)}
    assert set(found.values()) == {b"ten"}
    assert len(found) == 4
    mirror.push("sweep-01")
    assert content(store)[f"{best}config.json"] == b"twenty"


def test_a_store_that_is_the_folder_of_runs_is_refused(tmp_path):
    with pytest.raises(SweepError, match="leave out --store"):
        Mirror(f"file://{tmp_path}", tmp_path)


@pytest.mark.parametrize("url", ["nothing://bucket/runs", "file:///proc/nothing/runs"])
def test_a_store_that_cannot_be_opened_is_told_in_one_line(url, tmp_path):
    with pytest.raises(SweepError, match=r"^the store .* cannot be opened: [^\n]+$"):
        Mirror(url, tmp_path)


def test_a_snapshot_costs_no_space(tmp_path, monkeypatch):
    here = tmp_path / "here"
    run = begin(here)
    save(run, "best", b"ten")
    weights, links = run.checkpoints / "best" / "model.safetensors", []
    put = LocalFileSystem.put_file

    def counted(fs, source, target, **options):
        links.append(weights.stat().st_nlink)
        return put(fs, source, target, **options)

    monkeypatch.setattr(LocalFileSystem, "put_file", counted)
    Mirror(str(tmp_path / "store"), here).push("sweep-01")
    assert set(links) == {2}
    assert [path.name for path in here.iterdir()] == ["sweep-01"]


def test_a_sweep_is_claimed_once_and_again_by_whoever_goes_on_with_it_but_by_no_other(tmp_path, store):
    """Two folders of runs with one store: a sweep of the same file and day has the same name in both."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, head in ((here, b"{1}"), (there, b"{2}")):
        (folder / ".shared" / "sweeps" / "sweep").mkdir(parents=True)
        (folder / ".shared" / "sweeps" / "sweep" / "sweep.json").write_bytes(head)
    Mirror(store, here).claim("sweep")
    Mirror(store, here).claim("sweep")
    with pytest.raises(SweepError, match=r"^the store .+ has another sweep called sweep; give this one another `name`"):
        Mirror(store, there).claim("sweep")
    assert content(store) == {".shared/sweeps/sweep/sweep.json": b"{1}"}


def test_a_run_begun_without_a_store_is_offered_and_one_that_the_store_has_is_left_as_it_is(tmp_path, store):
    here, there = tmp_path / "here", tmp_path / "there"
    evaluate(begin(here), 1)
    Mirror(store, here).offer("sweep-01")
    sent = content(store)
    assert sent == {f"sweep-01/{path}": data for path, data in on_disk(here / "sweep-01").items()}
    evaluate(begin(there), 2)
    Mirror(store, there).offer("sweep-01")
    Mirror(store, there).offer("sweep-02")
    assert content(store) == sent
