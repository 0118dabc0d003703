-- Which part of a letter a message is, where it had more tasks than one letter names.
ALTER TABLE message ADD COLUMN part INTEGER NOT NULL DEFAULT 1 CHECK (part >= 1);
ALTER TABLE message ADD COLUMN parts INTEGER NOT NULL DEFAULT 1 CHECK (parts >= 1);
