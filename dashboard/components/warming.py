"""What the first page will ask for is begun when the server starts, while its user opens the browser."""

import logging
from threading import Thread

from dash import Dash

from dashboard.components import context
from dashboard.components.leaderboard.board import View, board

_log = logging.getLogger(__name__)


def begin(app: Dash) -> Thread:
    """Works out the Leaderboard as it is without any choice: a browser that asks meanwhile waits for the same."""
    thread = Thread(target=_work, args=(app,), name="warming", daemon=True)
    thread.start()
    return thread


def _work(app: Dash) -> None:
    try:
        with app.server.app_context():
            board(context.catalog().snapshot(), View())
    except Exception:
        _log.exception("the first board could not be worked out")
