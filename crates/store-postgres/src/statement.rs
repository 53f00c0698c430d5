//! Every statement that is prepared, once for each connection that uses it.

/// A statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sql {
    Commit,
    Get,
    Forward,
    Backward,
    ReadLog,
    Trim,
    Fill,
    Bodies,
    TakeOver,
    Renew,
    Release,
    Holder,
    Lease,
    Take,
    Notify,
    Lookup,
    End,
    IsGone,
    Horizon,
    Holders,
    Turn,
    Carry,
    Empty,
    Size,
}

impl Sql {
    /// Those that the connections of commits prepare when they are made.
    pub(crate) const OF_WRITERS: &[Self] = &[Self::Commit];
    /// Those of reading connections.
    pub(crate) const OF_READERS: &[Self] = &[Self::Get, Self::ReadLog, Self::Fill, Self::Bodies];
    /// Those of snapshots.
    pub(crate) const OF_SNAPSHOTS: &[Self] = &[Self::Get, Self::Forward, Self::Backward];
    /// Those of the connection for upkeep: prepared when they are first used.
    pub(crate) const OF_UPKEEP: &[Self] = &[Self::Renew, Self::Horizon];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Commit => {
                "SELECT commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
            }
            Self::Get => "SELECT value, version FROM rows WHERE key = $1",
            Self::Forward => FORWARD,
            Self::Backward => BACKWARD,
            Self::ReadLog => READ_LOG,
            Self::Trim => "SELECT trim_log($1, $2, $3, $4, $5, $6)",
            Self::Fill => FILL,
            Self::Bodies => BODIES,
            Self::TakeOver => "SELECT take_over($1, $2, $3)",
            Self::Renew => "SELECT held, holder FROM renew($1, $2)",
            Self::Release => "SELECT release($1)",
            Self::Holder => "SELECT holder FROM lease",
            Self::Lease => {
                "SELECT holder, until::text, \
                 CASE WHEN until > clock_timestamp() THEN ceil(extract(epoch FROM until - clock_timestamp()) * 1000)::bigint ELSE 0 END \
                 FROM lease"
            }
            Self::Take => "SELECT taken, epoch, segment, shift, restarts FROM take($1, $2, $3, $4, $5, $6)",
            Self::Notify => "SELECT pg_notify($1, $2)",
            Self::Lookup => "SELECT xid FROM journal WHERE commit = $1 AND first",
            // It waits up to the given time for the session to be gone.
            Self::End => {
                "SELECT pg_terminate_backend(pid, $3) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2::text::timestamptz"
            }
            Self::IsGone => {
                "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2::text::timestamptz)"
            }
            Self::Horizon => "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint",
            Self::Holders => HOLDERS,
            Self::Turn => "SELECT turn($1, $2)",
            Self::Carry => "SELECT carry($1, $2, $3, $4, $5)",
            Self::Empty => "SELECT empty($1, $2, $3)",
            Self::Size => {
                "SELECT pg_total_relation_size(c.oid), pg_relation_size(c.oid) / current_setting('block_size')::bigint \
                 FROM pg_class c WHERE c.oid = ('journal_' || $1::int)::regclass"
            }
        }
    }
}

/// A page of rows. The inner query bounds their number, the outer one their bytes; only what is answered is read from where
/// large values lie. The inner one looks one row further, so that the last answered row knows whether it has a successor.
const FORWARD: &str = "SELECT key, value, version, more FROM (
    SELECT key, value, version, lead(true) OVER w IS NOT NULL AS more,
        sum(octet_length(key) + octet_length(value)) OVER w - octet_length(key) - octet_length(value) AS before
    FROM (SELECT key, value, version FROM rows WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3::bigint + 1) inside
    WINDOW w AS (ORDER BY key ROWS UNBOUNDED PRECEDING)
) page WHERE before < $4 ORDER BY key LIMIT $3::bigint";
const BACKWARD: &str = "SELECT key, value, version, more FROM (
    SELECT key, value, version, lead(true) OVER w IS NOT NULL AS more,
        sum(octet_length(key) + octet_length(value)) OVER w - octet_length(key) - octet_length(value) AS before
    FROM (SELECT key, value, version FROM rows WHERE key >= $1 AND key < $2 ORDER BY key DESC LIMIT $3::bigint + 1) inside
    WINDOW w AS (ORDER BY key DESC ROWS UNBOUNDED PRECEDING)
) page WHERE before < $4 ORDER BY key DESC LIMIT $3::bigint";

