-- Keeping the database small.

-- name: mark
SELECT value FROM mark WHERE name = ?

-- name: set_mark
INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: walk
SELECT id, state, type, created_at, finished_at, key FROM task WHERE id > ? ORDER BY id LIMIT ?

-- name: keep_result
UPDATE key SET result = (SELECT result FROM task WHERE id = ?1), finished_at = ?2 WHERE key = ?3 AND task = ?1

-- name: drop_key_of
DELETE FROM key WHERE key = ? AND task = ?

-- name: drop_attempts
DELETE FROM attempt WHERE task = ?

-- name: drop_task
DELETE FROM task WHERE id = ? AND state > 5

-- name: drop_keys
DELETE FROM key WHERE key IN (
  SELECT key FROM key INDEXED BY key_finished WHERE finished_at IS NOT NULL AND finished_at < ? LIMIT ?)

-- name: drop_metrics
DELETE FROM metrics WHERE rowid IN (SELECT rowid FROM metrics WHERE at < ? ORDER BY at LIMIT ?)

-- name: drop_decisions
DELETE FROM decision WHERE id IN (SELECT id FROM decision WHERE at < ? ORDER BY at LIMIT ?)

-- name: drop_workers
DELETE FROM worker WHERE id IN (SELECT id FROM worker WHERE gone_at IS NOT NULL AND gone_at < ? LIMIT ?)

-- name: drop_controls
DELETE FROM control WHERE id IN (SELECT id FROM control WHERE handled_at IS NOT NULL AND handled_at < ? LIMIT ?)

-- name: drop_letters
DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE coalesce(delivered_at, gave_up_at) < ? ORDER BY id LIMIT ?)

-- name: count_tasks_ids
-- As long as there was no task, SQLite has not begun to count their ids.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'task', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'task')

-- name: leap
UPDATE sqlite_sequence SET seq = seq + ?
