-- What goes over the wire stands apart from its message: a message's state changes several times, and each change would
-- write its letter, some 12 KB, anew. `message.bytes` then holds one byte, X'01', that says so; letters of earlier
-- versions stay where they are.
CREATE TABLE letter (
  message INTEGER PRIMARY KEY REFERENCES message(id),
  bytes BLOB NOT NULL
);
-- Whoever takes a message's bytes away takes its letter away: no statement can forget to.
CREATE TRIGGER letter_taken_away AFTER UPDATE OF bytes ON message WHEN NEW.bytes IS NULL OR length(NEW.bytes) = 0
BEGIN DELETE FROM letter WHERE message = NEW.id; END;
