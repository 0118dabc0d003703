-- Who leased a message last: one life of a sending process. What ended that process was among what it held.
ALTER TABLE message ADD COLUMN sender INTEGER;
-- Others of its sender were found crashed while it was still leased: it was not the only one in work.
ALTER TABLE message ADD COLUMN company INTEGER NOT NULL DEFAULT 0 CHECK (company IN (0,1));
