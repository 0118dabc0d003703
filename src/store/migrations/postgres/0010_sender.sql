-- Who leased a message last: one life of a sending process. What ended that process was among what it held.
ALTER TABLE message ADD COLUMN sender BIGINT;
-- Others of its sender were found crashed while it was still leased: it was not the only one in work.
ALTER TABLE message ADD COLUMN company BOOLEAN NOT NULL DEFAULT false;