/// Where the shard is trimmed, and the records after the later of that and the reader's position, as far as no older
/// transaction is open. Always at least one row, whose record may be null.
const READ_LOG: &str = "SELECT t.xid, t.index, r.xid, r.index, r.key, r.value, r.batch, r.at
FROM (SELECT 1) one
LEFT JOIN trims t ON t.log = $1 AND t.shard = $2
LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT *, sum(octet_length(key) + octet_length(value)) OVER (ORDER BY xid, index ROWS UNBOUNDED PRECEDING) AS bytes
        FROM (
            SELECT j.xid, j.index, j.key, j.value, j.batch, j.at FROM journal j
            WHERE j.kind = 1 AND j.scope = $1 AND j.shard = $2
                AND (j.xid, j.index) > (
                    CASE WHEN (t.xid, t.index) > ($3, $4) THEN t.xid ELSE $3 END,
                    CASE WHEN (t.xid, t.index) > ($3, $4) THEN t.index ELSE $4 END)
                AND j.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + $5
            ORDER BY j.xid, j.index LIMIT $6
        ) inside
    ) counted
    WHERE bytes <= $7 OR bytes = octet_length(key) + octet_length(value)
) r ON true
ORDER BY r.xid, r.index";

/// Unsettled tasks of a lane after a place. `OFFSET 0` keeps the planner from making a join of the question: it believes that
/// tables it has no statistics of are small, and a join that reads all settlements for each task is quadratic.
const FILL: &str = "SELECT t.due, t.place, t.spot FROM journal t
WHERE t.kind = 2 AND t.scope = $1 AND (t.due, t.place, t.spot) > ($2, $3, $4)
    AND NOT EXISTS (SELECT FROM journal s
        WHERE s.kind = 3 AND s.scope = t.scope AND s.due = t.due AND s.place = t.place AND s.spot = t.spot OFFSET 0)
ORDER BY t.due, t.place, t.spot LIMIT $5";

/// What is to be done, of tasks by their places, in their order; and which epoch owns the store now. One index probe for each,
/// for the same reason.
const BODIES: &str = "SELECT p.ord, t.task, t.attempts, t.value, (SELECT epoch FROM owner)
FROM unnest($2::bigint[], $3::bigint[], $4::int[]) WITH ORDINALITY AS p (due, place, spot, ord)
CROSS JOIN LATERAL (SELECT task, attempts, value FROM journal t
    WHERE t.kind = 2 AND t.scope = $1 AND t.due = p.due AND t.place = p.place AND t.spot = p.spot LIMIT 1) t
ORDER BY p.ord";

/// Who keeps readers of logs behind: sessions with an open transaction that wrote something, and prepared transactions, the
/// oldest first. (A snapshot or a replication slot holds back vacuum, not this horizon.)
const HOLDERS: &str = "SELECT held FROM (
    SELECT format('process %s of user \"%s\" in database \"%s\" (application \"%s\", %s since %s)',
            pid, usename, datname, application_name, state, xact_start) AS held,
        age(backend_xid) AS age
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT format('prepared transaction \"%s\" of user \"%s\" in database \"%s\" since %s', gid, owner, database, prepared), age(transaction)
    FROM pg_prepared_xacts
) holders ORDER BY age DESC LIMIT 3";
