"""The report on the runs that are looked at, as a download."""

import json

import pytest
from make_runs import make_run
from served import fire

from dashboard.components.report_route import button


def get(client, **query):
    return client.get("/api/report", query_string=query)


def test_it_is_one_html_file_with_a_plain_name(client):
    answer = get(client)
    assert answer.status_code == 200
    assert answer.mimetype == "text/html"
    name = answer.headers["Content-Disposition"].split('"')[1]
    assert name.startswith("prefscope-")
    assert name.endswith(".html")
    assert name.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert "plotly.js (cartesian" in answer.text


def test_it_speaks_of_the_runs_that_are_named_only(client, tmp_path):
    make_run(tmp_path, "two, with a comma", skill=0.7)
    make_run(tmp_path, "three", skill=0.6)
    found = json.loads(get(client, format="json", runs="one,two%2C with a comma").text)
    assert sorted(run["id"] for run in found["runs"]) == ["one", "two, with a comma"]
    assert len(json.loads(get(client, format="json").text)["runs"]) == 3


def test_the_moment_is_the_one_asked_for(client):
    best, early = (json.loads(get(client, format="json", at=at).text)["runs"][0]["step"] for at in ("best", "60"))
    assert early == 60
    assert best == 200


@pytest.mark.parametrize(
    "query", [{"at": "x"}, {"beta": "nan"}, {"beta": "1e999"}, {"format": "exe"}, {"runs": "\x00"}]
)
def test_what_makes_no_sense_is_passed_over(client, query):
    assert get(client, **query).status_code == 200


def test_a_report_that_cannot_be_made_is_one_sentence(client, tmp_path):
    answer = get(client, at="99999999")
    assert answer.status_code == 400
    assert answer.mimetype == "text/plain"
    assert "No run was evaluated near step 99,999,999" in answer.text
    for path in (tmp_path / "one").iterdir():
        path.unlink()
    assert get(client).text == "There are no runs to report on."


def test_the_button_is_off_while_there_are_no_runs_and_says_why(client, tmp_path):
    """It is sent only when it changes: 204 is Dash's answer without content."""

    def offered(title):
        state = [("report-button", "title", title)]
        return fire(client, "..report-button.disabled...report-button.title..", [("live", "data", "v")], state)

    about = button().title
    assert offered(about).status_code == 204
    for path in (tmp_path / "one").iterdir():
        path.unlink()
    off = offered(about).get_json()["response"]["report-button"]
    assert off == {"disabled": True, "title": "There are no runs to report on."}
    assert offered(off["title"]).status_code == 204
    make_run(tmp_path, "two")
    assert offered(off["title"]).get_json()["response"]["report-button"] == {"disabled": False, "title": about}
