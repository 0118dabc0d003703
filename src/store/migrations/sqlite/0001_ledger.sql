-- Times are unix milliseconds, dates ISO text, words those of planning's enums. Nothing is deleted within its retention.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- Small facts that change as the daemon runs (last pass, high-water mark of the clock, a stop not yet worked off).
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
-- Who may send from this database: its identity, and the generation that rises with each sending pass.
CREATE TABLE instance (id TEXT PRIMARY KEY, generation INTEGER NOT NULL, machine TEXT NOT NULL, adopted_at INTEGER NOT NULL) WITHOUT ROWID;

-- ---- directory ----
CREATE TABLE agency (
  id INTEGER PRIMARY KEY,
  code TEXT UNIQUE,
  identifier TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL,
  short_name TEXT NOT NULL DEFAULT '',
  block TEXT NOT NULL CHECK (block IN ('state','party','enterprise')),
  kind TEXT NOT NULL DEFAULT '',
  superior TEXT NOT NULL DEFAULT '',
  active INTEGER NOT NULL CHECK (active IN (0,1)),
  status_note TEXT NOT NULL DEFAULT ''
);
CREATE TABLE agency_name (
  folded TEXT NOT NULL,
  agency INTEGER NOT NULL REFERENCES agency(id),
  kind TEXT NOT NULL CHECK (kind IN ('code','identifier','name','short','alias','former')),
  typed TEXT NOT NULL,
  PRIMARY KEY (folded, agency, kind)
) WITHOUT ROWID;
CREATE TABLE person (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  folded TEXT NOT NULL,
  honorific TEXT NOT NULL DEFAULT '',
  email TEXT NOT NULL DEFAULT '',
  phone TEXT NOT NULL DEFAULT '',
  zalo_user_id TEXT NOT NULL DEFAULT '',
  takes_zalo INTEGER NOT NULL DEFAULT 0 CHECK (takes_zalo IN (0,1))
);
CREATE INDEX person_by_email ON person(email) WHERE email <> '';
CREATE INDEX person_by_name ON person(folded);
CREATE TABLE post (
  id INTEGER PRIMARY KEY,
  agency INTEGER NOT NULL REFERENCES agency(id),
  person INTEGER NOT NULL REFERENCES person(id),
  role TEXT NOT NULL CHECK (role IN ('head','deputy','handler','contact','registry')),
  title TEXT NOT NULL DEFAULT '',
  valid_from TEXT,
  valid_to TEXT
);
CREATE INDEX post_by_agency ON post(agency, role);
CREATE INDEX post_by_person ON post(person);

