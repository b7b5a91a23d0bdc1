"""What the server answers for the Run page."""

import io
import json
import os
import re
import time
import zipfile
from dataclasses import replace
from urllib.parse import quote

import pytest
from make_runs import START, make_run
from served import fire, open_path, output_of

from dashboard.components.run import setup as run_setup
from dashboard.components.run import store as run_store
from dashboard.components.run import unknown as run_unknown
from dashboard.components.run.view import View, size
from dashboard.sources.catalog import Snapshot
from training.record.schema import Run

NAMES = (
    "with space",
    "100% sure",
    "50%25",
    "why?",
    "a#b&c=d;e",
    "ünï – 漢字 🙂",
    "<b>bold</b>"[:7],
    "a+b",
    'it\'s "quoted"',
    "back\\slash",
)


def text_of(client, path: str, search: str = "") -> str:
    answer = open_path(client, path, search)
    assert answer.status_code == 200
    return spelled(answer.get_json())


def spelled(found) -> str:
    """An answer as JSON without escapes, which an error would have a toast in."""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    assert "error-toast" not in text
    return text


@pytest.mark.parametrize("name", NAMES)
def test_any_name_leads_to_its_page(client, tmp_path, name):
    make_run(tmp_path, name)
    text = text_of(client, f"/run/{quote(name, safe='')}")
    assert '"id":"run-head"' in text and json.dumps(name, ensure_ascii=False) in text
    assert f'"/run/{quote(name, safe="")}"' in text, "the link of the page is that of the browser's address"


def upload(client, name: str, content: bytes) -> list[Run]:
    """The runs that an upload adds."""
    from dashboard.components import context

    with client.application.app_context():
        context.catalog().uploads.add(name, content)
        return [run for run in context.catalog().snapshot().runs.values() if run.id != "one"]


def test_a_foreign_run_says_what_is_missing_and_why(client):
    content = b"Name,State,beta,eval/loss,eval/rewards/accuracies\na/b c,finished,0.1,0.5,0.8\n"
    (run,) = upload(client, "x.csv", content)
    text = text_of(client, f"/run/{quote(run.id, safe='')}")
    assert '"id":"run-head"' in text and "a/b c" in text
    for words in ("It has no curves", "No checkpoints are known here", "No answers were recorded", "no files to show"):
        assert words in text
    assert "There is no command for it" in text


def test_an_id_with_slashes_leads_to_its_page(client, tmp_path_factory):
    """Two folders of one name in an archive: the second run goes by its path."""
    place = tmp_path_factory.mktemp("packed")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for folder in ("a", "b"):
            make_run(place / folder, "twin", seed=ord(folder))
            for name in ("config.json", "metrics.jsonl", "summary.json"):
                archive.write(place / folder / "twin" / name, f"{folder}/twin/{name}")
    found = upload(client, "runs.zip", content.getvalue())
    run = next(run for run in found if "/" in run.id)
    for path in (quote(run.id, safe=""), run.id):
        text = text_of(client, f"/run/{path}")
        assert f'"id":"run-id","data":{json.dumps(run.id)}' in text
    assert "its folder is not in the runs folder" in text


@pytest.mark.parametrize(
    "path", ["/run/nonsuch", "/run/..%2Fone", "/run/%00", "/run/%ff", "/run/%2e%2e", "/run/" + "x" * 5000, "/run"]
)
def test_an_unknown_run_gets_a_page_with_what_is_there(client, path):
    text = text_of(client, path)
    assert "run-unknown" in text and "/run/one" in text and '"id":"run-head"' not in text


@pytest.mark.parametrize(
    "search", ["?prompt=99&step=-1", "?prompt=a&prompt=b&step=%00", "?run_id=x&file=../../etc/passwd"]
)
def test_hostile_links_get_the_page(client, search):
    assert "page" in text_of(client, "/run/one", search)


@pytest.mark.parametrize("value", [None, 7, [], {}, [[1], {"a": 2}, None], "../../one", "x" * 9_000, {"ids": 3}, True])
def test_callbacks_survive_any_value(client, app, value):
    refresh = output_of(app, "run-head.children")
    grow = output_of(app, "run-chart-loss.extendData")
    answer = output_of(app, "run-answers.children")
    read = output_of(app, "run-file-text.children")
    ids = ("one", value)
    answers = []
    for run_id in ids:
        at = ("run-id", "data", run_id)
        answers += [
            fire(client, refresh, [("live", "data", value)], [at, ("run-stamps", "data", value)]),
            fire(client, grow, [("live", "data", value)], [at, ("run-drawn", "data", value)]),
            fire(
                client,
                answer,
                [("live", "data", value), ("run-prompt", "value", value), ("run-step", "value", value)],
                [at, ("run-drawn-samples", "data", value)],
            ),
            fire(client, read, [("run-file", "value", value)], [at]),
        ]
    for found in answers:
        assert found.status_code in (200, 204)
        assert "error-toast" not in found.get_data(as_text=True)


