-- 0x41756453, "AudS": so that a file of another program is told apart from ours.
PRAGMA application_id = 1098212435;

CREATE TABLE accounts (
    owner TEXT PRIMARY KEY NOT NULL,
    committed INTEGER NOT NULL DEFAULT 0 CHECK (committed >= 0),
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    files INTEGER NOT NULL DEFAULT 0 CHECK (files >= 0),
    pending INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0)
) WITHOUT ROWID;

-- Times are microseconds since 1970, UTC.
CREATE TABLE reservations (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    project TEXT,
    chapter TEXT,
    section TEXT,
    filename TEXT NOT NULL,
    key TEXT NOT NULL,
    backend TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    charged INTEGER NOT NULL CHECK (charged >= 0),
    state TEXT NOT NULL CHECK (state IN ('pending', 'committed', 'released', 'expired')),
    file_id TEXT NOT NULL,
    replaces TEXT,
    sha256 TEXT,
    content_type TEXT NOT NULL,
    metadata TEXT NOT NULL,
    resume TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    held_until INTEGER NOT NULL,
    idempotency_key TEXT,
    finished_at INTEGER
);
CREATE UNIQUE INDEX reservations_key ON reservations (key, backend) WHERE state = 'pending';
CREATE UNIQUE INDEX reservations_idempotency ON reservations (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX reservations_overdue ON reservations (expires_at) WHERE state = 'pending';
CREATE INDEX reservations_owner ON reservations (owner, expires_at) WHERE state = 'pending';
CREATE INDEX reservations_replaces ON reservations (replaces, size DESC, id) WHERE state = 'pending';
CREATE INDEX reservations_finished ON reservations (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE records (
    id TEXT PRIMARY KEY NOT NULL,
    owner TEXT NOT NULL,
    project TEXT,
    chapter TEXT,
    section TEXT,
    filename TEXT NOT NULL,
    key TEXT NOT NULL,
    backend TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    sha256 TEXT,
    content_type TEXT NOT NULL,
    duration REAL,
    created_at INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    hidden INTEGER NOT NULL DEFAULT 0 CHECK (hidden IN (0, 1))
);
CREATE UNIQUE INDEX records_key ON records (key, backend);
CREATE INDEX records_owner ON records (owner, id);
CREATE INDEX records_project ON records (owner, project, id);
CREATE INDEX records_chapter ON records (owner, project, chapter, id);

CREATE TABLE removals (
    id TEXT PRIMARY KEY NOT NULL,
    backend TEXT NOT NULL,
    key TEXT NOT NULL,
    owner TEXT,
    file TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    due INTEGER NOT NULL
);
CREATE UNIQUE INDEX removals_key ON removals (key, backend);
CREATE INDEX removals_due ON removals (due);

-- Numbers as JSON, since "not given" and "unlimited" are two things.
CREATE TABLE overrides (
    owner TEXT PRIMARY KEY NOT NULL,
    numbers TEXT NOT NULL,
    until INTEGER
) WITHOUT ROWID;