-- ---- tasks ----
CREATE TABLE document (
  id INTEGER PRIMARY KEY,
  number TEXT NOT NULL DEFAULT '',       -- số/ký hiệu as typed; '' for a classified task
  symbol_folded TEXT NOT NULL,
  issuer TEXT NOT NULL DEFAULT '',
  issuer_folded TEXT NOT NULL,
  year INTEGER NOT NULL,
  date TEXT,
  kind TEXT NOT NULL DEFAULT '',
  signer TEXT NOT NULL DEFAULT '',
  abstract TEXT NOT NULL DEFAULT '',
  UNIQUE (symbol_folded, issuer_folded, year)
);
CREATE TABLE task (
  id INTEGER PRIMARY KEY,
  code TEXT NOT NULL UNIQUE,             -- shown code; MAT-… for a classified task
  document INTEGER REFERENCES document(id),
  work TEXT NOT NULL DEFAULT '',
  field TEXT NOT NULL DEFAULT '',
  priority TEXT NOT NULL DEFAULT '',
  assigner TEXT NOT NULL DEFAULT '',
  assigner_block TEXT NOT NULL CHECK (assigner_block IN ('state','party','enterprise')),
  urgency TEXT NOT NULL CHECK (urgency IN ('normal','urgent','very_urgent','flash')),
  secrecy TEXT NOT NULL CHECK (secrecy IN ('open','confidential','secret','top_secret')),
  state TEXT NOT NULL CHECK (state IN ('not_received','not_started','in_progress','submitted','extension_requested','paused','returned','done','withdrawn')),
  state_since INTEGER NOT NULL,
  state_count INTEGER NOT NULL DEFAULT 1,
  resumed_at INTEGER,                    -- when it last came back from a silent state or from being held
  completed_on TEXT,                     -- NULL with state done: done without a date
  result TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  assigned_on TEXT,
  lead INTEGER REFERENCES agency(id),    -- NULL only while held
  handler INTEGER REFERENCES person(id),
  monitor INTEGER REFERENCES person(id),
  due_typed TEXT NOT NULL DEFAULT '',
  due_reading TEXT NOT NULL DEFAULT '',  -- how the typed text was read (date, before, month, quarter, none, recurring …)
  original_due TEXT,
  report_typed TEXT NOT NULL DEFAULT '',
  report_reading TEXT NOT NULL DEFAULT '',
  report_cycle TEXT NOT NULL DEFAULT '',
  extensions INTEGER NOT NULL DEFAULT 0,
  imported_urgings INTEGER NOT NULL DEFAULT 0,
  last_update TEXT,
  held TEXT NOT NULL DEFAULT '',         -- '' or the code of the problem a person must mend
  fingerprint TEXT NOT NULL DEFAULT '',  -- document, lead and folded work: the same work under a second code
  row_digest TEXT NOT NULL DEFAULT '',   -- keyed digest of the imported row: an unchanged row costs one look-up
  known_at INTEGER NOT NULL,
  next_look_at INTEGER,
  CHECK (secrecy = 'open' OR (work = '' AND note = '' AND result = '' AND document IS NULL)),
  CHECK (lead IS NOT NULL OR held <> '')
);
-- The scan reads this index and nothing else: open, mended tasks by their next look.
CREATE INDEX task_next_look ON task(next_look_at) WHERE next_look_at IS NOT NULL;
CREATE INDEX task_by_fingerprint ON task(fingerprint) WHERE fingerprint <> '';
CREATE TABLE task_coordinator (
  task INTEGER NOT NULL REFERENCES task(id),
  agency INTEGER NOT NULL REFERENCES agency(id),
  PRIMARY KEY (task, agency)
) WITHOUT ROWID;
-- One agency's duty on one clock: what climbs a ladder of steps.
CREATE TABLE obligation (
  task INTEGER NOT NULL REFERENCES task(id),
  clock TEXT NOT NULL CHECK (clock IN ('completion','report')),
  agency INTEGER NOT NULL REFERENCES agency(id),
  role TEXT NOT NULL CHECK (role IN ('lead','coordinator')),
  due_date TEXT,
  due_time TEXT,
  arming INTEGER NOT NULL,
  armed_at INTEGER NOT NULL,
  armed_by TEXT NOT NULL CHECK (armed_by IN ('entered','extended','advanced','reopened','reassigned')),
  overdue_from TEXT,
  rule TEXT,
  rule_since INTEGER,
  acknowledged_until INTEGER,
  ended_at INTEGER,
  PRIMARY KEY (task, clock, agency)
) WITHOUT ROWID;
-- How many of an agency's tasks are overdue, for its notices.
CREATE INDEX obligation_by_agency ON obligation(agency, clock, due_date);
CREATE TABLE task_event (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES task(id),
  what TEXT NOT NULL,                    -- the field or act: entered, due_date, state, lead, secrecy, held, …
  old TEXT NOT NULL DEFAULT '',
  new TEXT NOT NULL DEFAULT '',
  effective_on TEXT,                     -- when it took effect, if known
  learnt_at INTEGER NOT NULL,            -- when we learnt it
  paper TEXT NOT NULL DEFAULT '',        -- by which document; '' = none given
  by_whom TEXT NOT NULL
);
CREATE INDEX task_event_by_task ON task_event(task, id);
CREATE TABLE extension (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES task(id),
  clock TEXT NOT NULL,
  old_due TEXT,
  new_due TEXT,
  decided_on TEXT,
  paper TEXT NOT NULL DEFAULT '',        -- '' = changed without a paper
  approver TEXT NOT NULL DEFAULT '',
  recorded_at INTEGER NOT NULL
);
CREATE INDEX extension_by_task ON extension(task);
CREATE TABLE contact_log (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES task(id),
  clock TEXT NOT NULL,
  agency INTEGER NOT NULL REFERENCES agency(id),
  at INTEGER NOT NULL,
  form TEXT NOT NULL,                    -- telephone, fax, meeting, letter
  whom TEXT NOT NULL DEFAULT '',
  outcome TEXT NOT NULL DEFAULT '',
  by_whom TEXT NOT NULL
);
CREATE INDEX contact_log_by_task ON contact_log(task);

