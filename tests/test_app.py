"""The server: what it answers, what it refuses, how it starts."""

import base64
import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from make_runs import make_run

from dashboard import app as entry
from dashboard import security
from dashboard.components import context
from dashboard.components.upload import content
from dashboard.sources.catalog import Catalog
from dashboard.sources.imported import SourceError

ROOT = Path(__file__).resolve().parent.parent
APP = [sys.executable, str(ROOT / "dashboard" / "app.py")]
EXPORT = b"Name,State,beta,eval/loss,eval/rewards/accuracies\na,finished,0.1,0.5,0.8\nb,finished,0.5,0.6,0.7\n"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """One app per process: Dash gives all callbacks to the first."""
    return entry.create_app(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def client(app, tmp_path):
    """A client of the app, over a runs folder of the test's own."""
    app.server.config[context.KEY] = Catalog(tmp_path)
    make_run(tmp_path, "one", beta=0.1)
    return app.server.test_client()


def spelled(items) -> list[dict]:
    return [{"id": name, "property": prop, "value": value} for name, prop, value in items]


def fire(client, output: str, inputs, state=()):
    """Fires a callback as a browser does; inputs and state are (id, property, value)."""
    names = [part.rsplit(".", 1) for part in output.strip(".").split("...")]
    outputs = [{"id": name, "property": prop} for name, prop in names]
    body = {
        "output": output,
        "outputs": outputs if output.startswith("..") else outputs[0],
        "inputs": spelled(inputs),
        "state": spelled(state),
        "changedPropIds": [f"{inputs[0][0]}.{inputs[0][1]}"],
    }
    return client.post("/_dash-update-component", json=body)


def output_of(app, *parts: str) -> str:
    """The id under which Dash knows the callback whose outputs contain all `parts`."""
    (found,) = [key for key in app.callback_map if all(part in key for part in parts)]
    return found


def open_path(client, path: str, search: str = ""):
    """Asks the router for a page, as the browser does after a click on a link."""
    inputs = [("_pages_location", "pathname", path), ("_pages_location", "search", search)]
    return fire(client, ".._pages_content.children..._pages_store.data..", inputs, [("selection", "data", None)])


def test_every_page_answers_with_its_content(client):
    assert client.get("/").status_code == 200
    for path, words in (("/", "run-table"), ("/curves", "curves-rewards"), ("/nowhere", "There is no such page")):
        answer = open_path(client, path)
        assert answer.status_code == 200
        assert words in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    "search", ["?runs=%00&rank=%F0", "?runs=a&runs=b&at=x", "?smooth=nan&x=9", "?__class__=1&self=2"]
)
def test_hostile_links_get_the_page(client, search):
    for path in ("/", "/curves"):
        answer = open_path(client, path, search)
        assert "page" in answer.get_data(as_text=True)
        assert "error-toast" not in answer.get_data(as_text=True)


@pytest.mark.parametrize("value", [None, 7, [], {}, [[1], {"a": 2}, None], "x" * 9_000, {"ids": 3}, True, -1e308])
def test_callbacks_survive_any_value(client, app, value):
    """Every callback is an HTTP interface: no value may reach the error handler."""
    draws = output_of(app, "curves-rewards.figure", "curves-shown")
    sent = [("live", "data"), ("curves-runs", "value"), ("curves-split", "value"), ("curves-x", "value")]
    sent += [("curves-smoothing", "value"), ("curves-unit", "value")]
    answers = [fire(client, draws, [(*one, value) for one in sent], [("curves-shown", "data", value)])]
    refresh = output_of(app, "run-table.rowData")
    sent = [("live", "data"), ("leaderboard-rank", "value"), ("leaderboard-at", "value")]
    state = [("leaderboard-shown", "data", value), ("leaderboard-columns", "data", value)]
    answers.append(fire(client, refresh, [(*one, value) for one in sent], state))
    receive = output_of(app, "upload-message.children", "upload.contents")
    answers.append(fire(client, receive, [("upload", "contents", value)], [("upload", "filename", value)]))
    for answer in answers:
        assert answer.status_code in (200, 204)
        assert "error-toast" not in answer.get_data(as_text=True)


def test_an_error_in_a_callback_becomes_a_toast_with_an_id_and_a_log_entry(client, app, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Catalog, "snapshot", broken)
    answer = fire(
        client, output_of(app, "curves-runs.options"), [("live", "data", "x")], [("curves-runs", "options", [])]
    )
    text = answer.get_data(as_text=True)
    assert answer.status_code == 200
    assert "error-toast" in text
    assert "secret detail" not in text
    reference = text.split("under id ")[1][:6]
    assert reference in caplog.text
    assert "secret detail" in caplog.text


def test_an_upload_is_kept_and_the_drop_zone_emptied(client, app, tmp_path):
    receive = output_of(app, "upload-message.children", "upload.contents")
    data = "data:text/csv;base64," + base64.b64encode(EXPORT).decode()
    answer = fire(client, receive, [("upload", "contents", data)], [("upload", "filename", "../../evil.csv")])
    shown = json.loads(answer.data)["response"]
    assert "evil.csv: 2 runs added." in json.dumps(shown)
    assert shown["upload"]["contents"] is None
    assert [path.name for path in tmp_path.rglob("evil.csv")] == ["evil.csv"]
    assert client.get("/api/version").get_data(as_text=True) == shown["live"]["data"]


