"""No path from a browser reaches the file system: nothing beside the runs folder is opened or listed."""

import sys
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from make_runs import make_run
from served import open_path, send_anything, server_callbacks

from dashboard.components import context
from dashboard.components.evidence import Studies
from dashboard.components.memory import Memory
from dashboard.sources.catalog import Catalog

_touched: list[str] = []
_watching = [False]


def _watch(event: str, arguments: tuple) -> None:
    if _watching[0] and event in (
        "open",
        "os.listdir",
        "os.scandir",
        "os.remove",
        "os.rename",
        "os.mkdir",
        "shutil.rmtree",
    ):
        _touched.extend(repr(argument) for argument in arguments[:2])


sys.addaudithook(_watch)


@pytest.fixture(scope="module")
def place(app, tmp_path_factory):
    """A runs folder with a run, and beside it a secret that looks like a run."""
    root = tmp_path_factory.mktemp("place")
    make_run(root / "runs", "one")
    make_run(root / "canary", "secret")
    app.server.config.update(
        {context.KEY: Catalog(root / "runs"), context.STUDIES: Studies(), context.MEMORY: Memory()}
    )
    return root


WAYS = ("../canary", "../canary/secret", "..", "one/../../canary/secret", "..\\canary\\secret", "./one", "~", "one\x00")


def hostile(root) -> st.SearchStrategy[str]:
    """Paths to the secret, in all spellings."""
    plain = st.sampled_from([*WAYS, str(root / "canary" / "secret"), f"file://{root}/canary/secret"])
    joined = st.builds(lambda head, tail: f"{head}/{tail}", plain, st.sampled_from(["config.json", "scores", "..", ""]))
    either = st.one_of(plain, joined)
    return st.one_of(
        either, either.map(lambda text: quote(text, safe="")), either.map(lambda text: text.replace("/", "//"))
    )


def watched(act) -> None:
    _touched.clear()
    _watching[0] = True
    try:
        act()
    finally:
        _watching[0] = False
    assert not [path for path in _touched if "canary" in path]


def test_the_watch_would_see_a_secret_that_is_opened(place):
    with pytest.raises(AssertionError):
        watched((place / "canary" / "secret" / "config.json").read_bytes)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_callback_opens_what_it_is_told_to(app, place, data):
    text = data.draw(hostile(place))
    client = app.server.test_client()
    for value in (text, [text], {"ids": [text]}):
        for key in server_callbacks(app):
            watched(lambda key=key, value=value: send_anything(client, app, key, value))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_address_opens_what_it_names(app, place, data):
    text = data.draw(hostile(place))
    client = app.server.test_client()
    written = quote(text, safe="/.%\\:~")
    for path in (f"/run/{written}", f"/assets/{written}", f"/{written}", f"/api/{written}"):
        watched(lambda path=path: client.get(path).close())
    for path in (f"/run/{text}", "/", "/compare", "/pairs", "/curves", "/hyperparameters"):
        watched(lambda path=path: open_path(client, path, f"?runs={quote(text)}&run={quote(text)}&pair={quote(text)}"))
    for query in ({"runs": text}, {"runs": quote(text, safe="")}, {"format": text}, {"at": text}):
        watched(lambda query=query: client.get("/api/report", query_string=query).close())
    watched(
        lambda: client.post(
            "/api/uploads", query_string={"name": text}, data=b"x", content_type="application/octet-stream"
        )
    )
