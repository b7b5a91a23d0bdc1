"""Twenty browsers at once: all are answered, while runs appear."""

import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from conftest import serving
from make_runs import make_run
from served import spelled

BROWSERS = 20
PATHS = ("/", "/curves", "/hyperparameters", "/compare", "/pairs", "/run/run-1")


def post(url: str, body: dict) -> str:
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    request = urllib.request.Request(f"{url}/_dash-update-component", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert answer.status == 200
        return answer.read().decode()


def browse(url: str, number: int) -> list[str]:
    """What a browser asks for when it opens every page: all answers."""
    output = ".._pages_content.children..._pages_store.data.."
    found = []
    for turn in range(len(PATHS)):
        path = PATHS[(number + turn) % len(PATHS)]
        inputs = spelled([("_pages_location", "pathname", path), ("_pages_location", "search", "")])
        body = {
            "output": output,
            "outputs": [
                {"id": "_pages_content", "property": "children"},
                {"id": "_pages_store", "property": "data"},
            ],
            "inputs": inputs,
            "state": spelled([("selection", "data", None)]),
            "changedPropIds": ["_pages_location.pathname"],
        }
        found.append(post(url, body))
        with urllib.request.urlopen(f"{url}/api/version", timeout=120) as answer:
            found.append(answer.read().decode())
    return found


def test_twenty_browsers_are_answered_at_once_while_runs_appear(tmp_path):
    for number in range(5):
        make_run(tmp_path / "runs", f"run-{number}", seed=number, skill=0.7 + number / 50)
    with serving(tmp_path / "runs") as url, ThreadPoolExecutor(BROWSERS) as pool:
        opened = [pool.submit(browse, url, number) for number in range(BROWSERS)]
        for number in range(5, 10):
            make_run(tmp_path / "runs", f"run-{number}", seed=number)
        answers = [answer for one in opened for answer in one.result()]
    assert len(answers) == BROWSERS * len(PATHS) * 2
    assert not [answer for answer in answers if "error-toast" in answer]
