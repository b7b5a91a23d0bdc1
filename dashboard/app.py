"""The dashboard: python dashboard/app.py [--runs DIR] [--host 127.0.0.1] [--port 8050] [--debug]"""

import argparse
import atexit
import errno
import gc
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

import dash  # noqa: E402
import waitress  # noqa: E402
from dash import Dash, State, dcc  # noqa: E402
from flask import Response  # noqa: E402

from dashboard import login, security  # noqa: E402
from dashboard.components import context, errors, report_route, shell, warming  # noqa: E402
from dashboard.components.evidence import Studies  # noqa: E402
from dashboard.components.imports import route as upload_route  # noqa: E402
from dashboard.components.index import App  # noqa: E402
from dashboard.components.layout import empty  # noqa: E402
from dashboard.components.memory import Memory  # noqa: E402
from dashboard.components.stores import SELECTION  # noqa: E402
from dashboard.pages import compare, curves, hyperparameters, leaderboard, pairs, run  # noqa: E402
from dashboard.sources.catalog import Catalog  # noqa: E402
from dashboard.sources.uploads import LARGEST  # noqa: E402

PAGES = (leaderboard, curves, hyperparameters, compare, pairs)
"""Those of the navigation bar, in its order."""

THREADS = 24
SHARE = 0.25
"""Seconds in which browsers that ask for news share one look at the runs folder."""


def create_app(runs_dir: Path, host: str = "127.0.0.1", password: str | None = None) -> Dash:
    """The app over `runs_dir`, which need not exist yet; `host` is what it will be bound to.

    With a `password` nothing is answered without it.
    """
    app = App(
        "prefscope",
        assets_folder=str(ROOT / "assets"),
        assets_ignore=r"theme\.js|plotly.*",
        pages_folder="",
        use_pages=True,
        title="Prefscope",
        update_title="",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        routing_callback_inputs={"selected": State(SELECTION, "data")},
        on_error=errors.on_error,
        health_endpoint="health",
        enable_mcp=False,
        add_log_handler=False,
        suppress_callback_exceptions=True,
    )
    for page in PAGES:
        dash.register_page(
            page.__name__, path=page.PATH, name=page.NAME, title=f"{page.NAME} · Prefscope", layout=page.layout
        )
    dash.register_page(
        run.__name__,
        path=run.PATH,
        path_template=run.TEMPLATE,
        name=run.NAME,
        title=run.title,
        layout=run.layout,
    )
    dash.register_page("not_found_404", path="/404", title="Not found · Prefscope", layout=_not_found)
    app.layout = shell.layout(PAGES)
    security.harden(app, host)
    if password is not None:
        login.protect(app.server, password)
    app.server.config[context.KEY] = Catalog(runs_dir, share=SHARE)
    app.server.config[context.STUDIES] = Studies()
    app.server.config[context.MEMORY] = Memory()
    report_route.register(app.server)
    upload_route.register(app.server)
    app.server.add_url_rule("/api/version", view_func=_version)
    with app.server.test_client() as client:
        client.get("/health")  # Dash sets itself up with the first request, and answers others meanwhile with errors
    return app


def _not_found(**_: object) -> object:
    return empty("There is no such page", [dcc.Link("Go to the Leaderboard", href="/", className="btn btn-main")])


def _version() -> Response:
    """What the browser asks for every two seconds: has anything changed?"""
    return Response(context.catalog().snapshot().version, mimetype="text/plain", headers={"Cache-Control": "no-store"})


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python dashboard/app.py", description="Shows the runs in a folder.")
    p.add_argument("--runs", type=Path, default=ROOT / "runs", metavar="DIR", help="the runs folder (default: runs/)")
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    p.add_argument("--port", type=int, default=8050, help="port, 0 for any free one (default: %(default)s)")
    p.add_argument("--debug", action="store_true", help="Dash's development server and tools; only on this machine")
    return p


def _check(args: argparse.Namespace) -> None:
    """Raises ValueError or OSError with one line on what is wrong with the arguments."""
    if not 0 <= args.port <= 65535:
        raise ValueError(f"--port must be between 0 and 65535, got {args.port}")
    if args.debug and not security.is_loopback(args.host):
        raise ValueError(f"--debug runs code from the browser; it works only with --host 127.0.0.1, not {args.host}")
    if args.runs.exists() and not args.runs.is_dir():
        raise ValueError(f"--runs {args.runs} is a file; give the folder that holds the runs")
    if args.runs.exists():
        next(args.runs.iterdir(), None)


def serve(args: argparse.Namespace) -> None:
    """Serves until Ctrl-C. Raises OSError if the port cannot be had."""
    app = create_app(args.runs, args.host, login.password(args.host))
    if args.debug:
        app.run(host=args.host, port=args.port, debug=True, dev_tools_disable_version_check=True)
        return
    try:
        server = waitress.create_server(
            app.server,
            host=args.host,
            port=args.port,
            threads=THREADS,
            max_request_body_size=LARGEST + 1,
        )
    except ValueError as problem:
        raise ValueError(f"--host {args.host} is no address of this machine; 127.0.0.1 is a good start") from problem
    # What is imported stays: collections that look through it again and again double the time that reading runs takes.
    gc.freeze()
    warming.begin(app)
    port = getattr(server, "effective_port", None) or server.effective_listen[0][1]
    shown = f"[{args.host}]" if ":" in args.host else args.host
    if not security.is_loopback(args.host):
        _say(f"Others can reach {args.host}:{port} with the password; what they send and see is not encrypted.")
    _say(f"Prefscope shows {args.runs} on http://{shown}:{port} (Ctrl-C ends it)")
    server.run()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 after Ctrl-C, 2 with one line on stderr if the dashboard cannot start."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    args = parser().parse_args(argv)
    try:
        _check(args)
        serve(args)
    except KeyboardInterrupt:
        return 0
    except (ValueError, OSError) as problem:
        sys.stderr.write(f"{_reason(problem, args)}\n")
        return 2
    return 0


def _reason(problem: Exception, args: argparse.Namespace) -> str:
    if isinstance(problem, OSError) and problem.errno == errno.EADDRINUSE:
        return f"Port {args.port} is in use; stop what uses it or pass another --port"
    if isinstance(problem, PermissionError) and problem.filename:
        return f"--runs {args.runs} cannot be read: {problem.strerror}"
    if isinstance(problem, OSError):
        return f"The dashboard cannot listen on {args.host}:{args.port}: {problem.strerror or problem}"
    return str(problem)


def _end(code: int) -> NoReturn:
    """Ends the program whatever its threads do: one that is in a C++ library while Python ends aborts the process."""
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
