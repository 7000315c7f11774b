-- The hot path: one transaction records a chunk and claims the next.

-- name: version
SELECT version FROM admission WHERE id = 1

-- name: glimpse
-- The admission's version, beside each type of which something is queued, or NULL.
SELECT version, counts.type
FROM admission LEFT JOIN counts ON counts.state = 3 AND counts.n > 0
WHERE admission.id = 1

-- name: kinds
SELECT name, id FROM type

-- name: heads
-- The best queued task of each type, best type first: cost does not depend on what waits behind.
SELECT counts.type, counts.n, task.id, task.priority, task.crashes + task.kills
FROM counts JOIN task ON task.id = (
  SELECT line.id FROM task AS line INDEXED BY queued
  WHERE line.state = 3 AND line.type = counts.type
  ORDER BY line.priority DESC, line.id LIMIT 1)
WHERE counts.state = 3 AND counts.n > 0
ORDER BY task.priority DESC, task.id

-- name: occupied
-- How many workers hold tasks of a type.
SELECT count(DISTINCT worker) FROM task INDEXED BY held
WHERE task.state BETWEEN 4 AND 5 AND task.type = ?

-- name: line
SELECT id FROM task INDEXED BY queued
WHERE state = 3 AND type = ? AND priority = ? AND crashes + kills = 0
ORDER BY id LIMIT ?

-- name: claim
UPDATE OR ROLLBACK task INDEXED BY queued SET state = 4, worker = ?, claims = claims + 1
WHERE state = 3 AND type = ? AND priority = ? AND crashes + kills = 0 AND id BETWEEN ? AND ?

-- name: claim_one
UPDATE OR ROLLBACK task SET state = 4, worker = ?, claims = claims + 1
WHERE id = ? AND state = 3
RETURNING id, claims, attempt, failures, payload, max_attempts, timeout_us, key

-- name: claimed
SELECT id, claims, attempt, failures, payload, max_attempts, timeout_us, key
FROM task INDEXED BY held
WHERE state BETWEEN 4 AND 5 AND state = 4 AND worker = ? AND id BETWEEN ? AND ?
ORDER BY id

-- name: succeed_short
-- Both moves in one write (reserved, in_progress, succeeded), for an attempt too short to have been begun by itself.
UPDATE OR ROLLBACK task SET state = 6, attempt = attempt + 1, started_at = ?, finished_at = ?, result = ?, error = NULL
WHERE id = ? AND claims = ? AND worker = ? AND state = 4

-- name: standing
SELECT state, type, worker, claims FROM task WHERE id = ?

-- name: succeed
UPDATE task SET state = 6, attempt = ?, started_at = ?, finished_at = ?, result = ?, error = NULL
WHERE id = ? AND worker = ? AND claims = ? AND state BETWEEN 4 AND 5

-- name: retry
UPDATE task SET state = 2, attempt = ?, failures = failures + 1, started_at = ?, due_at = ?, error = ?
WHERE id = ? AND worker = ? AND claims = ? AND state BETWEEN 4 AND 5

-- name: fail
UPDATE task SET state = 7, attempt = ?, failures = failures + 1, started_at = ?, finished_at = ?, error = ?
WHERE id = ? AND worker = ? AND claims = ? AND state BETWEEN 4 AND 5

-- name: keep_attempt
INSERT INTO attempt (task, attempt, worker, started_at, ended_at, outcome, error) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: release
-- What of a worker's chunk has not begun: later ids than the one it is at.
UPDATE task SET state = 3, worker = NULL
WHERE state BETWEEN 4 AND 5 AND state = 4 AND worker = ? AND id > ?
RETURNING type

-- name: count
INSERT INTO counts (state, type, n) VALUES (?, ?, ?)
ON CONFLICT (state, type) DO UPDATE SET n = n + excluded.n