-- ---- ledger ----
CREATE TABLE step_known (
  rule TEXT NOT NULL,
  step TEXT NOT NULL,
  definition TEXT NOT NULL,              -- what makes a moved step another: due, repeat, at
  since INTEGER NOT NULL,
  PRIMARY KEY (rule, step)
) WITHOUT ROWID;
CREATE TABLE reminder (
  id INTEGER PRIMARY KEY,
  task INTEGER NOT NULL REFERENCES task(id),
  clock TEXT NOT NULL,
  arming INTEGER NOT NULL,
  rule TEXT NOT NULL,
  step TEXT NOT NULL,
  occurrence INTEGER NOT NULL,
  agency INTEGER NOT NULL REFERENCES agency(id),
  audience TEXT NOT NULL,
  channel TEXT NOT NULL CHECK (channel IN ('email','zalo')),
  urging INTEGER NOT NULL DEFAULT 0 CHECK (urging IN (0,1)),
  due_at INTEGER NOT NULL,
  not_before INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('planned','in_message','sent','superseded','suppressed','dead','unknown')),
  reason TEXT NOT NULL DEFAULT '',
  message INTEGER REFERENCES message(id),
  fallback_of INTEGER REFERENCES reminder(id),
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  UNIQUE (task, clock, arming, rule, step, occurrence, agency, audience, channel),
  CHECK ((state IN ('in_message','sent','unknown')) <= (message IS NOT NULL))
);
CREATE INDEX reminder_planned ON reminder(not_before) WHERE state = 'planned';
CREATE INDEX reminder_by_message ON reminder(message) WHERE message IS NOT NULL;
CREATE TABLE message (
  id INTEGER PRIMARY KEY,
  channel TEXT NOT NULL CHECK (channel IN ('email','zalo')),
  address TEXT NOT NULL,                 -- e-mail address, or phone/user id for Zalo
  person INTEGER REFERENCES person(id),
  recipient TEXT NOT NULL DEFAULT '{}',  -- honorific, name, title, agency as resolved (JSON)
  classified INTEGER NOT NULL DEFAULT 0 CHECK (classified IN (0,1)),
  hours TEXT NOT NULL,
  urging INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL CHECK (state IN ('pending','leased','frozen','sent','dead','suppressed','unknown')),
  reason TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,   -- those that count towards retry
  tries INTEGER NOT NULL DEFAULT 0,      -- every attempt row, counting or not
  crashes INTEGER NOT NULL DEFAULT 0,    -- leases that ended in a crash
  not_before INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  message_id TEXT,                       -- set when composed; another one when composed anew
  dated_at INTEGER,
  delivery_id TEXT,
  bytes BLOB,                            -- exactly what goes over the wire, once frozen
  unknown_before INTEGER NOT NULL DEFAULT 0 CHECK (unknown_before IN (0,1)), -- an earlier answer was lost
  earlier INTEGER REFERENCES message(id),-- the unknown message this one names
  lease_token TEXT,
  lease_until INTEGER,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  CHECK ((state IN ('leased','frozen')) = (lease_token IS NOT NULL)),
  CHECK (state NOT IN ('frozen','sent','unknown') OR (bytes IS NOT NULL AND message_id IS NOT NULL))
);
CREATE INDEX message_due ON message(channel, not_before) WHERE state = 'pending';
CREATE INDEX message_leased ON message(lease_until) WHERE state IN ('leased','frozen');
CREATE INDEX message_stuck ON message(state) WHERE state IN ('dead','unknown');
-- Counts towards the daily cap: one row a person, channel and local day.
CREATE TABLE daily_count (
  address TEXT NOT NULL, channel TEXT NOT NULL, day TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (address, channel, day)
) WITHOUT ROWID;
CREATE TABLE attempt (
  message INTEGER NOT NULL REFERENCES message(id),
  n INTEGER NOT NULL,
  token TEXT NOT NULL UNIQUE,
  phase TEXT NOT NULL CHECK (phase IN ('claimed','handed_over','answered','released','crashed')),
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  outcome TEXT,
  code INTEGER,
  reply TEXT NOT NULL DEFAULT '',
  message_id TEXT,
  PRIMARY KEY (message, n)
) WITHOUT ROWID;
CREATE TABLE unreachable (
  agency INTEGER NOT NULL, audience TEXT NOT NULL, channel TEXT NOT NULL, task INTEGER NOT NULL,
  why TEXT NOT NULL, since INTEGER NOT NULL,
  PRIMARY KEY (agency, audience, channel, task)
) WITHOUT ROWID;

