-- Who may send from this database: where it last sent from, and whether it is a copy that `db backup` made.
ALTER TABLE instance ADD COLUMN place TEXT NOT NULL DEFAULT '';   -- the file it was, with its folders
ALTER TABLE instance ADD COLUMN raised_at INTEGER;                -- when its generation last rose
ALTER TABLE instance ADD COLUMN copied_at INTEGER;                -- set in a backup: when it was taken
ALTER TABLE instance ADD COLUMN copied_in_hand INTEGER NOT NULL DEFAULT 0; -- messages that were being sent at that moment
-- Each time somebody said that this copy is the one that sends; rows are added, never changed.
CREATE TABLE adoption (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  by_whom TEXT NOT NULL,
  why TEXT NOT NULL,
  held TEXT NOT NULL,                    -- what had kept it from sending
  instance_before TEXT NOT NULL,
  machine_before TEXT NOT NULL,
  place_before TEXT NOT NULL,
  generation INTEGER NOT NULL,           -- the one it goes on with
  nothing_before INTEGER,                -- what was due before is not sent: another copy may have sent it; NULL = all is sent
  reminders INTEGER NOT NULL,            -- set aside at once
  messages INTEGER NOT NULL
);
