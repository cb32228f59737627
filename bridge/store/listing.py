"""What the SQLite store holds, listed to move it elsewhere: functions of a connection."""

from collections.abc import Collection
import sqlite3

from msgspec import json

from bridge.events import ConversationId
from bridge.store import Cursor, Standing
from bridge.store.codec import moment

PAGE = 1_000

_CONVERSATIONS = "SELECT id, cid FROM conversation WHERE head > 0 AND id > ? ORDER BY id LIMIT ?"
_STANDINGS = """
SELECT cid, head, due FROM conversation WHERE cid IN (SELECT value FROM json_each(?))
"""
_CURSORS = """
SELECT cid, surface, position, anchor
FROM json_each(?) AS asked
CROSS JOIN conversation ON conversation.cid = asked.value
CROSS JOIN surface
CROSS JOIN cursor ON cursor.surface = surface.name AND cursor.conversation = conversation.id
WHERE position > 0 OR anchor IS NOT NULL
"""


def conversations(connection: sqlite3.Connection, *, last: int) -> tuple[int, list[ConversationId]]:
    """The next page after row `last`, and its own last row."""
    rows = connection.execute(_CONVERSATIONS, (last, PAGE)).fetchall()
    return (rows[-1][0] if rows else last), [cid for _, cid in rows]


def standings(
    connection: sqlite3.Connection, cids: Collection[ConversationId]
) -> dict[ConversationId, Standing]:
    asked = json.encode([*cids]).decode()
    cursors: dict[ConversationId, dict[str, Cursor]] = {}
    for cid, surface, position, anchor in connection.execute(_CURSORS, (asked,)):
        cursors.setdefault(cid, {})[surface] = Cursor(position=position, anchor=anchor)
    found = {cid: Standing(cursors=cursors.get(cid, {})) for cid in cids}
    for cid, head, due in connection.execute(_STANDINGS, (asked,)):
        at = None if due is None else moment(due)
        found[cid] = Standing(head=head, due=at, cursors=cursors.get(cid, {}))
    return found


def spaces(connection: sqlite3.Connection) -> list[str]:
    return [space for (space,) in connection.execute("SELECT DISTINCT space FROM record ORDER BY space")]
