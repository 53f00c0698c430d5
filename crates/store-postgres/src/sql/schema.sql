-- Level 1. Runs in one transaction under an advisory lock, with search_path set to the schema. Names are stable: a migration
-- of a later level may count on them.

CREATE TABLE facts (name text PRIMARY KEY, value bigint NOT NULL);

-- The one row that each commit reads. It changes with a takeover and when the journal's ring turns, not with each renewal of
-- the lease: a row that is updated often is a chain of dead versions for as long as anybody holds a snapshot.
CREATE TABLE owner (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch bigint NOT NULL,
    segment int NOT NULL,
    -- Added to the server's transaction ids. Not 0 once the schema was moved to another cluster, whose ids begin lower.
    shift bigint NOT NULL
);
INSERT INTO owner (epoch, segment, shift) VALUES (0, 0, 0);

CREATE TABLE lease (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL,
    clean boolean NOT NULL,
    -- Pairs of time (ms) and last commit: the unclean restarts.
    restarts bigint[] NOT NULL,
    -- Which cluster the transaction ids come from, and one that lies close behind its newest.
    cluster bigint NOT NULL,
    seen bigint NOT NULL
);
INSERT INTO lease (holder, until, clean, restarts, cluster, seen)
    VALUES ('nobody', '-infinity', true, '{}', (SELECT system_identifier FROM pg_control_system()), 0);

CREATE TABLE partitions (id int PRIMARY KEY, epoch bigint NOT NULL);

CREATE TABLE rows (key bytea PRIMARY KEY, version bigint NOT NULL, value bytea NOT NULL);

CREATE TABLE trims (log bigint, shard int, xid bigint NOT NULL, index bigint NOT NULL, PRIMARY KEY (log, shard));

-- Kinds: 0 nothing but the commit's mark, 1 a log's record, 2 a task, 3 the end of the task at (scope, due, place, spot).
-- `scope` is the log or the lane; `commit` is the owner's own number of the commit, drawn before it was sent.
CREATE TABLE journal (
    xid bigint NOT NULL,
    commit bigint NOT NULL,
    at bigint NOT NULL,
    scope bigint,
    due bigint,
    place bigint,
    segment int NOT NULL,
    index int NOT NULL,
    shard int,
    spot int,
    attempts int,
    kind smallint NOT NULL,
    first boolean NOT NULL,
    batch uuid NOT NULL,
    task uuid,
    key bytea,
    value bytea
) PARTITION BY LIST (segment);
CREATE INDEX journal_commits ON journal (commit) WHERE first;
CREATE INDEX journal_records ON journal (scope, shard, xid, index) WHERE kind = 1;
CREATE INDEX journal_tasks ON journal (scope, due, place, spot) WHERE kind = 2;
CREATE INDEX journal_settles ON journal (scope, due, place, spot) WHERE kind = 3;
-- Segments are truncated, never vacuumed: a vacuum would hold the lock that TRUNCATE needs, and the only dead rows are those
-- that were carried on.
CREATE TABLE journal_0 PARTITION OF journal FOR VALUES IN (0) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE journal_1 PARTITION OF journal FOR VALUES IN (1) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE journal_2 PARTITION OF journal FOR VALUES IN (2) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
CREATE TABLE journal_3 PARTITION OF journal FOR VALUES IN (3) WITH (autovacuum_enabled = false, toast.autovacuum_enabled = false);
