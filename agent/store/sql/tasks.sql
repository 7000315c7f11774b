-- What callers ask of the store.

-- name: type_id
SELECT id FROM type WHERE name = ?

-- name: add_type
INSERT INTO type (name) VALUES (?) RETURNING id

-- name: insert
INSERT INTO task (type, state, priority, max_attempts, timeout_us, created_at, due_at, payload, key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_alike
-- Tasks that differ in their payloads alone, an array: a third of the time of one by one.
INSERT INTO task (type, state, priority, max_attempts, timeout_us, created_at, due_at, payload)
SELECT ?, ?, ?, ?, ?, ?, ?, value FROM carray(?)

-- name: count
INSERT INTO counts (state, type, n) VALUES (?, ?, ?)
ON CONFLICT (state, type) DO UPDATE SET n = n + excluded.n

-- name: backlog
SELECT coalesce(sum(n), 0) FROM counts WHERE state < 4

-- name: key_owner
SELECT key.task, key.type, key.digest, key.result, task.state, task.result
FROM key LEFT JOIN task ON task.id = key.task
WHERE key.key = ?

-- name: give_key
INSERT INTO key (key, task, type, digest) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
  task = excluded.task, type = excluded.type, digest = excluded.digest, result = NULL, finished_at = NULL

-- name: find
SELECT task.id, type.name, state, priority, attempt, failures, claims, crashes, kills, worker,
  coalesce(task.max_attempts, type.max_attempts), timeout_us, created_at, due_at, started_at, finished_at, key,
  payload, result, error
FROM task JOIN type ON type.id = task.type
WHERE task.id = ?

-- name: ending
SELECT state, result, error FROM task WHERE id = ?

-- name: kept_ending
SELECT 6, result, NULL FROM key INDEXED BY key_kept WHERE task = ? AND result IS NOT NULL

-- name: attempts
SELECT attempt, worker, started_at, ended_at, outcome, error FROM attempt WHERE task = ? ORDER BY attempt

-- name: list_by_id
SELECT id FROM task
WHERE (?1 IS NULL OR state = ?1) AND (?2 IS NULL OR type = ?2)
ORDER BY id DESC LIMIT ?3

-- name: list_waiting
SELECT id FROM task
WHERE state < 3 AND state = ?1 AND (?2 IS NULL OR type = ?2)
ORDER BY id DESC LIMIT ?3

-- name: list_held
SELECT id FROM task INDEXED BY held
WHERE state BETWEEN 4 AND 5 AND state = ?1 AND (?2 IS NULL OR type = ?2)
ORDER BY id DESC LIMIT ?3

-- name: list_ended_badly
SELECT id FROM task
WHERE state > 6 AND state = ?1 AND (?2 IS NULL OR type = ?2)
ORDER BY id DESC LIMIT ?3

-- name: totals
SELECT type.name, counts.state, counts.n FROM counts JOIN type ON type.id = counts.type WHERE counts.n > 0

-- name: in_progress
SELECT type.name, count(*) FROM task INDEXED BY held JOIN type ON type.id = task.type
WHERE task.state BETWEEN 4 AND 5 AND task.state = 5
GROUP BY task.type

-- name: oldest_queued
WITH RECURSIVE line (type, priority) AS (
  SELECT counts.type, (SELECT max(priority) FROM task INDEXED BY queued WHERE task.state = 3 AND task.type = counts.type)
  FROM counts WHERE counts.state = 3 AND counts.n > 0
  UNION ALL
  SELECT line.type, (SELECT max(priority) FROM task INDEXED BY queued
                     WHERE task.state = 3 AND task.type = line.type AND task.priority < line.priority)
  FROM line WHERE line.priority IS NOT NULL
  LIMIT 1000
)
SELECT min((SELECT due_at FROM task INDEXED BY queued
            WHERE task.state = 3 AND task.type = line.type AND task.priority = line.priority ORDER BY task.id LIMIT 1))
FROM line WHERE line.priority IS NOT NULL

-- name: types
SELECT name, handled FROM type ORDER BY name

-- name: where_it_stands
SELECT state, type, key FROM task WHERE id = ?

-- name: cancel
UPDATE task SET state = 8, finished_at = ?, error = ? WHERE id = ? AND state < 4

-- name: ask_cancel
INSERT INTO control (verb, detail, created_at) VALUES ('cancel', json_object('task', ?), ?)

-- name: still_asked
SELECT 1 FROM control WHERE id = ? AND handled_at IS NULL

-- name: unask_cancel
-- An operator who retries a task wants it to run, whatever cancel for it has not been answered yet.
UPDATE control SET handled_at = ?, outcome = 'cancelled, then retried'
WHERE handled_at IS NULL AND verb = 'cancel' AND json_extract(detail, '$.task') = ?

-- name: newer_owner
SELECT task FROM key WHERE key = ? AND task <> ?

-- name: retry
UPDATE task SET state = 3, due_at = ?, finished_at = NULL, error = NULL, worker = NULL,
  failures = 0, crashes = 0, kills = 0
WHERE id = ? AND state BETWEEN 7 AND 8
RETURNING payload
