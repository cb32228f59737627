"""All appends of a batch, checked and stored by a fixed number of statements.

A statement runs without the interpreter's lock and takes it back at its end, and a fetched row does so
once more: a statement or a row for each append would queue for that lock behind a busy event loop each
time. So lists travel as one JSON value in both directions, and the entries as one blob beside it, which
spares SQLite parsing them.
"""

from collections.abc import Sequence
import sqlite3

from msgspec import Struct, json

from bridge.errors import Conflict
from bridge.events import ConversationId, Seq


class Append(Struct, frozen=True, kw_only=True):
    cid: ConversationId
    after: Seq
    bodies: list[bytes]
    due: int | None


_LOGS = """
SELECT ifnull((SELECT max(id) FROM conversation), 0), json_group_array(json_array(cid, id, head))
FROM conversation WHERE cid IN (SELECT value FROM json_each(?))
"""

_MOVE_HEADS = """
INSERT INTO conversation (id, cid, head, due)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?) WHERE true
ON CONFLICT (id) DO UPDATE SET head = excluded.head, due = excluded.due
"""

_ADD_ENTRIES = """
INSERT INTO entry (conversation, seq, body)
SELECT value ->> 0, value ->> 1, CAST(substr(?2, value ->> 2, value ->> 3) AS TEXT) FROM json_each(?1)
"""

# Only a cursor that waited for nothing changes: one that waits already keeps its place.
_WAKE_SURFACES = """
INSERT INTO cursor (surface, conversation, position, since)
SELECT surface.name, log.value, 0, (SELECT n FROM entry WHERE conversation = log.value AND seq = 1)
FROM json_each(?) AS log, surface WHERE true
ON CONFLICT (surface, conversation) DO UPDATE
SET since = (
    SELECT n FROM entry WHERE conversation = cursor.conversation AND seq = cursor.position + 1
)
WHERE cursor.since IS NULL
"""


class _Log(Struct, kw_only=True):
    id: int
    head: int
    due: int | None = None
    grown: bool = False


def append_all(connection: sqlite3.Connection, appends: Sequence[Append]) -> list[Conflict | None]:
    """What became of each; a later append sees the earlier ones. The caller holds the transaction."""
    cids = {append.cid for append in appends}
    last_id, found = connection.execute(_LOGS, (json.encode([*cids]).decode(),)).fetchone()
    logs = {cid: _Log(id=number, head=head) for cid, number, head in json.decode(found)}
    rows: list[tuple[int, int, int, int]] = []  # conversation, seq, where the body begins, its length
    bodies: list[bytes] = []
    place = 1
    answers: list[Conflict | None] = []
    for append in appends:
        log = logs.get(append.cid)
        head = log.head if log else 0
        if head != append.after:
            answers.append(Conflict(head))
            continue
        if log is None:
            last_id += 1
            log = logs[append.cid] = _Log(id=last_id, head=0)
        for body in append.bodies:
            log.head += 1
            rows.append((log.id, log.head, place, len(body)))
            place += len(body)
        bodies += append.bodies
        log.due, log.grown = append.due, True
        answers.append(None)
    if rows:
        grown = {cid: log for cid, log in logs.items() if log.grown}
        moved = [(log.id, cid, log.head, log.due) for cid, log in grown.items()]
        connection.execute(_MOVE_HEADS, (json.encode(moved).decode(),))
        connection.execute(_ADD_ENTRIES, (json.encode(rows).decode(), b"".join(bodies)))
        connection.execute(_WAKE_SURFACES, (json.encode([log.id for log in grown.values()]).decode(),))
    return answers
