"""A password for a dashboard that others can reach: nothing is answered without it."""

import hmac
import os
import secrets
from datetime import timedelta
from typing import Any

from flask import Flask, Response, redirect, render_template_string, request, session

from dashboard import security

VARIABLE = "PREFSCOPE_PASSWORD"
SHORTEST = 8
"""Characters of a password."""

PATH = "/login"
KEPT = timedelta(days=7)
FROM_ONE_ADDRESS, FROM_ALL = "5 per minute", "60 per minute"
"""Wrong passwords; beyond, even the right one has to wait."""

_OPEN = frozenset(
    {
        PATH,
        "/health",
        *(f"/assets/{name}" for name in ("bootstrap.min.css", "prefscope.css", "theme.js", "favicon.ico")),
    }
)
_FONTS = "/assets/fonts/"
_MARK = "signed_in"

_PAGE = """<!DOCTYPE html>
<html lang="en">
    <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Sign in · Prefscope</title>
        <script src="/assets/theme.js"></script>
        <link rel="icon" href="/assets/favicon.ico">
        <link rel="stylesheet" href="/assets/bootstrap.min.css">
        <link rel="stylesheet" href="/assets/prefscope.css">
    </head>
    <body>
        <main class="login">
            <form method="post" action="{{ path }}" class="panel login-form">
                <h1 class="brand"><span class="brand-mark"></span>Prefscope</h1>
                <label for="password" class="control-label">Password</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required autofocus
                       {% if problem %}aria-invalid="true" aria-describedby="problem"{% endif %}>
                {% if problem %}<p id="problem" class="notice notice-bad" role="alert">{{ problem }}</p>{% endif %}
                <button class="btn btn-main" type="submit">Sign in</button>
                <p class="dim">The password is the one that this dashboard was started with, in {{ variable }}.</p>
            </form>
        </main>
    </body>
</html>"""


def password(host: str) -> str | None:
    """The password that the server asks for; None where it needs none, bound to this machine only.

    Raises ValueError with one line for a user if others could reach it without a password, or with a short one.
    """
    stated = os.environ.get(VARIABLE) or None
    if stated is None and not security.is_loopback(host):
        raise ValueError(
            f"--host {host} lets others reach the runs: set a password in {VARIABLE} (at least {SHORTEST} characters), "
            "or keep --host 127.0.0.1 and use an SSH tunnel"
        )
    if stated is not None and len(stated) < SHORTEST:
        raise ValueError(f"{VARIABLE} has {len(stated)} characters; {SHORTEST} are the fewest")
    return stated


class _Attempts:
    """How many wrong passwords there have been lately, from one address and in all."""

    def __init__(self) -> None:
        from limits import parse
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self._counted = MovingWindowRateLimiter(MemoryStorage())
        self._limits = ((parse(FROM_ONE_ADDRESS), "address"), (parse(FROM_ALL), "all"))

    def too_many(self, address: str) -> bool:
        return not all(self._counted.test(limit, *self._key(kind, address)) for limit, kind in self._limits)

    def count(self, address: str) -> None:
        for limit, kind in self._limits:
            self._counted.hit(limit, *self._key(kind, address))

    @staticmethod
    def _key(kind: str, address: str) -> tuple[str, ...]:
        return (kind, address) if kind == "address" else (kind,)


def protect(server: Flask, stated: str) -> None:
    """Lets `server` answer only who has given the password `stated`.

    The session is a cookie signed with a key of this process: it ends with the process, or after a week.
    """
    server.secret_key = secrets.token_bytes(32)
    server.permanent_session_lifetime = KEPT
    server.config.update(
        SESSION_COOKIE_NAME="prefscope", SESSION_COOKIE_HTTPONLY=True, SESSION_COOKIE_SAMESITE="Strict"
    )
    attempts = _Attempts()

    def signed_in() -> Any:
        if session.get(_MARK) or request.path in _OPEN or request.path.startswith(_FONTS):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return redirect(PATH)
        return Response("Sign in first.", 401, mimetype="text/plain")

    def login() -> Any:
        if request.method == "GET":
            return redirect("/") if session.get(_MARK) else _form()
        address = request.remote_addr or ""
        if attempts.too_many(address):
            return _form("Too many attempts. Wait a minute and try again.", 429)
        if not hmac.compare_digest(request.form.get("password", "").encode(), stated.encode()):
            attempts.count(address)
            return _form("This is not the password.", 401)
        session.permanent = True
        session[_MARK] = True
        return redirect("/")

    server.before_request(signed_in)
    server.add_url_rule(PATH, "login", login, methods=["GET", "POST"])


def _form(problem: str = "", status: int = 200) -> Response:
    page = render_template_string(_PAGE, path=PATH, problem=problem, variable=VARIABLE)
    return Response(page, status, headers={"Cache-Control": "no-store"})
