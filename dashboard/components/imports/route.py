"""Takes the bytes of a file from the browser: POST /api/uploads?name=...&drop=..., answered with a sentence in JSON."""

import tempfile
import threading
from typing import IO

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from dashboard.components.context import catalog
from dashboard.sources.imported import SourceError
from dashboard.sources.uploads import LARGEST

PATH = "/api/uploads"
TYPE = "application/octet-stream"
"""A type that another site's page cannot send without asking this server first."""

AT_ONCE = 8
"""Files that are received at a time: each takes a thread of the server until it is read."""

_CHUNK = 1 << 20
_LONGEST = 1_000
_room = threading.BoundedSemaphore(AT_ONCE)


def register(server: Flask) -> None:
    """Adds the route to the server."""
    server.add_url_rule(PATH, "upload", receive, methods=["POST"])


def receive() -> Response:
    """Keeps the file and answers with `id` and `sentence`; with `sentence` alone where it cannot be read.

    What is no whole file has a status of 400 or above, and a sentence too.
    """
    length = request.content_length
    if request.mimetype != TYPE:
        return _refusal(f"A file is sent as {TYPE}.", 415)
    if length is None:
        return _refusal("The size of the file is not said.", 411)
    if length > LARGEST:
        return _refusal(f"The file has {length / 2**20:,.0f} MB, the limit is {LARGEST // 2**20} MB.", 413)
    if not _room.acquire(blocking=False):
        return _refusal("Many files are being read now. Try again in a moment.", 503)
    try:
        return _received(length)
    except SourceError as problem:
        return _refusal(str(problem), 200)
    except OSError as error:
        return _refusal(f"The file could not be received: {error.strerror or error}.", 507)
    except HTTPException:
        return _refusal("The file did not arrive whole. Send it again.", 400)
    finally:
        _room.release()


def _received(length: int) -> Response:
    """Raises SourceError, OSError or HTTPException if the file cannot be received, read or kept."""
    name, drop = (request.args.get(word, "")[:_LONGEST] for word in ("name", "drop"))
    request.max_content_length = LARGEST
    with tempfile.TemporaryFile() as file:
        if _copy(request.stream, file) != length:
            return _refusal("The file did not arrive whole. Send it again.", 400)
        file.seek(0)
        known = catalog()
        before = known.uploads.all()
        upload = known.uploads.receive(name, file, drop)
    runs = "1 run" if len(upload.runs) == 1 else f"{len(upload.runs):,} runs"
    sentence = f"Here already: {runs}." if upload.id in before else f"{runs} added."
    return jsonify(id=upload.id, sentence=sentence, version=known.snapshot().version)


def _copy(source: IO[bytes], target: IO[bytes]) -> int:
    size = 0
    while chunk := source.read(_CHUNK):
        size += target.write(chunk)
    return size


def _refusal(sentence: str, status: int) -> Response:
    answer = jsonify(sentence=sentence)
    answer.status_code = status
    return answer
