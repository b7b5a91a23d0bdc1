"""Curves: did training pull chosen and rejected answers apart, and when?"""

from collections.abc import Sequence
from typing import Any

import dash
from dash import ALL, MATCH, Input, Output, State, ctx, dcc, html, no_update
from dash.exceptions import PreventUpdate

from dashboard.components import layout as parts
from dashboard.components import link, query, selection
from dashboard.components.callbacks import callback, clientside, new_data
from dashboard.components.context import catalog
from dashboard.components.curves import about as curves_about
from dashboard.components.curves import parts as curves_parts
from dashboard.components.curves import state as curves_state
from dashboard.components.curves.state import PARAMETERS, Asked, asked
from dashboard.components.stores import LIVE
from dashboard.figures import curves_live
from dashboard.figures.curves import Entry, drawing
from dashboard.figures.curves_view import panel

PATH, NAME = "/curves", "Curves"

_VIEW = [Input(one.component, one.property) for one in PARAMETERS if one.name != "panels"]


def layout(selected: Any = None, **found: Any) -> html.Div:
    """The page with its first chart; the keywords come from the link, `selected` is the stored selection."""
    snapshot = catalog().snapshot()
    chosen = selection.chosen(snapshot, found.get("runs"), selected) or curves_state.first_look(snapshot)
    given = {**curves_state.linked(found), "runs": chosen}
    state, names = asked(given), curves_state.panels(given["panels"])
    legend, drawn = curves_state.entries(snapshot, state, hidden=True), curves_state.entries(snapshot, state)
    empty = curves_about.nothing(snapshot, legend)
    cards = [
        curves_parts.card(panel(name), drawn, state, made=not place and not empty) for place, name in enumerate(names)
    ]
    return html.Div(
        [
            html.H1("Curves", className="visually-hidden"),
            html.Section(
                curves_parts.controls(snapshot, chosen, state, legend, names),
                className="panel curves-controls page-controls",
            ),
            html.Div(empty, id="curves-empty"),
            html.Div(
                [
                    html.Aside(
                        [curves_parts.legend(len(legend)), html.Div(id="curves-notes")], className="curves-aside"
                    ),
                    html.Div(cards, id="curves-charts", className="charts"),
                ],
                id="curves-body",
                className="curves-body",
                hidden=bool(empty),
            ),
            html.Div(id="curves-tip", className="curves-tip", hidden=True),
            *_stores(state, legend, names),
            link.store("curves", PATH, PARAMETERS),
        ],
        className="page",
    )


def _stores(state: Asked, legend: Sequence[Entry], names: list[str]) -> list[dcc.Store]:
    view = state.view
    return [
        dcc.Store(id="curves-panels", data=names),
        dcc.Store(id="curves-zoom", data=None if view.window is None else list(view.window)),
        dcc.Store(id="curves-pinned", data=sorted(view.pinned)),
        dcc.Store(id="curves-hidden", data=sorted(state.hidden)),
        dcc.Store(id="curves-entries", data=curves_parts.listed(legend)),
        dcc.Store(id="curves-marks", data=[]),
        dcc.Store(id="curves-said", data=[]),
        dcc.Store(id="curves-view"),
    ]


@callback(
    Output({"type": "curves-graph", "panel": MATCH}, "figure"),
    Output({"type": "curves-graph", "panel": MATCH}, "extendData"),
    Output({"type": "curves-note", "panel": MATCH}, "children"),
    Output({"type": "curves-sent", "panel": MATCH}, "data"),
    Input({"type": "curves-want", "panel": MATCH}, "data"),
    State({"type": "curves-want", "panel": MATCH}, "id"),
    State({"type": "curves-sent", "panel": MATCH}, "data"),
    prevent_initial_call=True,
)
def draw(want: Any, place: Any, sent: Any) -> tuple[Any, Any, Any, Any]:
    """A panel in view: its new points alone where that is all, else its lines; nothing where nothing has changed.

    The zoom stays while the axes are the same.
    """
    snapshot, state = catalog().snapshot(), asked(want)
    one = panel(query.one(place.get("panel") if isinstance(place, dict) else None))
    drawn = curves_state.entries(snapshot, state)
    now, known = curves_live.stamp(one, drawn, state.view), sent if isinstance(sent, dict) else {}
    same = {key: known.get(key) == value for key, value in now.items()}
    news = curves_live.news(one, drawn, state.view, known.get("live")) if all(same.values()) else None
    if news is not None and news[1] == known.get("live"):
        raise PreventUpdate
    if news is not None:
        return no_update, news[0] or no_update, no_update, {**now, "live": news[1]}
    found = drawing(one, drawn, state.view)
    figure = new_data(found.figure) if same["frame"] else found.figure
    return figure, no_update, " ".join(found.notes), {**now, "live": curves_live.sent(found)}


