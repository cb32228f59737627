-- Version 1. A moment is a count of microseconds since 1970 in UTC.

PRAGMA application_id = 1246710094; -- "JOIN"

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta VALUES ('log_id', lower(hex(randomblob(16))));

-- `head` repeats the highest seq of the log, so that an append is checked and fenced on one small row.
-- It is 0 where a surface has a cursor on a conversation that has no log yet.
CREATE TABLE conversation (
    id INTEGER PRIMARY KEY,
    cid TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    due INTEGER
) STRICT;

CREATE INDEX conversation_due ON conversation (due) WHERE due IS NOT NULL;

-- `n` counts the entries of all conversations in the order in which they came. The table grows at its
-- end alone, so a commit of many conversations touches few pages. `body` is the entry as JSON.
CREATE TABLE entry (
    n INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (conversation, seq)
) STRICT;

-- The pushed surfaces that have ever asked what they are behind with: each append keeps their `since`.
CREATE TABLE surface (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- `since` is the `n` of the entry after `position`, NULL where there is none: what a surface is behind
-- with, the longest waiting first, is one range of an index, however many conversations there are.
CREATE TABLE cursor (
    surface TEXT NOT NULL,
    conversation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    anchor TEXT,
    since INTEGER,
    PRIMARY KEY (surface, conversation)
) STRICT, WITHOUT ROWID;

CREATE INDEX cursor_since ON cursor (surface, since) WHERE since IS NOT NULL;
CREATE INDEX cursor_anchor ON cursor (surface, anchor) WHERE anchor IS NOT NULL;

CREATE TABLE record (
    space TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX record_expires_at ON record (expires_at) WHERE expires_at IS NOT NULL;
