-- What operators said of the clock. Rows are added, never changed.
CREATE TABLE clock_confirmation (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,                   -- by the clock that was confirmed
  by_whom TEXT NOT NULL,
  why TEXT NOT NULL DEFAULT '',
  worked_off INTEGER                     -- the mark of what was worked off, as it stood
);
CREATE TRIGGER clock_confirmation_no_update BEFORE UPDATE ON clock_confirmation BEGIN SELECT RAISE(ABORT, 'a confirmation is never rewritten'); END;
CREATE TRIGGER clock_confirmation_no_delete BEFORE DELETE ON clock_confirmation BEGIN SELECT RAISE(ABORT, 'a confirmation is never deleted'); END;

-- The daily list of those who could not be reached: one row a local day and recipient, with the message that carries it.
-- The list itself is read when the message is composed; what is kept is only enough to see that it changed.
CREATE TABLE daily_list (
  day TEXT NOT NULL,                     -- local day, ISO
  address TEXT NOT NULL,
  audience TEXT NOT NULL CHECK (audience IN ('operator','monitor')),
  message INTEGER NOT NULL UNIQUE REFERENCES message(id),
  entries INTEGER NOT NULL,              -- 0: everybody can be reached again
  digest TEXT NOT NULL,                  -- of the entries, to see that the list is still the one that was sent
  PRIMARY KEY (day, address)
) WITHOUT ROWID;
CREATE INDEX daily_list_by_address ON daily_list(address, day);
