"""The server: what it answers, what it refuses, how it starts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from make_runs import make_run
from served import fire, open_path, output_of, send_anything, server_callbacks

from dashboard import security
from dashboard.sources.catalog import Catalog

ROOT = Path(__file__).resolve().parent.parent
APP = [sys.executable, str(ROOT / "dashboard" / "app.py")]


PATHS = (
    "/",
    "/curves",
    "/hyperparameters",
    "/compare",
    "/pairs",
    "/run/one",
    "/run/%00",
    "/run/..%2f..%2fetc",
    "/nowhere",
)
ANYTHING = (
    None,
    7,
    [],
    {},
    [[1], {"a": 2}, None],
    "x" * 9_000,
    {"ids": 3},
    True,
    -1e308,
    "one",
    ["one", "\x00"],
    "../..",
)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_answers_with_its_content(client, path):
    assert client.get(path).status_code == 200
    answer = open_path(client, path)
    assert answer.status_code == 200
    text = answer.get_data(as_text=True)
    assert "error-toast" not in text
    assert ("There is no such page" in text) == (path == "/nowhere")


@pytest.mark.parametrize(
    "search",
    [
        "?runs=%00&rank=%F0&at=x&run=../..&pair=%3Cscript%3E",
        "?runs=a&runs=b&at=x&at=7&base=a&base=b&step=-1",
        "?smooth=nan&x=9&beta=inf&step=1e999&zoom=%5B&brush=%7B%22a%22%3A",
        "?__class__=1&self=2&run_id=3&selected=4",
    ],
)
def test_hostile_links_get_the_page(client, search):
    for path in PATHS:
        answer = open_path(client, path, search)
        assert "error-toast" not in answer.get_data(as_text=True), path
        assert answer.status_code == 200


@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: repr(value)[:20])
def test_no_callback_fails_whatever_is_sent_to_it(client, app, value, caplog):
    """Every callback is an HTTP interface: no value may reach the error handler."""
    for key in server_callbacks(app):
        if key.startswith("..") and "_pages_content" in key:
            continue  # Dash's own router
        answer = send_anything(client, app, key, value)
        assert answer.status_code in (200, 204), (key, answer.get_data(as_text=True)[:300])
        assert "error-toast" not in answer.get_data(as_text=True), (key, caplog.text[-3000:])


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
    environment = {**os.environ, "PREFSCOPE_PASSWORD": "correct horse"}
    command = [*APP, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, check=False, env=environment)


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
