-- The caps ask for one day's counts, each time something is bundled.
CREATE INDEX daily_count_by_day ON daily_count(day);
-- A message that is taken back is asked after by the rows that might name it; so is a reminder.
CREATE INDEX message_by_earlier ON message(earlier) WHERE earlier IS NOT NULL;
CREATE INDEX reminder_by_original ON reminder(fallback_of) WHERE fallback_of IS NOT NULL;
