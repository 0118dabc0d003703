-- Counted up by every change of a task or of what it owes, also by "look at it again": a plan is kept only for the
-- revision that it was made from. (The next look does not serve for that: several changes may bring it back to what it was.)
ALTER TABLE task ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
-- No statement can forget to.
CREATE TRIGGER task_revised AFTER UPDATE ON task WHEN NEW.revision = OLD.revision
BEGIN UPDATE task SET revision = revision + 1 WHERE id = NEW.id; END;