def stores(text: str) -> dict:
    """The data of all stores of a page that was sent."""
    found = {}

    def look(node):
        if isinstance(node, dict):
            if node.get("type") == "Store":
                found[node["props"]["id"]] = node["props"].get("data")
            for item in node.values():
                look(item)
        elif isinstance(node, list):
            for item in node:
                look(item)

    look(json.loads(text))
    return found


def test_only_new_points_are_sent(client, app, tmp_path):
    make_run(tmp_path, "live", done=0.3, status="running")
    known = stores(text_of(client, "/run/live"))
    grow = output_of(app, "run-chart-loss.extendData")
    state = [("run-id", "data", "live"), ("run-drawn", "data", known["run-drawn"])]
    assert fire(client, grow, [("live", "data", "1")], state).status_code == 204
    with (tmp_path / "live" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 180, "epoch": 1.8, "time": START + 180, "eval/loss": 0.41}) + "\n")
    found = json.loads(fire(client, grow, [("live", "data", "2")], state).get_data())["response"]
    assert found["run-chart-loss"] == {"extendData": [{"x": [[180]], "y": [[0.41]]}, [1]]}
    assert set(found) == {"run-chart-loss", "run-drawn"}


def test_nothing_is_sent_of_what_did_not_change(client, app, tmp_path):
    """A finished run: only ages in the head and of the files may have changed between two polls."""
    old = time.time() - 400 * 86_400
    for path in (tmp_path / "one").iterdir():
        os.utime(path, (old, old))
    known = stores(text_of(client, "/run/one"))
    state = [("run-id", "data", "one"), ("run-stamps", "data", known["run-stamps"])]
    answer = fire(client, output_of(app, "run-head.children"), [("live", "data", "2")], state)
    assert set(json.loads(answer.get_data())["response"]) <= {"run-gone", "run-stamps", "run-head"}


def test_a_run_that_vanished_is_said_to_be_gone(client, app):
    state = [("run-id", "data", "gone"), ("run-stamps", "data", {})]
    answer = fire(client, output_of(app, "run-head.children"), [("live", "data", "2")], state)
    found = json.loads(answer.get_data())["response"]
    assert set(found) == {"run-gone"} and "no longer there" in spelled(found)


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("failed", "CUDA out of memory", "Failed: CUDA out of memory. The traceback is in "),
        ("pruned", "worse than the median", "Pruned by its sweep: worse than the median."),
        ("stopped", None, "Stopped at step 100 of 200. Go on with it by:"),
    ],
)
def test_how_a_run_ended_is_said(client, tmp_path, status, error, words):
    directory = make_run(tmp_path, "ended", done=0.5, status=status, error=error)
    (directory / "error.log").write_text("Traceback: <script>alert(1)</script>")
    text = text_of(client, "/run/ended", "?file=error.log")
    assert words in text
    assert "Traceback: " in text
    if status == "stopped":
        assert f"python -m training.run --resume {tmp_path / 'ended'}" in text


def test_a_running_run_says_how_far_and_a_quiet_one_how_to_go_on(client, tmp_path):
    directory = make_run(tmp_path, "live", done=0.4, status="running")
    now = text_of(client, "/run/live")
    assert "step 80 of 200 (40%)" in now and "5 steps/s" in now
    old = time.time() - 3 * 3600 - 60
    os.utime(directory / "metrics.jsonl", (old, old))
    assert "No news for 3 h: it may have been killed" in text_of(client, "/run/live")


def test_the_remaining_time_is_a_range(client, tmp_path):
    """A log whose last line is of now: 5 steps/s, so that the 120 steps left take 24 s, less what the test takes."""
    path = make_run(tmp_path, "live", done=0.4, status="running") / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    shift = time.time() - rows[-1]["time"]
    path.write_text("".join(json.dumps({**row, "time": row["time"] + shift}) + "\n" for row in rows))
    text = text_of(client, "/run/live")
    low, high = map(int, re.search(r'"\d+ s \((\d+) s to (\d+) s\)"', text).groups())
    assert 0 < low <= high <= 24


