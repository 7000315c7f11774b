-- States are the numbers of agent/lifecycle.py: 1 scheduled, 2 retry_scheduled, 3 queued, 4 reserved,
-- 5 in_progress, 6 succeeded, 7 failed, 8 cancelled. Times are wall time in microseconds.

CREATE TABLE type (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  handled INTEGER NOT NULL DEFAULT 0,  -- whether the last supervisor had a handler for it
  max_attempts INTEGER
) STRICT;

CREATE TABLE task (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice: the fence relies on it
  type INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 8),
  priority INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,    -- handler starts
  failures INTEGER NOT NULL DEFAULT 0,   -- attempts that failed since the task was (re)queued by somebody
  claims INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  kills INTEGER NOT NULL DEFAULT 0,
  worker INTEGER,                        -- who holds it, or ran it last
  max_attempts INTEGER,
  timeout_us INTEGER,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  started_at INTEGER,
  finished_at INTEGER,
  key TEXT,
  payload TEXT NOT NULL,
  result TEXT,
  error TEXT,
  CHECK ((state > 5) = (finished_at IS NOT NULL)),
  CHECK ((state = 6) = (result IS NOT NULL)),
  CHECK (worker IS NOT NULL OR state NOT BETWEEN 4 AND 5),
  CHECK (started_at IS NOT NULL OR state NOT BETWEEN 5 AND 6)
) STRICT;

CREATE INDEX queued ON task (type, priority DESC, id) WHERE state = 3;
CREATE INDEX held ON task (worker) WHERE state BETWEEN 4 AND 5;
CREATE INDEX due ON task (state, due_at) WHERE state < 3;
CREATE INDEX ended_badly ON task (state, id) WHERE state > 6;

CREATE TRIGGER law AFTER UPDATE OF state ON task
WHEN OLD.state <> NEW.state AND (({law} >> (OLD.state * 8 + NEW.state - 9)) & 1) = 0
BEGIN
  SELECT RAISE(ABORT, 'illegal move of a task');
END;

CREATE TABLE attempt (  -- attempts that ended without success; the last one of all stands in the task's row
  task INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  worker INTEGER,
  started_at INTEGER,
  ended_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  PRIMARY KEY (task, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE key (
  key TEXT PRIMARY KEY,
  task INTEGER NOT NULL,
  type INTEGER NOT NULL,
  digest BLOB NOT NULL,       -- of the canonical payload
  result TEXT,                -- only once the task itself is deleted
  finished_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX key_finished ON key (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX key_kept ON key (task) WHERE result IS NOT NULL;

CREATE TABLE counts (  -- how many tasks; reserved and in_progress are counted together as 4
  state INTEGER NOT NULL,
  type INTEGER NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (state, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE worker (
  id INTEGER PRIMARY KEY,
  pid INTEGER NOT NULL,
  start_ticks INTEGER NOT NULL,
  boot_id TEXT NOT NULL,
  pid_ns INTEGER NOT NULL,
  state TEXT NOT NULL,
  born_at INTEGER NOT NULL,
  since INTEGER NOT NULL,
  heartbeat_at INTEGER NOT NULL,
  rss_bytes INTEGER NOT NULL DEFAULT 0,
  gone_at INTEGER
) STRICT;

CREATE INDEX worker_alive ON worker (born_at, id) WHERE gone_at IS NULL;
CREATE INDEX worker_gone ON worker (gone_at) WHERE gone_at IS NOT NULL;

CREATE TABLE admission (  -- what may be claimed; every claim compares the version in its own transaction
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  max INTEGER,          -- an operator's `scale`, else the configuration's
  max_until INTEGER,
  paused TEXT NOT NULL  -- operators' pauses as JSON: {"type or *": until in microseconds, or null}
) STRICT;
INSERT INTO admission VALUES (1, 1, NULL, NULL, '{}');

CREATE TABLE governor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  state TEXT NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE metrics (
  at INTEGER NOT NULL,
  sample TEXT NOT NULL
) STRICT;
CREATE INDEX metrics_at ON metrics (at);

CREATE TABLE decision (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  deed TEXT NOT NULL,
  why TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;

CREATE INDEX decision_at ON decision (at);

CREATE TABLE control (  -- operators' commands: the command line inserts, the supervisor alone applies
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  verb TEXT NOT NULL,
  detail TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  handled_at INTEGER,
  outcome TEXT
) STRICT;
CREATE INDEX control_done ON control (handled_at) WHERE handled_at IS NOT NULL;
CREATE INDEX control_open ON control (id) WHERE handled_at IS NULL;

CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  episode TEXT NOT NULL,
  channel TEXT NOT NULL,
  payload TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  delivered_at INTEGER,
  gave_up_at INTEGER,
  error TEXT,
  UNIQUE (episode, channel)
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at) WHERE delivered_at IS NULL AND gave_up_at IS NULL;

CREATE TABLE mark (  -- where a walk stands that goes on another day
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE VIEW tasks AS  -- for people: states and types as words
SELECT task.id, type.name AS type,
  CASE state WHEN 1 THEN 'scheduled' WHEN 2 THEN 'retry_scheduled' WHEN 3 THEN 'queued' WHEN 4 THEN 'reserved'
    WHEN 5 THEN 'in_progress' WHEN 6 THEN 'succeeded' WHEN 7 THEN 'failed' ELSE 'cancelled' END AS state,
  priority, attempt, task.max_attempts, claims, crashes, kills, worker, created_at, due_at, started_at, finished_at,
  key, payload, result, error
FROM task JOIN type ON type.id = task.type;