@pytest.mark.parametrize("data", ["data:text/csv;base64,%%%", "data:text/csv;base64,QQ=Q", "data:;base64,ü"])
def test_what_is_no_base64_is_refused(data):
    with pytest.raises(SourceError, match="drop it again"):
        content(data)


def test_a_foreign_host_header_is_refused(client):
    for path in ("/", "/api/version", "/_dash-dependencies", "/assets/theme.js"):
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
    assert client.get("/api/version", headers={"Host": "localhost:8050"}).status_code == 200


def test_a_post_from_another_site_is_refused(client):
    answer = client.post("/_dash-update-component", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


def test_every_answer_has_a_policy_without_inline_script(client):
    for path in ("/", "/api/version", "/assets/theme.js"):
        with client.get(path) as answer:
            policy, sniffing = answer.headers["Content-Security-Policy"], answer.headers["X-Content-Type-Options"]
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "'self'" in scripts
        assert "unsafe" not in scripts
        assert sniffing == "nosniff"


def test_a_request_over_the_limit_is_refused(client):
    answer = client.post("/_dash-update-component", data=b"x" * (35 * 2**20), content_type="application/json")
    assert answer.status_code == 413


@pytest.mark.parametrize("path", ["/assets/../dashboard/app.py", "/assets/%2e%2e/pyproject.toml", "/console", "/_mcp"])
def test_no_file_outside_and_no_console(client, path):
    answer = client.get(path)
    assert answer.status_code in (400, 404) or b"react-entry-point" in answer.data


def test_health(client):
    assert client.get("/health").get_data(as_text=True) == "OK"


def test_the_version_changes_only_with_the_runs(client, tmp_path):
    first = client.get("/api/version")
    assert first.headers["Cache-Control"] == "no-store"
    assert client.get("/api/version").data == first.data
    make_run(tmp_path, "two")
    assert client.get("/api/version").data != first.data


@pytest.mark.parametrize(
    ("host", "trusted"),
    [("127.0.0.1", "localhost"), ("192.168.1.5", "192.168.1.5"), ("localhost", "127.0.0.1"), ("0.0.0.0", "localhost")],
)
def test_trusted_hosts_hold_the_host_that_is_bound(host, trusted):
    assert trusted in security.trusted_hosts(host)
    assert "0.0.0.0" not in security.trusted_hosts("0.0.0.0")


def start(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*APP, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd, check=False)


def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = start("--runs", str(tmp_path), "--port", str(port))
    assert ended.returncode == 2
    assert ended.stderr == f"Port {port} is in use; stop what uses it or pass another --port\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--runs", "FILE"], "is a file; give the folder that holds the runs"),
        (["--debug", "--host", "0.0.0.0"], "--debug runs code from the browser"),
        (["--port", "70000"], "--port must be between 0 and 65535"),
        (["--host", "no.such.host.invalid"], "--host no.such.host.invalid is no address of this machine"),
    ],
)
def test_bad_arguments_are_one_clear_line(tmp_path, arguments, reason):
    (tmp_path / "FILE").write_text("")
    ended = start(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_it_starts_in_under_three_seconds_and_ctrl_c_ends_it_quietly(tmp_path):
    """From another directory, over a folder that does not exist; the port answers when the line is printed.

    The seconds are those of its processor: a busy machine takes longer.
    """
    command = [*APP, "--runs", "later", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        url = process.stdout.readline().split(" on ")[1].split()[0]
        host, port = url.removeprefix("http://").split(":")
        socket.create_connection((host, int(port)), timeout=5).close()
        used = psutil.Process(process.pid).cpu_times()
        assert used.user + used.system < 3
        process.send_signal(2)
        assert process.wait(timeout=30) == 0
        assert process.stderr.read() == ""
    assert not (tmp_path / "later").exists()


def test_a_host_that_others_can_reach_is_warned_of(tmp_path):
    command = [*APP, "--runs", str(tmp_path), "--port", "0", "--host", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("Warning: anybody who can reach 0.0.0.0:")
        process.terminate()


@pytest.mark.parametrize("header", ["192.168.1.7:8050", "172.17.0.2", "[fe80::1]:8050", "localhost:9", "[::1]"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_for_all_addresses_is_reached_by_any_address(host, header):
    assert security.trusts(host, header)


@pytest.mark.parametrize(
    "header", ["evil.example", "1.2.3.4.evil.example", "1.2.3.4:80:evil", "", "[evil]", "127.0.0.1.nip.io:8050"]
)
def test_no_host_is_reached_by_a_foreign_name(header):
    assert not security.trusts("0.0.0.0", header)
    assert not security.trusts("127.0.0.1", header)


def test_a_server_for_one_address_is_reached_by_that_one_only():
    assert security.trusts("192.168.1.5", "192.168.1.5:8050")
    assert security.trusts("::1", "[::1]:8050")
    assert not security.trusts("192.168.1.5", "192.168.1.6:8050")
