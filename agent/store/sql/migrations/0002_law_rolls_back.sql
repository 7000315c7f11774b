-- With ABORT, SQLite keeps a journal of each statement, lest it has to undo that one alone: a twentieth of a task's cost.

DROP TRIGGER law;

CREATE TRIGGER law AFTER UPDATE OF state ON task
WHEN OLD.state <> NEW.state AND (({law} >> (OLD.state * 8 + NEW.state - 9)) & 1) = 0
BEGIN
  SELECT RAISE(ROLLBACK, 'illegal move of a task');
END;
