-- What governs: admission, the governor's state and samples, operators' commands, the outbox.

-- name: admission
SELECT version, max, max_until, paused FROM admission WHERE id = 1

-- name: set_admission
UPDATE admission SET version = version + 1, max = ?, max_until = ?, paused = ? WHERE id = 1 RETURNING version

-- name: outdate
-- What anybody has read of the admission holds no more.
UPDATE admission SET version = version + 1

-- name: governor
SELECT state FROM governor WHERE id = 1

-- name: sampled_at
SELECT updated_at FROM governor WHERE id = 1

-- name: set_governor
INSERT INTO governor (id, state, updated_at) VALUES (1, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at

-- name: add_sample
INSERT INTO metrics (at, sample) VALUES (?, ?)

-- name: latest_sample
SELECT sample FROM metrics ORDER BY at DESC LIMIT 1

-- name: add_decision
INSERT INTO decision (at, deed, why, detail) VALUES (?, ?, ?, ?)

-- name: ask
INSERT INTO control (verb, detail, created_at) VALUES (?, ?, ?) RETURNING id

-- name: asked
-- As bytes: what somebody has written there need not be UTF-8.
SELECT id, CAST(verb AS BLOB), CAST(detail AS BLOB), created_at FROM control WHERE handled_at IS NULL ORDER BY id

-- name: answer
UPDATE control SET handled_at = ?, outcome = ? WHERE id = ?

-- name: answer_of
SELECT handled_at, outcome FROM control WHERE id = ?

-- name: withdraw
DELETE FROM control WHERE id = ? AND handled_at IS NULL

-- name: post
INSERT INTO outbox (episode, channel, payload, created_at, due_at) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (episode, channel) DO NOTHING

-- name: due
SELECT id, episode, channel, payload, attempts, created_at, due_at FROM outbox
WHERE delivered_at IS NULL AND gave_up_at IS NULL AND due_at <= ? ORDER BY due_at LIMIT ?

-- name: next_due
SELECT min(due_at) FROM outbox WHERE delivered_at IS NULL AND gave_up_at IS NULL

-- name: delivered
UPDATE outbox SET delivered_at = ?, attempts = attempts + 1, error = NULL WHERE id = ?

-- name: postpone
UPDATE outbox SET due_at = ?, error = ?, attempts = attempts + 1 WHERE id = ?

-- name: give_up
UPDATE outbox SET gave_up_at = ?, error = ?, attempts = attempts + 1 WHERE id = ?