def test_a_broken_run_has_a_page(client, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    text = text_of(client, "/run/broken")
    assert "is not valid JSON" in text


def test_records_of_any_kind_do_not_break_the_page(client, tmp_path):
    directory = make_run(tmp_path, "odd")
    head = json.loads((directory / "config.json").read_text())
    head |= {"environment": {"packages": [1], "command": "x", "parameters": "many"}, "created": 1e300, "sweep": "s/ü"}
    head["data"] |= {"dropped": ["a"], "audit": {"a": {"b": [1], "c": {"d": 1.5}}}, "n_train": {"x": 1}}
    head["config"] |= {"model_name_or_path": ["a"], "beta": {"x": [1]}, "learning_rate": "nan", "odd key!": None}
    (directory / "config.json").write_text(json.dumps(head))
    (directory / "notices.jsonl").write_text(
        '{"step": {}, "kind": 1, "message": ["<b>"]}\n[]\n{"kind": "resumed", "time": "x"}\n'
    )
    (directory / "samples.jsonl").write_text(
        '{"step": 1, "prompt": {"a": 1}, "base": 3, "sampling": 5}\n{"step": "x"}\n'
    )
    assert '"id":"run-head"' in text_of(client, "/run/odd")


def test_previous_and_next_follow_the_ranking(client, tmp_path):
    """Skills .9 > .8 > .75 of one evaluation set: the last of them stands behind the middle one."""
    for place, skill in enumerate((0.75, 0.9, 0.8), 1):
        make_run(tmp_path, f"run{skill}", skill=skill, seed=place)
    text = text_of(client, "/run/run0.8")
    (better, _), (after, address) = re.findall(r'"(Better|Next): ".*?"href":"([^"]*)"', text)
    assert (better, after, address) == ("Better", "Next", "/run/run0.75")


def test_the_nearest_names_come_first():
    runs = {name: Run(name, name, "runs", "finished") for name in ("beta-0.1", "beta-0.5", "gpt2", "lr")}
    snapshot = Snapshot("1", runs, {}, None)
    assert [run.id for run in run_unknown.nearest(snapshot, "beta-0.2")] == ["beta-0.1", "beta-0.5"]
    assert run_unknown.nearest(snapshot, "zzz") == [] == run_unknown.nearest(snapshot, "")


def test_the_search_and_the_marks_of_arguments(client, tmp_path):
    make_run(tmp_path, "other", beta=0.5)
    text = text_of(client, "/run/one")
    assert "differs between runs" in text
    assert "What was chosen" in text


def test_files_are_offered_by_name_only(client, app, tmp_path):
    (tmp_path / "one" / "secret.json").write_text("the secret")
    (tmp_path / "other.json").write_text("the secret")
    read = output_of(app, "run-file-text.children")
    state = [("run-id", "data", "one")]
    for name in ("secret.json", "../other.json", "config.json/", "CONFIG.JSON", "metrics.jsonl"):
        answer = fire(client, read, [("run-file", "value", name)], state).get_data(as_text=True)
        assert "the secret" not in answer and json.loads(answer)["response"]["run-file-text"]["children"] == []
    answer = fire(client, read, [("run-file", "value", "config.json")], state)
    assert "learning_rate" in answer.get_data(as_text=True)


def test_sizes_are_said_in_the_unit_that_says_enough():
    assert [size(count) for count in (0, 999, 1000, 9_053_624, 999_600, 27_400_000_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "9.05 MB",
        "1 MB",
        "27.4 GB",
    ]


def test_an_adapter_is_loaded_over_its_base_by_the_code_that_is_shown(tmp_path, tiny_model, capsys):
    """The code of the card is run as it stands, on a LoRA adapter of a tiny model."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    directory = make_run(tmp_path, "lora run")
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    folder = directory / "checkpoints" / "best"
    config = peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], fan_in_fan_out=True)
    peft.get_peft_model(base, config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    run = Run("lora run", "lora run", "runs", "finished", {"model_name_or_path": str(tiny_model)}, best_step=200)
    sampling = {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 4}
    row = {"step": 200, "prompt": "Is 1 a number?", "base": "", "dpo": "", "sampling": sampling}
    (directory / "samples.jsonl").write_text(json.dumps(row) + "\n")
    code = _code(View(Snapshot("1", {run.id: run}, {}, None), run, 0, {}, directory))
    scope: dict = {}
    exec(code, scope)
    assert isinstance(scope["model"], transformers.PreTrainedModel)
    assert any("lora" in name for name, _ in scope["model"].named_parameters())
    assert scope["prompt"] == "Is 1 a number?"
    capsys.readouterr()


def _code(view: View) -> str:
    """The Python that the card of checkpoints shows."""
    from dashboard.components.run import samples as run_samples
    from training.record import reader

    original = run_samples.rows
    run_samples.rows = lambda seen: reader.read_samples(seen.folder)
    try:
        shown = run_store.checkpoints(view)
    finally:
        run_samples.rows = original
    texts = [part.children[0].children for part in shown if getattr(part, "className", "") == "copyable"]
    return texts[0]


def test_what_no_source_says_is_said_to_be_missing():
    run = Run("x", "x", "wandb", "unknown")
    view = View(Snapshot("1", {"x": run}, {}, None), run, 0, {}, None)
    assert "holds no configuration" in repr(run_setup.configuration(view, None))
    assert "does not say what it ran on" in repr(run_setup.environment(view))
    assert "nothing of its data" in repr(run_setup.data(view))
    assert "no files to show" in repr(run_store.files(view, 0.0))
    assert "nothing was left out" not in repr(run_setup.data(replace(view)))
