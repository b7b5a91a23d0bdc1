"""Who may see the runs where others can reach the dashboard."""

import http.cookiejar
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from flask import Flask

from dashboard import login

ROOT = Path(__file__).resolve().parent.parent
SECRET = "correct horse battery"
PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}


@pytest.fixture
def server():
    app = Flask("guarded")
    login.protect(app, SECRET)
    app.add_url_rule("/api/runs", view_func=lambda: "the runs")
    app.add_url_rule("/", "home", lambda: "the page")
    return app


def give(client, password, **options):
    return client.post("/login", data={"password": password}, **options)


def test_nothing_is_answered_without_the_password(server):
    client = server.test_client()
    assert client.get("/api/runs").status_code == 401
    assert client.post("/api/runs").status_code == 401
    assert client.get("/anything/else").status_code == 401
    page = client.get("/", headers=PAGE)
    assert (page.status_code, page.headers["Location"]) == (302, "/login")


def test_the_right_password_opens_the_rest(server):
    client = server.test_client()
    assert give(client, SECRET).headers["Location"] == "/"
    assert client.get("/api/runs").text == "the runs"
    assert client.get("/login").headers["Location"] == "/"


@pytest.mark.parametrize("wrong", ["", "correct horse", SECRET.upper(), SECRET + " ", "pässword", "\x00"])
def test_a_wrong_password_opens_nothing_and_says_so(server, wrong):
    client = server.test_client()
    answer = give(client, wrong)
    assert answer.status_code == 401
    assert "This is not the password." in answer.text
    assert client.get("/api/runs").status_code == 401


def test_a_post_without_a_password_is_a_wrong_one(server):
    assert server.test_client().post("/login", json={"password": SECRET}).status_code == 401


def test_after_five_wrong_ones_an_address_has_to_wait_and_others_have_not(server):
    client = server.test_client()
    assert [give(client, f"guess {n}").status_code for n in range(6)] == [401] * 5 + [429]
    assert give(client, SECRET).status_code == 429
    elsewhere = {"environ_base": {"REMOTE_ADDR": "10.0.0.9"}}
    assert give(server.test_client(), SECRET, **elsewhere).status_code == 302


def test_after_sixty_wrong_ones_from_anywhere_all_have_to_wait(server):
    """12 addresses x 5 attempts."""
    for n in range(60):
        assert give(server.test_client(), "guess", environ_base={"REMOTE_ADDR": f"10.0.0.{n // 5}"}).status_code == 401
    assert give(server.test_client(), SECRET, environ_base={"REMOTE_ADDR": "10.0.1.1"}).status_code == 429


def test_who_waits_a_minute_may_try_again(server, monkeypatch):
    client = server.test_client()
    for n in range(6):
        give(client, f"guess {n}")
    assert give(client, SECRET).status_code == 429
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert give(client, SECRET).status_code == 302


def test_a_cookie_that_was_changed_or_is_of_another_process_counts_for_nothing(server):
    client = server.test_client()
    give(client, SECRET)
    cookie = client.get_cookie("prefscope")
    assert cookie.http_only
    assert cookie.same_site == "Strict"
    for forged in (cookie.value[:-3] + "abc", "eyJzaWduZWRfaW4iOnRydWV9.Zz.zzzz", ""):
        stranger = server.test_client()
        stranger.set_cookie("prefscope", forged)
        assert stranger.get("/api/runs").status_code == 401
    restarted = Flask("again")
    login.protect(restarted, SECRET)
    stranger = restarted.test_client()
    stranger.set_cookie("prefscope", cookie.value)
    assert stranger.get("/api/runs").status_code == 401


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5"])
def test_a_host_that_others_reach_needs_a_password(host, monkeypatch):
    monkeypatch.delenv(login.VARIABLE, raising=False)
    with pytest.raises(ValueError, match="set a password in PREFSCOPE_PASSWORD"):
        login.password(host)
    monkeypatch.setenv(login.VARIABLE, "short")
    with pytest.raises(ValueError, match="has 5 characters; 8 are the fewest"):
        login.password(host)
    monkeypatch.setenv(login.VARIABLE, SECRET)
    assert login.password(host) == SECRET


def test_this_machine_needs_none_but_may_have_one(monkeypatch):
    monkeypatch.delenv(login.VARIABLE, raising=False)
    assert login.password("127.0.0.1") is None
    monkeypatch.setenv(login.VARIABLE, SECRET)
    assert login.password("127.0.0.1") == SECRET


def test_the_dashboard_itself_refuses_to_start_for_others_without_a_password(tmp_path):
    command = [sys.executable, str(ROOT / "dashboard" / "app.py"), "--runs", str(tmp_path), "--host", "0.0.0.0"]
    environment = {key: value for key, value in os.environ.items() if key != login.VARIABLE}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("--host 0.0.0.0 lets others reach the runs: set a password in PREFSCOPE_PASSWORD")
    assert ended.stderr.count("\n") == 1


def test_the_dashboard_itself_asks_for_the_password(tmp_path):
    command = [sys.executable, str(ROOT / "dashboard" / "app.py"), "--runs", str(tmp_path), "--port", "0"]
    environment = {**os.environ, login.VARIABLE: SECRET}
    arguments = [*command, "--host", "0.0.0.0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert "not encrypted" in process.stdout.readline()
        port = re.search(r":(\d+) ", process.stdout.readline()).group(1)
        try:
            _walk(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _walk(url: str) -> None:
    """Refused, signed in, let in."""
    for path in ("/", "/api/version", "/_dash-layout", "/_dash-dependencies"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + path)
        assert refused.value.code == 401
        refused.value.close()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    with opener.open(f"{url}/login", urllib.parse.urlencode({"password": SECRET}).encode()) as page:
        assert b"react-entry-point" in page.read()
    with opener.open(f"{url}/api/version") as answer:
        assert answer.status == 200
