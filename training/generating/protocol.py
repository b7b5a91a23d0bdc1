"""What goes to the process that holds the models, and what comes back: JSON objects, one on a line."""

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import orjson

_CHUNK = 2**16


class ProtocolError(Exception):
    """A line that is no request; `id` is the request's, where it has said one."""

    def __init__(self, message: str, id: int | None = None) -> None:
        super().__init__(message)
        self.id = id


class Refused(Exception):
    """A request that cannot be answered; the message is one sentence for a person."""


@dataclass(frozen=True)
class Request:
    """Something to do, and what with; the answer carries the same `id`."""

    id: int
    do: str
    content: Mapping[str, Any]


def parse(line: bytes) -> Request:
    """The request on a line. Raises ProtocolError if it holds none."""
    try:
        content = orjson.loads(line)
    except ValueError as error:
        raise ProtocolError(f"not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ProtocolError('not an object, such as {"id": 1, "do": "ping"}')
    id, do = content.get("id"), content.get("do")
    if not isinstance(id, int) or isinstance(id, bool):
        raise ProtocolError('"id" is not an integer')
    if not isinstance(do, str):
        raise ProtocolError('"do" is not a text', id)
    return Request(id, do, content)


def lines(descriptor: int) -> Iterator[bytes]:
    """The lines that come in, as they come; without Python's file objects, whose locks outlive the interpreter."""
    parts: list[bytes] = []
    while chunk := os.read(descriptor, _CHUNK):
        first, *others = chunk.split(b"\n")
        parts.append(first)
        for other in others:
            yield b"".join(parts)
            parts = [other]
    if any(parts):
        yield b"".join(parts)


class Answers:
    """Where answers go, from several threads, each as a whole line."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink
        self._lock = threading.Lock()

    def send(self, id: int | None, content: Mapping[str, Any]) -> None:
        """Raises OSError if nobody reads any more."""
        line = orjson.dumps({"id": id, **content}) + b"\n"
        with self._lock:
            self._sink.write(line)
            self._sink.flush()
