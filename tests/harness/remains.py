"""What a run leaves: the logs as the store has them, and what stands on every surface."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
import sqlite3
from tempfile import TemporaryDirectory
from typing import Any

from bridge.events import ConversationId, Entry
from bridge.store import Store, open_store
from tests.fakes.slack import Slack
from tests.fakes.slack_state import Message
from tests.fakes.smtp import SmtpServer
from tests.fakes.telegram import TelegramServer
from tests.harness.fleet import Fleet
from tests.harness.history import Mailed, Posted


async def read_logs(fleet: Fleet, cids: Iterable[str]) -> dict[str, list[Entry]]:
    """Past all servers; from SQLite, which is one process's, in a copy."""
    if fleet.redis is not None:
        return await logs_of(fleet.store, cids)
    with TemporaryDirectory() as folder:
        copy = Path(folder, "copy.db")
        await asyncio.to_thread(_copy, fleet.members[0].server.folder / "joinline.db", copy)
        return await logs_of(f"sqlite:///{copy}", cids)


def _copy(database: Path, to: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


async def logs_of(url: str, cids: Iterable[str]) -> dict[str, list[Entry]]:
    store = await open_store(url)
    try:
        return {cid: await _whole(store, cid) for cid in cids}
    finally:
        await store.close()


async def _whole(store: Store, cid: str) -> list[Entry]:
    entries: list[Entry] = []
    while more := await store.read(ConversationId(cid), after=len(entries)):
        entries += more
    return entries


def in_slack(slack: Slack) -> list[Posted]:
    found = []
    for message in sorted(slack.messages.values(), key=lambda m: m.ts):
        said = _payload(message)
        if said:
            found.append(
                Posted(
                    cid=said["cid"], thread=message.thread_ts or message.ts, text=message.shown,
                    seq=said.get("seq"), part=said.get("part", 0),
                    at=datetime.fromtimestamp(float(message.ts), UTC),
                )
            )  # fmt: skip
    return found


def _payload(message: Message) -> dict[str, Any]:
    metadata = message.metadata or {}
    return metadata.get("event_payload") or {} if metadata.get("event_type") == "joinline" else {}


def in_telegram(telegram: TelegramServer, marks: Mapping[str, str]) -> list[Posted]:
    """Everything that was ever shown, in topics that were deleted too; `marks` tell whose topic it is."""
    topics: dict[int, str] = {}
    messages = [m for m in telegram.chat().messages.values() if m.by_bot and m.service is None]
    shown = {m.id: m.shown.replace("\u2060", "") for m in messages}
    for message in messages:
        cid = next((c for mark, c in marks.items() if mark in shown[message.id]), None)
        if message.thread is not None and cid is not None:
            topics.setdefault(message.thread, cid)
    return [
        Posted(
            cid=topics[m.thread], thread=str(m.thread), text=shown[m.id], at=datetime.fromtimestamp(m.date, UTC)
        )
        for m in messages
        if not m.rows and m.thread in topics
    ]  # fmt: skip


def in_mail(smtp: SmtpServer, marks: Mapping[str, str]) -> list[Mailed]:
    texts: Sequence[tuple[str, str]] = [(mail.recipient, mail.part("plain")) for mail in smtp.mails]
    return [
        Mailed(cid=cid, recipient=recipient)
        for recipient, text in texts
        for mark, cid in marks.items()
        if mark in text
    ]