@callback(
    Output("curves-entries", "data"),
    Output("curves-add", "options"),
    Output("curves-empty", "children"),
    Output("curves-body", "hidden"),
    Input("curves-view", "data"),
    Input(LIVE, "data"),
    Input("curves-panels", "data"),
    State("curves-entries", "data"),
    State("curves-add", "options"),
    State("curves-body", "hidden"),
    prevent_initial_call=True,
)
def name(view: Any, _: Any, names: Any, listed: Any, offered: Any, hidden: Any) -> tuple[Any, ...]:
    """The legend, the metrics that can be added, and what stands there if nothing can be drawn."""
    snapshot = catalog().snapshot()
    legend = curves_state.entries(snapshot, asked(view), hidden=True)
    empty, found = curves_about.nothing(snapshot, legend), curves_parts.listed(legend)
    more = curves_parts.metrics(legend, curves_state.panels(names))
    if found == listed and more == offered and bool(empty) == hidden and not empty:
        raise PreventUpdate
    return no_update if found == listed else found, no_update if more == offered else more, empty, bool(empty)


@callback(
    Output("curves-notes", "children"),
    Output("curves-said", "data"),
    Output("curves-marks", "data"),
    Input("curves-view", "data"),
    Input(LIVE, "data"),
    State("curves-said", "data"),
    State("curves-marks", "data"),
    prevent_initial_call=True,
)
def tell(view: Any, _: Any, said: Any, marks: Any) -> tuple[Any, Any, Any]:
    """What is said beside the charts and marked on their axes; it may take longer than the charts."""
    snapshot, state = catalog().snapshot(), asked(view)
    drawn = curves_state.entries(snapshot, state)
    notes, found = curves_about.notes(snapshot, drawn, state), curves_about.marked(snapshot, drawn, state)
    if notes == said and found == marks:
        raise PreventUpdate
    texts = no_update if notes == said else [parts.notice(text) for text in notes]
    return texts, notes, no_update if found == marks else found


@callback(
    Output("curves-charts", "children"),
    Output("curves-panels", "data"),
    Output("curves-add", "value"),
    Input("curves-add", "value"),
    Input({"type": "curves-remove", "panel": ALL}, "n_clicks"),
    State("curves-panels", "data"),
    prevent_initial_call=True,
)
def change(wanted: Any, _: Any, shown: Any) -> tuple[Any, Any, Any]:
    """A metric's panel is added at the end, or one is taken away; the others stay as they are."""
    names, patch, pressed = query.ids(shown, curves_state.MOST_PANELS), dash.Patch(), ctx.triggered_id
    if pressed == "curves-add":
        added = query.one(wanted)
        if not added or added in names or len(names) >= curves_state.MOST_PANELS:
            raise PreventUpdate
        patch.append(curves_parts.card(panel(added), (), Asked()))
        return patch, [*names, added], None
    closed = pressed.get("panel") if isinstance(pressed, dict) and ctx.triggered[0]["value"] else None
    if closed not in names:
        raise PreventUpdate
    del patch[names.index(closed)]
    return patch, [one for one in names if one != closed], no_update


link.linked("curves", PARAMETERS)
selection.kept("curves-runs")
selection.offered("curves-runs")
clientside("curvesView", Output("curves-view", "data"), *_VIEW)
clientside(
    "curvesWant",
    Output({"type": "curves-want", "panel": MATCH}, "data"),
    Input({"type": "curves-seen", "panel": MATCH}, "data"),
    Input("curves-view", "data"),
    Input(LIVE, "data"),
)
clientside(
    "curvesShown",
    Output("curves-legend", "title"),
    *[Input(f"curves-{store}", "data") for store in ("entries", "pinned", "hidden", "zoom", "panels")],
)
clientside("curvesMarked", Output("curves-marks", "modified_timestamp"), Input("curves-marks", "data"))
clientside("curvesDrawn", Output("curves-charts", "title"), Input({"type": "curves-sent", "panel": ALL}, "data"))
clientside("curvesAxis", Output("curves-zoom", "data"), Input("curves-x", "value"), prevent_initial_call=True)
