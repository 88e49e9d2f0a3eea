-- Schema of one tenant's database. Times are milliseconds since 1970, UTC.
-- Changes only expand for one release (DESIGN §4): add, never rename or drop.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY, -- schema, min_reader, min_writer, kb_version, next_chunk, epoch
  value INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', 1), ('min_reader', 1), ('min_writer', 1), ('kb_version', 0), ('next_chunk', 1),
  ('epoch', 0); -- grows when the database is restored, imported over or undone, as all counters do

CREATE TABLE documents (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,               -- file name, path or title; ingest decides what is a new version of what
  metadata   TEXT NOT NULL DEFAULT '{}',  -- JSON object of strings
  newest     INTEGER NOT NULL,            -- newest version, whatever its state
  live       INTEGER NOT NULL DEFAULT 0,  -- version that is searched; 0 = none yet
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX documents_name ON documents (name);

CREATE TABLE versions (
  document    TEXT NOT NULL,
  version     INTEGER NOT NULL,
  sha256      TEXT NOT NULL,               -- of the original bytes, hex
  bytes       INTEGER NOT NULL,
  mime        TEXT NOT NULL,
  title       TEXT NOT NULL,
  status      TEXT NOT NULL,               -- pending, processing, ready, failed
  progress    REAL NOT NULL DEFAULT 0,     -- 0 to 1
  error       TEXT NOT NULL DEFAULT '',    -- for the user
  job         TEXT NOT NULL,
  tries       INTEGER NOT NULL DEFAULT 0,
  first_chunk INTEGER NOT NULL DEFAULT 0,  -- chunks of a version have consecutive ids
  chunks      INTEGER NOT NULL DEFAULT 0,
  tail        BLOB NOT NULL DEFAULT x'',   -- canonical text after the last chunk
  updated_at  INTEGER NOT NULL,
  PRIMARY KEY (document, version)
) WITHOUT ROWID;
CREATE INDEX versions_sha256 ON versions (sha256);
CREATE UNIQUE INDEX versions_job ON versions (job);
CREATE INDEX versions_open ON versions (status) WHERE status IN ('pending', 'processing');

-- The canonical text of a version is lead‖text of its chunks in order, then
-- the version's tail: nothing is stored twice, and a chunk is one row read.
CREATE TABLE chunks (
  id       INTEGER PRIMARY KEY,
  document TEXT NOT NULL,
  version  INTEGER NOT NULL,
  ordinal  INTEGER NOT NULL,
  start    INTEGER NOT NULL, -- byte offset of text in the canonical text
  heading  TEXT NOT NULL,
  prefix   TEXT NOT NULL,
  lead     BLOB NOT NULL,    -- canonical text between the chunk before and this one
  text     BLOB NOT NULL
);

-- Immutable pieces of the lexical index (package lexical). A segment is
-- written invisibly, part by part, and made live by one small commit.
CREATE TABLE segments (
  id    INTEGER PRIMARY KEY AUTOINCREMENT,
  level INTEGER NOT NULL,
  docs  INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  first_chunk INTEGER NOT NULL,
  last_chunk  INTEGER NOT NULL,
  live  INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL
);
CREATE TABLE segment_parts (
  segment INTEGER NOT NULL,
  part    INTEGER NOT NULL,  -- bytes [part·65536, (part+1)·65536)
  data    BLOB NOT NULL,
  PRIMARY KEY (segment, part)
); -- with rowid: else SQLite reads data, too, of every row that it compares a key with
-- Chunk ids that live segments still hold but nobody may find any more.
CREATE TABLE dead (
  first INTEGER PRIMARY KEY,
  last  INTEGER NOT NULL
);

-- Vectors of chunks (package vector). A block holds those of consecutive chunks
-- of one version in one space, which is <model>/<dimensions>; it never changes.
-- A block without data is of chunks whose text the model refused. Whether a
-- chunk counts is not said here: the documents say it.
CREATE TABLE vector_blocks (
  id    INTEGER PRIMARY KEY AUTOINCREMENT, -- order of commit: who has read some knows what is new
  space TEXT NOT NULL,
  first INTEGER NOT NULL,
  last  INTEGER NOT NULL,
  data  BLOB NOT NULL
);
-- Which chunks have a vector is read without the vectors.
CREATE UNIQUE INDEX vector_blocks_chunks ON vector_blocks (space, first, last);
CREATE TABLE vector_spaces (
  space    TEXT PRIMARY KEY,
  since    INTEGER NOT NULL,
  used_at  INTEGER NOT NULL  -- by a server, noted while there is another space
) WITHOUT ROWID;
-- What an index outside this database (Milvus) was given: the vectors of blocks
-- first to last. pending → live or abandoned → gone.
CREATE TABLE vector_batches (
  id         TEXT PRIMARY KEY,
  space      TEXT NOT NULL,
  target     TEXT NOT NULL,    -- which index
  first      INTEGER NOT NULL, -- ids of blocks
  last       INTEGER NOT NULL,
  n          INTEGER NOT NULL, -- vectors
  state      TEXT NOT NULL,    -- pending, live, abandoned
  epoch      INTEGER NOT NULL, -- meta epoch when it was last counted there
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
  owner      TEXT NOT NULL,   -- key and user; '' = public
  id         TEXT NOT NULL,   -- ours for public ones, the caller's choice for the others
  state      TEXT NOT NULL,   -- ai, waiting, human
  state_at   INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  last_at    INTEGER NOT NULL,
  turns      INTEGER NOT NULL,
  PRIMARY KEY (owner, id)
) WITHOUT ROWID;

CREATE TABLE turns (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT, -- order of commit
  id         TEXT NOT NULL UNIQUE,
  owner      TEXT NOT NULL,
  session    TEXT NOT NULL,
  query      TEXT NOT NULL,
  condensed  TEXT NOT NULL,
  answer     TEXT NOT NULL,
  route      TEXT NOT NULL,
  lang       TEXT NOT NULL,
  sources    TEXT NOT NULL,   -- JSON
  metadata   TEXT NOT NULL,   -- JSON
  created_at INTEGER NOT NULL
);
CREATE INDEX turns_session ON turns (owner, session, seq);
CREATE INDEX sessions_id ON sessions (id);

CREATE TABLE missed (
  turn       TEXT PRIMARY KEY,
  query      TEXT NOT NULL,
  lang       TEXT NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE handoffs (
  id         TEXT PRIMARY KEY, -- the turn that began it
  owner      TEXT NOT NULL,
  session    TEXT NOT NULL,
  state      TEXT NOT NULL,   -- waiting, human, closed
  reason     TEXT NOT NULL,   -- requested, accepted, closed, cancelled, timeout
  agent      TEXT NOT NULL DEFAULT '',
  lang       TEXT NOT NULL,   -- of the customer
  query      TEXT NOT NULL,   -- what the customer said when it began
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX handoffs_session ON handoffs (owner, session, created_at);
CREATE INDEX handoffs_open ON handoffs (state, created_at) WHERE state <> 'closed';

-- What happened in handoffs: one row per change of state or message. A
-- session's event stream is these rows in order.
CREATE TABLE notes (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  handoff    TEXT NOT NULL,
  owner      TEXT NOT NULL,
  session    TEXT NOT NULL,
  kind       TEXT NOT NULL,             -- requested, accepted, closed, cancelled, timeout; reply, customer
  agent      TEXT NOT NULL DEFAULT '',
  text       TEXT NOT NULL,
  turn       TEXT NOT NULL DEFAULT '',  -- that told the customer already, or holds the message
  created_at INTEGER NOT NULL
);
CREATE INDEX notes_session ON notes (owner, session, seq);
CREATE INDEX notes_handoff ON notes (handoff, seq);

CREATE TABLE orders (
  key        TEXT PRIMARY KEY,          -- the id as it is compared: letters and digits, upper case
  id         TEXT NOT NULL,             -- as the shop writes it
  user       TEXT NOT NULL,
  product    TEXT NOT NULL,
  amount     TEXT NOT NULL,             -- JSON number or string; '' = not told
  status     TEXT NOT NULL,
  fields     TEXT NOT NULL,             -- JSON object of strings
  salt       BLOB NOT NULL,             -- of the verifier; empty = there is none
  verifier   BLOB NOT NULL,             -- PBKDF2 of what proves ownership
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX orders_user ON orders (user, created_at);

-- Failed proofs of ownership by what they count against: one order, one
-- client address, or all of the tenant.
CREATE TABLE order_failures (
  subject TEXT PRIMARY KEY,
  n       INTEGER NOT NULL,             -- since
  since   INTEGER NOT NULL,
  until   INTEGER NOT NULL              -- locked until; 0 = not
) WITHOUT ROWID;
CREATE INDEX order_failures_since ON order_failures (since);

CREATE TABLE feedback (
  turn       TEXT PRIMARY KEY,
  rating     TEXT NOT NULL,             -- up, down
  comment    TEXT NOT NULL,
  created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- What answers took, by day (UTC) and model.
CREATE TABLE usage (
  day        TEXT NOT NULL,
  model      TEXT NOT NULL,             -- '' = no model wrote
  turns      INTEGER NOT NULL,
  abstained  INTEGER NOT NULL,
  prompt     INTEGER NOT NULL,          -- tokens
  completion INTEGER NOT NULL,
  cost_micro INTEGER NOT NULL,
  PRIMARY KEY (day, model)
) WITHOUT ROWID;

-- What a tenant chose: chat_model, user_token_secrets.
CREATE TABLE settings (
  key   TEXT PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

-- Requests with an Idempotency-Key and their answers, for 7 days.
CREATE TABLE receipts (
  id     TEXT PRIMARY KEY,              -- hash of principal, route and key
  body   TEXT NOT NULL,                 -- hash of the request's body
  turn   TEXT NOT NULL,                 -- that it made; '' = it was no question
  status INTEGER NOT NULL,              -- of the answer; 0 = lost, or not there yet
  type   TEXT NOT NULL,
  answer BLOB NOT NULL,
  at     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX receipts_at ON receipts (at);