-- ---- inspection ----
CREATE TABLE register (
  seq INTEGER PRIMARY KEY,               -- 1, 2, 3 …, gapless
  kind TEXT NOT NULL,                    -- notice, withdrawal, …
  at INTEGER NOT NULL,
  format INTEGER NOT NULL,
  prev TEXT NOT NULL,                    -- hex
  fields BLOB NOT NULL,                  -- length-prefixed canonical fields: exactly what was hashed
  hash TEXT NOT NULL UNIQUE              -- hex
);
CREATE TRIGGER register_no_update BEFORE UPDATE ON register BEGIN SELECT RAISE(ABORT, 'the register is append-only'); END;
CREATE TRIGGER register_no_delete BEFORE DELETE ON register BEGIN SELECT RAISE(ABORT, 'the register is append-only'); END;
CREATE TABLE register_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL);
INSERT INTO register_head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');
-- Names of persons in an entry: the entry holds their salted hash, the names stand here and can be erased (salt and
-- value set to NULL) without breaking the chain.
CREATE TABLE personal_data (
  seq INTEGER NOT NULL REFERENCES register(seq),
  field TEXT NOT NULL,                   -- JSON pointer into the notice's facts, or the name of the entry's field
  salt BLOB,
  value TEXT,
  PRIMARY KEY (seq, field),
  CHECK ((salt IS NULL) = (value IS NULL))
) WITHOUT ROWID;
CREATE TRIGGER personal_data_erase_only BEFORE UPDATE ON personal_data WHEN NEW.value IS NOT NULL OR NEW.seq <> OLD.seq OR NEW.field <> OLD.field
BEGIN SELECT RAISE(ABORT, 'personal data is erased, never changed'); END;
CREATE TRIGGER personal_data_no_delete BEFORE DELETE ON personal_data BEGIN SELECT RAISE(ABORT, 'personal data is erased by setting it to NULL'); END;
CREATE TABLE notice_number (year INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE notice (
  id INTEGER PRIMARY KEY,                -- the seq of its register entry
  year INTEGER NOT NULL,
  number INTEGER NOT NULL,
  task INTEGER NOT NULL REFERENCES task(id),
  clock TEXT NOT NULL,
  arming INTEGER NOT NULL,
  agency INTEGER NOT NULL REFERENCES agency(id),
  rule TEXT NOT NULL,
  step TEXT NOT NULL,
  occurrence INTEGER NOT NULL,
  due_at INTEGER NOT NULL,
  filed_at INTEGER NOT NULL,
  facts TEXT NOT NULL,                   -- JSON, the facts as they stood when it was filed
  facts_hash TEXT NOT NULL,              -- SHA-256 of facts, hex
  seq INTEGER NOT NULL REFERENCES register(seq),
  withdrawn_seq INTEGER REFERENCES register(seq),
  UNIQUE (year, number),
  UNIQUE (task, clock, arming, agency, rule, step, occurrence)
);
CREATE TRIGGER notice_withdrawn_once BEFORE UPDATE OF withdrawn_seq ON notice WHEN OLD.withdrawn_seq IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a notice is withdrawn once'); END;
CREATE TRIGGER notice_no_delete BEFORE DELETE ON notice BEGIN SELECT RAISE(ABORT, 'a notice is never deleted'); END;
CREATE TRIGGER notice_no_edit BEFORE UPDATE OF id, year, number, task, clock, arming, agency, rule, step, occurrence, due_at, filed_at, facts, facts_hash, seq ON notice
BEGIN SELECT RAISE(ABORT, 'a notice is never edited: withdraw it'); END;
CREATE TABLE file_export (
  notice INTEGER NOT NULL REFERENCES notice(id),
  kind TEXT NOT NULL CHECK (kind IN ('html','json','withdrawn_html','withdrawn_json')),
  path TEXT NOT NULL,                    -- below the notices directory
  hash TEXT,                             -- SHA-256 of the file once written
  written_at INTEGER,
  PRIMARY KEY (notice, kind)
) WITHOUT ROWID;
CREATE INDEX file_export_unwritten ON file_export(notice) WHERE written_at IS NULL;
