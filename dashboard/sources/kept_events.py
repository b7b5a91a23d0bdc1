"""Event files that were read before: their columns and texts, from the cache."""

from pathlib import Path

import numpy as np

from dashboard.sources import cache, event_file
from dashboard.sources.curves import Column
from dashboard.sources.event_file import Events
from dashboard.sources.files import File


def read(file: File) -> Events:
    """What the event file holds. Raises SourceError if it cannot be read."""
    origin: Path | None = file.origin
    return cache.kept(origin, "events", lambda: event_file.decode(file.content()), encode, decode)


def encode(events: Events) -> bytes:
    """The events as bytes."""
    about = {"texts": dict(events.texts), "numbers": [events.started, events.damaged, events.unread]}
    parts = ((tag, (column.steps, column.times, column.values)) for tag, column in events.scalars.items())
    return cache.pack(((tag, [part.tobytes() for part in columns]) for tag, columns in parts), about)


def decode(content: bytes) -> Events:
    """The events in `encode`'s bytes, as views of them. Raises ValueError if they are none."""
    rows, blocks, about = cache.unpack(content)
    try:
        scalars = {
            tag: Column(
                np.frombuffer(blocks[steps], dtype=np.int64),
                np.frombuffer(blocks[times], dtype=np.float64),
                np.frombuffer(blocks[values], dtype=np.float64),
            )
            for tag, (steps, times, values) in rows
        }
        started, damaged, unread = about["numbers"]
        return Events(scalars, dict(about["texts"]), started, damaged, unread)
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("no kept events") from error
