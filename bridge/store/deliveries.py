"""The SQLite store's cursors of pushed surfaces: functions of a connection."""

import sqlite3

from bridge.events import ConversationId, Seq
from bridge.store import Cursor

_SINCE = "(SELECT n FROM entry WHERE conversation = cursor.conversation AND seq = cursor.position + 1)"


def cursor(connection: sqlite3.Connection, surface: str, cid: ConversationId) -> Cursor:
    sql = """
        SELECT position, anchor FROM cursor
        WHERE surface = ? AND conversation = (SELECT id FROM conversation WHERE cid = ?)
    """
    row = connection.execute(sql, (surface, cid)).fetchone()
    return Cursor() if row is None else Cursor(position=row[0], anchor=row[1])


def advance(
    connection: sqlite3.Connection, surface: str, cid: ConversationId, position: Seq, anchor: str | None
) -> None:
    connection.execute("INSERT INTO conversation (cid, head) VALUES (?, 0) ON CONFLICT DO NOTHING", (cid,))
    (conversation,) = connection.execute("SELECT id FROM conversation WHERE cid = ?", (cid,)).fetchone()
    moved = """
        INSERT INTO cursor (surface, conversation, position, anchor) VALUES (?, ?, ?, ?)
        ON CONFLICT (surface, conversation) DO UPDATE
        SET position = max(position, excluded.position), anchor = ifnull(excluded.anchor, anchor)
    """
    connection.execute(moved, (surface, conversation, position, anchor))
    waits = f"UPDATE cursor SET since = {_SINCE} WHERE surface = ? AND conversation = ?"  # noqa: S608 - a constant
    connection.execute(waits, (surface, conversation))


def behind(connection: sqlite3.Connection, surface: str, limit: int) -> list[ConversationId]:
    sql = """
        SELECT cid FROM cursor JOIN conversation ON conversation.id = cursor.conversation
        WHERE surface = ? AND since IS NOT NULL ORDER BY since LIMIT ?
    """
    return [cid for (cid,) in connection.execute(sql, (surface, limit))]


def find_anchor(connection: sqlite3.Connection, surface: str, anchor: str) -> ConversationId | None:
    sql = """
        SELECT cid FROM cursor JOIN conversation ON conversation.id = cursor.conversation
        WHERE surface = ? AND anchor = ? LIMIT 1
    """
    row = connection.execute(sql, (surface, anchor)).fetchone()
    return None if row is None else row[0]


def surfaces(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM surface")}


def register(connection: sqlite3.Connection, surface: str) -> None:
    """From here on every append keeps what `surface` waits for; what it waits for already is found once."""
    connection.execute("INSERT INTO surface VALUES (?) ON CONFLICT DO NOTHING", (surface,))
    new = """
        INSERT INTO cursor (surface, conversation, position)
        SELECT ?, id, 0 FROM conversation WHERE true ON CONFLICT DO NOTHING
    """
    connection.execute(new, (surface,))
    connection.execute(f"UPDATE cursor SET since = {_SINCE} WHERE surface = ?", (surface,))  # noqa: S608 - a constant
