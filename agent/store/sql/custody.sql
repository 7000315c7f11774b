-- The supervisor's verbs over workers and what they hold.

-- name: add_worker
INSERT INTO worker (id, pid, start_ticks, boot_id, pid_ns, state, born_at, since, heartbeat_at)
VALUES (?, ?, ?, ?, ?, 'starting', ?, ?, ?) ON CONFLICT (id) DO NOTHING

-- name: set_worker
UPDATE worker SET state = ?, since = ? WHERE id = ? AND gone_at IS NULL

-- name: beat
UPDATE worker SET heartbeat_at = ?, rss_bytes = ? WHERE id = ? AND gone_at IS NULL

-- name: worker_gone
UPDATE worker SET state = 'gone', gone_at = ?, since = ? WHERE id = ? AND gone_at IS NULL

-- name: workers
SELECT id, pid, start_ticks, boot_id, pid_ns, state, born_at, since, heartbeat_at, rss_bytes
FROM worker WHERE gone_at IS NULL ORDER BY born_at, id

-- name: unknown_owners
SELECT DISTINCT worker FROM task INDEXED BY held
WHERE task.state BETWEEN 4 AND 5 AND worker NOT IN (SELECT id FROM worker WHERE gone_at IS NULL)

-- name: begin
UPDATE task SET state = 5, attempt = ?, started_at = ?
WHERE id = ? AND worker = ? AND claims = ? AND state = 4

-- name: holds
SELECT state, attempt, crashes, kills, type FROM task
WHERE id = ? AND worker = ? AND claims = ? AND state BETWEEN 4 AND 5

-- name: rescue
UPDATE task SET state = 3, worker = NULL, attempt = ?, started_at = ?, error = ?, crashes = crashes + ?, kills = kills + ?
WHERE id = ? AND state BETWEEN 4 AND 5

-- name: poison
UPDATE task SET state = 7, attempt = ?, started_at = ?, finished_at = ?, error = ?, crashes = crashes + ?, kills = kills + ?
WHERE id = ? AND state BETWEEN 4 AND 5

-- name: cancel
UPDATE task SET state = 8, attempt = ?, started_at = coalesce(?, started_at), finished_at = ?, error = ?
WHERE id = ? AND state BETWEEN 4 AND 5

-- name: keep_lost
INSERT INTO attempt (task, attempt, worker, started_at, ended_at, outcome, error)
SELECT id, attempt, worker, started_at, ?, 'lost', ? FROM task INDEXED BY held
WHERE state BETWEEN 4 AND 5 AND state = 5 AND worker = ?

-- name: rescue_all
UPDATE task SET state = 3, worker = NULL
WHERE state BETWEEN 4 AND 5 AND state = 5 AND worker = ?
RETURNING type

-- name: release_all
UPDATE task SET state = 3, worker = NULL
WHERE state BETWEEN 4 AND 5 AND state = 4 AND worker = ?
RETURNING type

-- name: promote
UPDATE task SET state = 3
WHERE id IN (SELECT id FROM task INDEXED BY due WHERE state < 3 AND state = ?1 AND due_at <= ?2 ORDER BY due_at LIMIT 1000)
RETURNING type

-- name: next_due
SELECT min(due_at) FROM (
  SELECT * FROM (SELECT due_at FROM task INDEXED BY due WHERE state < 3 AND state = 1 ORDER BY due_at LIMIT 1)
  UNION ALL
  SELECT * FROM (SELECT due_at FROM task INDEXED BY due WHERE state < 3 AND state = 2 ORDER BY due_at LIMIT 1))

-- name: has_commands
SELECT EXISTS (SELECT 1 FROM control WHERE handled_at IS NULL)

-- name: hasten
-- After the clock was set back: no back-off lasts beyond its own length, so what failed in the future is due now.
UPDATE task SET due_at = ?1
WHERE state < 3 AND state = 2 AND due_at > ?1
  AND (SELECT ended_at FROM attempt WHERE attempt.task = task.id AND attempt.attempt = task.attempt) > ?1

-- name: hasten_letters
UPDATE outbox SET due_at = ?1 WHERE delivered_at IS NULL AND gave_up_at IS NULL AND due_at > ?1

-- name: unhandle
UPDATE type SET handled = 0 WHERE handled = 1

-- name: handle
INSERT INTO type (name, handled, max_attempts) VALUES (?, 1, ?)
ON CONFLICT (name) DO UPDATE SET handled = 1, max_attempts = excluded.max_attempts

-- name: waiting_unhandled
SELECT type.name, sum(counts.n) FROM counts JOIN type ON type.id = counts.type
WHERE counts.state < 4 AND counts.n > 0 AND type.handled = 0
GROUP BY type.name

-- name: queued_by_type
SELECT type.name, counts.n FROM counts JOIN type ON type.id = counts.type WHERE counts.state = 3 AND counts.n > 0

-- name: unfinished
-- What is left to run: of types that somebody handles.
SELECT coalesce(sum(counts.n), 0) FROM counts JOIN type ON type.id = counts.type
WHERE counts.state < 5 AND type.handled = 1
