-- Schema of _control: who may come in, and settings all instances share.
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 1), ('min_reader', 1), ('min_writer', 1);

CREATE TABLE keys (
  id         TEXT PRIMARY KEY,
  hash       TEXT NOT NULL UNIQUE,        -- SHA-256 of the key, hex: keys are 256 random bits
  scopes     TEXT NOT NULL,               -- words separated by blanks
  tenant     TEXT NOT NULL DEFAULT '',    -- '' = any
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL DEFAULT 0,  -- 0 = never
  name       TEXT NOT NULL DEFAULT ''     -- what its owner calls it
) WITHOUT ROWID;

CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- What operators did, one row before and one after what takes time.
CREATE TABLE audit (
  seq     INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,               -- id of the key, or "cli:" and the account
  action  TEXT NOT NULL,               -- tenant.restore, key.create …
  tenant  TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL,               -- begun, done, failed
  detail  TEXT NOT NULL DEFAULT ''     -- JSON; never a key
);
