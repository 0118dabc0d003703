-- What goes over the wire stands apart from its message: a message's state changes several times, and each change would
-- write its letter, some 12 KB, anew. `message.bytes` then holds one byte, '\x01', that says so; letters of earlier
-- versions stay where they are.
CREATE TABLE letter (
  message BIGINT PRIMARY KEY REFERENCES message(id),
  bytes BYTEA NOT NULL
);
-- Whoever takes a message's bytes away takes its letter away: no statement can forget to.
CREATE FUNCTION letter_taken_away() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM letter WHERE message = NEW.id;
  RETURN NULL;
END
$$;
CREATE TRIGGER letter_taken_away AFTER UPDATE OF bytes ON message FOR EACH ROW
  WHEN (NEW.bytes IS NULL OR length(NEW.bytes) = 0) EXECUTE FUNCTION letter_taken_away();
