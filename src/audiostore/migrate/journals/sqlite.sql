-- The mark of a file of audiostore's, as in its catalogs.
PRAGMA application_id = 1098212435;

-- One file of the source for one owner. Times are microseconds since 1970, UTC; lists are JSON.
CREATE TABLE items (
    id TEXT PRIMARY KEY NOT NULL,
    job TEXT NOT NULL,
    address TEXT NOT NULL,
    owner TEXT NOT NULL,
    turn TEXT NOT NULL,
    size INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'copied', 'done', 'left', 'undone')),
    outcome TEXT NOT NULL,
    refs TEXT NOT NULL,
    attempts TEXT NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0,
    worker TEXT,
    leased_until INTEGER,
    file TEXT,
    key TEXT,
    sha256 TEXT,
    detail TEXT,
    facts TEXT NOT NULL
);
CREATE UNIQUE INDEX items_known ON items (job, address, owner);
CREATE INDEX items_turn ON items (job, state, turn, id);
CREATE INDEX items_twins ON items (job, owner, sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX items_leased ON items (worker) WHERE worker IS NOT NULL;
