"""What a browser sends to the dashboard: shared by the tests of its answers."""

import json
from typing import Any


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


def server_callbacks(app) -> list[str]:
    """The ids of all callbacks that the server answers."""
    return sorted(key for key, known in app.callback_map.items() if "callback" in known)


def _sent(spec: dict[str, str], value: Any) -> Any:
    """A dependency with this value; of those that match several components, as if there were two."""
    if not spec["id"].startswith("{"):
        return {**spec, "value": value}
    pattern = json.loads(spec["id"])
    one = {"property": spec["property"], "value": value}
    several = any(part == ["ALL"] for part in pattern.values())
    ids = [{name: place if isinstance(part, list) else part for name, part in pattern.items()} for place in "ab"]
    return [{**one, "id": each} for each in ids] if several else {**one, "id": ids[0]}


def send_anything(client, app, key: str, value: Any):
    """Fires the callback with `value` in every input and state."""
    known = app.callback_map[key]
    inputs, state = ([_sent(spec, value) for spec in known[kind]] for kind in ("inputs", "state"))
    names = [part.rsplit(".", 1) for part in key.strip(".").split("...")]
    outputs = [_sent({"id": name, "property": prop}, None) for name, prop in names]
    first = inputs[0][0] if isinstance(inputs[0], list) else inputs[0]
    name = (
        first["id"] if isinstance(first["id"], str) else json.dumps(first["id"], sort_keys=True, separators=(",", ":"))
    )
    body = {
        "output": key,
        "outputs": outputs if key.startswith("..") else outputs[0],
        "inputs": inputs,
        "state": state,
        "changedPropIds": [f"{name}.{first['property']}"],
    }
    return client.post("/_dash-update-component", json=body)
