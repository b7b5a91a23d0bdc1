"""Where files are dropped, and what each was taken for: one line per file, its notes folded away."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from dashboard.analysis import numbers
from dashboard.components.layout import badge, folded, notice
from dashboard.sources.upload_store import Undo
from dashboard.sources.uploads import LARGEST, Upload

_NAMES = 300
_KINDS = (
    "W&B: table of runs or chart as CSV, offline run. TensorBoard: event file, scalars as CSV. trainer_state.json. Any "
    "table of runs. A .zip or a folder of these."
)


def zone() -> html.Div:
    """The drop zone; files dropped anywhere on the page land here too (assets/page-import.js)."""
    return html.Div(
        [
            html.Span(className="icon icon-upload", **{"aria-hidden": "true"}),
            html.P([html.Strong("Drop logs of your runs anywhere"), ", several at once or a whole folder"]),
            html.Button("Choose files", id="import-choose", className="btn btn-main", type="button"),
            html.P(_KINDS, className="hint"),
            html.P(
                f"Up to {LARGEST // 2**20} MB each. They stay on this machine, in the runs folder.", className="hint"
            ),
        ],
        id="import-zone",
        className="import-zone",
    )


def files(uploads: Mapping[str, Upload], joined: Sequence[str] = ()) -> list[Any]:
    """One line per uploaded file; `joined` says which sources hold the same run."""
    if not uploads:
        return [html.P("Nothing is imported yet.", className="dim import-none")]
    told = {note: [key for key, upload in uploads.items() if upload.name in note] for note in joined}
    own = {key: [note for note, keys in told.items() if key in keys] for key in uploads}
    others = [html.P(note, className="dim") for note, keys in told.items() if not keys]
    rows = [_file(upload, own[key]) for key, upload in uploads.items()]
    return [html.H2(f"Imported files ({len(uploads):,})"), html.Ul(rows, className="import-list"), *others]


def _file(upload: Upload, joined: Sequence[str]) -> html.Li:
    buttons = [_button("Columns", "import-columns", upload)] if upload.named else []
    head = html.Div(
        [
            html.Span(upload.name, className="file-name"),
            html.Div([*buttons, _button("Remove", "import-remove", upload)], className="import-buttons"),
        ],
        className="import-head",
    )
    return html.Li([head, _state(upload), *_joined(joined), *_notes(upload)], className="import-file", key=upload.id)


def _button(words: str, kind: str, upload: Upload) -> html.Button:
    return html.Button(
        words,
        id={"type": kind, "id": upload.id},
        className="btn btn-quiet",
        type="button",
        **{"aria-label": f"{words}: {upload.name}"},
    )


def _state(upload: Upload) -> html.Div:
    """What the file was taken for and what is in it; or why it cannot be read."""
    if upload.problem:
        return notice(upload.problem, "bad")
    told = []
    if upload.reading:
        told.append(badge("reading", "info"))
    curves = sum(len(history) for history in upload.histories.values())
    if upload.formats:
        told += [", ".join(upload.formats), _count(len(upload.runs), "run"), _count(curves, "curve")]
    told += [_bytes(upload.size), time.strftime("%Y-%m-%d %H:%M", time.localtime(upload.added))]
    if upload.corrections.told():
        told.append("corrected by you")
    parts: list[Any] = []
    for part in told:
        parts += [" · ", part] if parts else [part]
    return html.Div(parts, className="dim import-facts")


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s" if number else f"no {word}s"


def _bytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB" if size >= 1e3 else f"{size} bytes"


def _joined(joined: Sequence[str]) -> list[Any]:
    return [html.P(note, className="import-joined") for note in joined]


def _notes(upload: Upload) -> list[Any]:
    if not upload.notes:
        return []
    more = len(upload.notes) - _NAMES
    shown = [html.Li(numbers.visible(note)) for note in upload.notes[:_NAMES]]
    shown += [html.Li(f"{more:,} more notes.")] if more > 0 else []
    return [folded(_count(len(upload.notes), "note"), html.Ul(shown), className="import-notes")]


def undo(last: Undo | None, place: str) -> list[Any]:
    """The last change in words, with the button that undoes it; nothing where it can no longer be undone."""
    if last is None:
        return []
    words = {"aria-label": f"Undo: {last.words}"}
    button = html.Button(
        "Undo", id={"type": "import-undo", "id": place}, className="btn btn-quiet btn-tall", type="button", **words
    )
    return [html.Span(last.words), button]
