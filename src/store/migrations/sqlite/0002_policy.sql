-- The rules and calendar an office had in force, and since when: what an edit is compared with, and what an inspector
-- asks for. One row each time the texts changed; the last one is in force.
CREATE TABLE policy (
  id INTEGER PRIMARY KEY,
  accepted_at INTEGER NOT NULL,
  digest TEXT NOT NULL,                  -- SHA-256 of both texts, hex
  rules TEXT NOT NULL,                   -- rules.toml as it was read
  calendar TEXT NOT NULL                 -- calendar.toml as it was read
);
CREATE INDEX policy_by_time ON policy(accepted_at);
CREATE TRIGGER policy_no_update BEFORE UPDATE ON policy BEGIN SELECT RAISE(ABORT, 'what was in force is never rewritten'); END;
CREATE TRIGGER policy_no_delete BEFORE DELETE ON policy BEGIN SELECT RAISE(ABORT, 'what was in force is never deleted'); END;

-- How many tasks a person has to mend, for `status` and the figures.
CREATE INDEX task_held ON task(id) WHERE held <> '';
