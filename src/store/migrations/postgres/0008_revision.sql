-- Counted up by every change of a task or of what it owes, also by "look at it again": a plan is kept only for the
-- revision that it was made from. (The next look does not serve for that: several changes may bring it back to what it was.)
ALTER TABLE task ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
-- No statement can forget to.
CREATE FUNCTION task_revised() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.revision := OLD.revision + 1;
  RETURN NEW;
END
$$;
CREATE TRIGGER task_revised BEFORE UPDATE ON task FOR EACH ROW
  WHEN (NEW.revision = OLD.revision) EXECUTE FUNCTION task_revised();
