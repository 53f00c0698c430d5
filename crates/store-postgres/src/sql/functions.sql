-- The store's functions. Their statements each see what was committed when the statement began (READ COMMITTED), which is
-- what makes a check after the locks a check of the newest state. Lock 0 of the schema's class is the gate.
--
-- The planner knows nothing of tables that change so fast: where it could choose a join over an index probe for each row,
-- LIMIT 1 or OFFSET 0 in a subquery takes the choice away.

-- A commit: locks, checks, and only when all checks hold a transaction id and the writes. Few parameters and one array as the
-- answer, because each costs the server as much as a small statement does:
-- head is {class, alone, checks only, epoch, the owner's number of the commit, time}, fences are pairs of partition and epoch, an
-- expected version of -1 is absence, and entries are eight numbers for each row of the journal (kind, index, scope, shard, due,
-- place, spot, attempts; -1 where it has none).
-- Answers {status, which, xid, hidden}: status 0 committed, 1 the fence at `which`, 2 the expectation at `which`, 3 owned by
-- another; `hidden` is 1 when an older transaction is still open, so that readers of logs do not see the commit yet.
CREATE FUNCTION commit(
    head bigint[], locks int[], my_batch uuid, fences bigint[],
    expect_keys bytea[], expect_versions bigint[],
    put_keys bytea[], put_values bytea[], delete_keys bytea[],
    entries bigint[], entry_tasks uuid[], entry_keys bytea[], entry_values bytea[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    class int := head[1];
    current_epoch bigint;
    current_segment int;
    xid bigint;
    which bigint;
    lock int;
BEGIN
    -- None of these locks has the server assign a transaction id, as row locks would: an id that is assigned before the locks
    -- could be lower than that of a commit which got the same locks first.
    -- (A condition is evaluated without a plan's start and end, which PERFORM would cost each time.)
    IF head[2] = 1 THEN
        PERFORM pg_advisory_xact_lock(class, 0);
    ELSIF pg_advisory_xact_lock_shared(class, 0)::text IS NOT NULL THEN
        FOREACH lock IN ARRAY locks LOOP
            CONTINUE WHEN pg_advisory_xact_lock(class, lock)::text IS NOT NULL;
            RAISE 'lock % of class % was not taken', lock, class;
        END LOOP;
    ELSE
        RAISE 'the gate of class % was not passed', class;
    END IF;
    -- The shift for now; the transaction's own id is added once there is one.
    SELECT o.epoch, o.segment, o.shift INTO current_epoch, current_segment, xid FROM owner o;
    IF current_epoch <> head[4] THEN
        RETURN ARRAY[3, 0, 0, 0];
    END IF;
    IF cardinality(fences) > 0 THEN
        SELECT f.ord INTO which FROM generate_series(1, cardinality(fences) / 2) AS f (ord)
            LEFT JOIN LATERAL (SELECT p.epoch FROM partitions p WHERE p.id = fences[2 * f.ord - 1] LIMIT 1) p ON true
            WHERE coalesce(p.epoch, 0) <> fences[2 * f.ord] ORDER BY f.ord LIMIT 1;
        IF FOUND THEN
            RETURN ARRAY[1, which, 0, 0];
        END IF;
    END IF;
    -- One of each is by far the most common, and costs half of what a set of one does.
    IF cardinality(expect_keys) = 1 THEN
        IF coalesce((SELECT r.version FROM rows r WHERE r.key = expect_keys[1]), -1) <> expect_versions[1] THEN
            RETURN ARRAY[2, 1, 0, 0];
        END IF;
    ELSIF cardinality(expect_keys) > 0 THEN
        SELECT e.ord INTO which
            FROM unnest(expect_keys, expect_versions) WITH ORDINALITY AS e (key, version, ord)
            LEFT JOIN LATERAL (SELECT r.version FROM rows r WHERE r.key = e.key LIMIT 1) r ON true
            WHERE coalesce(r.version, -1) <> e.version ORDER BY e.ord LIMIT 1;
        IF FOUND THEN
            RETURN ARRAY[2, which, 0, 0];
        END IF;
    END IF;
    IF head[3] = 1 THEN
        RETURN ARRAY[0, 0, 0, 0];
    END IF;
    xid := xid + pg_current_xact_id()::text::bigint;
    IF cardinality(put_keys) = 1 THEN
        INSERT INTO rows (key, version, value) VALUES (put_keys[1], xid, put_values[1])
            ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value;
    ELSIF cardinality(put_keys) > 0 THEN
        INSERT INTO rows (key, version, value)
            SELECT p.key, xid, p.value FROM unnest(put_keys, put_values) AS p (key, value)
            ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value;
    END IF;
    IF cardinality(delete_keys) > 0 THEN
        DELETE FROM rows WHERE key = ANY (delete_keys);
    END IF;
    IF cardinality(entries) = 0 THEN
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index)
            VALUES (current_segment, xid, head[5], my_batch, head[6], true, 0, 0);
    ELSIF cardinality(entries) = 8 THEN
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, attempts, task, key, value)
            VALUES (current_segment, xid, head[5], my_batch, head[6], true,
                entries[1], entries[2], entries[3], nullif(entries[4], -1), nullif(entries[5], -1), nullif(entries[6], -1),
                nullif(entries[7], -1), nullif(entries[8], -1), entry_tasks[1], entry_keys[1], entry_values[1]);
    ELSE
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, attempts, task, key, value)
            SELECT current_segment, xid, head[5], my_batch, head[6], e.ord = 1,
                entries[8 * e.ord - 7], entries[8 * e.ord - 6], entries[8 * e.ord - 5], nullif(entries[8 * e.ord - 4], -1),
                nullif(entries[8 * e.ord - 3], -1), nullif(entries[8 * e.ord - 2], -1), nullif(entries[8 * e.ord - 1], -1),
                nullif(entries[8 * e.ord], -1), e.task, e.key, e.value
            FROM unnest(entry_tasks, entry_keys, entry_values) WITH ORDINALITY AS e (task, key, value, ord);
    END IF;
    RETURN ARRAY[0, 0, xid, (pg_snapshot_xmin(pg_current_snapshot()) <> pg_current_xact_id())::int];
END
$$;

-- Takes the store if its lease has run out, was given back, or is `mine` already. Waits for commits under way.
CREATE FUNCTION take(
    class int, my_holder text, lease_ms bigint, now_ms bigint, commit_bits int, keep_restarts int,
    OUT taken boolean, OUT epoch bigint, OUT segment int, OUT shift bigint, OUT restarts bigint[],
    OUT holder text, OUT left_ms bigint, OUT until text
) LANGUAGE plpgsql AS $$
DECLARE
    found_lease lease%ROWTYPE;
    found_owner owner%ROWTYPE;
    this_cluster bigint;
    this_xid bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(class, 0);
    SELECT * INTO found_lease FROM lease FOR UPDATE;
    SELECT * INTO found_owner FROM owner FOR UPDATE;
    holder := found_lease.holder;
    until := found_lease.until::text;
    IF found_lease.until > clock_timestamp() THEN
        taken := false;
        epoch := found_owner.epoch;
        left_ms := ceil(extract(epoch FROM found_lease.until - clock_timestamp()) * 1000);
        RETURN;
    END IF;
    taken := true;
    left_ms := 0;
    epoch := found_owner.epoch + 1;
    segment := found_owner.segment;
    shift := found_owner.shift;
    restarts := found_lease.restarts;
    IF NOT found_lease.clean THEN
        restarts := restarts || ARRAY[now_ms, (epoch << commit_bits) - 1];
        restarts := restarts[greatest(1, cardinality(restarts) - 2 * keep_restarts + 1):];
    END IF;
    SELECT system_identifier INTO this_cluster FROM pg_control_system();
    this_xid := pg_current_xact_id()::text::bigint;
    -- The schema came from another cluster: versions and positions must go on above those it brought. The lease remembers an
    -- id that is at most a third of a lease old; four thousand million more than that were never used since.
    IF found_lease.cluster <> this_cluster AND found_lease.seen + (1::bigint << 32) > this_xid THEN
        shift := found_lease.seen + (1::bigint << 32) - this_xid;
    END IF;
    UPDATE owner SET epoch = take.epoch, shift = take.shift;
    UPDATE lease SET holder = my_holder, until = clock_timestamp() + lease_ms * interval '1 ms', clean = false,
        restarts = take.restarts, cluster = this_cluster, seen = this_xid + take.shift;
END
$$;

-- Keeps the lease; answers whether it was still ours, and whose it is.
CREATE FUNCTION renew(my_epoch bigint, lease_ms bigint, OUT held boolean, OUT holder text) LANGUAGE plpgsql AS $$
DECLARE
    found_lease lease%ROWTYPE;
    found_owner owner%ROWTYPE;
BEGIN
    SELECT * INTO found_lease FROM lease FOR UPDATE;
    SELECT * INTO found_owner FROM owner;
    held := found_owner.epoch = my_epoch;
    holder := found_lease.holder;
    IF held THEN
        UPDATE lease SET until = clock_timestamp() + lease_ms * interval '1 ms',
            seen = pg_current_xact_id()::text::bigint + found_owner.shift;
    END IF;
END
$$;

-- Gives the lease back, so that the next start waits for nothing and charges nobody.
CREATE FUNCTION release(my_epoch bigint, OUT held boolean) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM lease FOR UPDATE;
    SELECT o.epoch = my_epoch INTO held FROM owner o;
    IF held THEN
        UPDATE lease SET until = '-infinity', clean = true;
    END IF;
END
$$;

-- Takes a partition over: waits for commits under way, and fences those that come with an earlier epoch. Null: not the owner.
CREATE FUNCTION take_over(class int, my_epoch bigint, partition int, OUT epoch bigint) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(class, 0);
    IF (SELECT o.epoch FROM owner o) <> my_epoch THEN
        RETURN;
    END IF;
    INSERT INTO partitions AS p (id, epoch) VALUES (partition, 1)
        ON CONFLICT (id) DO UPDATE SET epoch = p.epoch + 1
        RETURNING p.epoch INTO epoch;
END
$$;

-- Forgets a shard's records up to a position, of those that readers see.
CREATE FUNCTION trim_log(class int, my_epoch bigint, my_log bigint, my_shard int, through_xid bigint, through_index bigint, OUT held boolean)
LANGUAGE plpgsql AS $$
DECLARE
    last_xid bigint;
    last_index bigint;
    found_owner owner%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(class, 0);
    SELECT * INTO found_owner FROM owner;
    held := found_owner.epoch = my_epoch;
    IF NOT held THEN
        RETURN;
    END IF;
    SELECT j.xid, j.index INTO last_xid, last_index FROM journal j
        WHERE j.kind = 1 AND j.scope = my_log AND j.shard = my_shard AND (j.xid, j.index) <= (through_xid, through_index)
            AND j.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint + found_owner.shift
        ORDER BY j.xid DESC, j.index DESC LIMIT 1;
    IF FOUND THEN
        INSERT INTO trims AS t (log, shard, xid, index) VALUES (my_log, my_shard, last_xid, last_index)
            ON CONFLICT (log, shard) DO UPDATE SET xid = last_xid, index = last_index
            WHERE (t.xid, t.index) < (last_xid, last_index);
    END IF;
END
$$;

-- Turns the ring: commits from now on write into the next segment. Null: not the owner, or the next one is not empty.
CREATE FUNCTION turn(class int, my_epoch bigint, OUT segment int) LANGUAGE plpgsql AS $$
DECLARE
    found_owner owner%ROWTYPE;
    next_segment int;
    filled boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(class, 0);
    SELECT * INTO found_owner FROM owner;
    IF found_owner.epoch <> my_epoch THEN
        RETURN;
    END IF;
    next_segment := (found_owner.segment + 1) % 4;
    EXECUTE format('SELECT EXISTS (SELECT FROM journal_%s)', next_segment) INTO filled;
    IF NOT filled THEN
        UPDATE owner SET segment = next_segment;
        segment := next_segment;
    END IF;
END
$$;

-- Carries what still lives in some pages of a segment over to the current one, each row with its identity. A reader sees it
-- here or there, since both happen in one transaction. Null: not the owner.
CREATE FUNCTION carry(class int, my_epoch bigint, old_segment int, first_page bigint, pages bigint, OUT rows bigint)
LANGUAGE plpgsql AS $$
DECLARE
    found_owner owner%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(class, 0);
    SELECT * INTO found_owner FROM owner;
    IF found_owner.epoch <> my_epoch THEN
        RETURN;
    END IF;
    EXECUTE format($carry$
        WITH moved AS (
            DELETE FROM journal_%1$s j
            WHERE j.ctid >= $1::text::tid AND j.ctid < $2::text::tid AND (
                (j.kind = 1 AND NOT EXISTS (
                    SELECT FROM trims t WHERE t.log = j.scope AND t.shard = j.shard AND (j.xid, j.index) <= (t.xid, t.index) OFFSET 0))
                OR (j.kind = 2 AND NOT EXISTS (
                    SELECT FROM journal s WHERE s.kind = 3 AND s.scope = j.scope AND s.due = j.due AND s.place = j.place AND s.spot = j.spot OFFSET 0)))
            RETURNING j.*
        )
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, task, attempts, key, value)
            SELECT $3, xid, commit, batch, at, false, kind, index, scope, shard, due, place, spot, task, attempts, key, value FROM moved
    $carry$, old_segment)
    USING format('(%s,0)', first_page), format('(%s,0)', first_page + pages), found_owner.segment;
    GET DIAGNOSTICS rows = ROW_COUNT;
END
$$;

-- Empties a segment in which nothing lives. Answers false when something does, null when not the owner.
CREATE FUNCTION empty(class int, my_epoch bigint, old_segment int, OUT done boolean) LANGUAGE plpgsql
-- Readers queue behind the lock that is waited for, so it is not waited for long.
SET lock_timeout = '200ms' AS $$
DECLARE
    found_owner owner%ROWTYPE;
    alive boolean;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(class, 0);
    SELECT * INTO found_owner FROM owner;
    IF found_owner.epoch <> my_epoch THEN
        RETURN;
    END IF;
    -- The lock first: what was committed until it was granted is seen by the check that follows.
    EXECUTE format('LOCK TABLE journal_%s IN ACCESS EXCLUSIVE MODE', old_segment);
    EXECUTE format($alive$
        SELECT EXISTS (SELECT FROM journal_%1$s j WHERE
            (j.kind = 1 AND NOT EXISTS (
                SELECT FROM trims t WHERE t.log = j.scope AND t.shard = j.shard AND (j.xid, j.index) <= (t.xid, t.index) OFFSET 0))
            OR (j.kind = 2 AND NOT EXISTS (
                SELECT FROM journal s WHERE s.kind = 3 AND s.scope = j.scope AND s.due = j.due AND s.place = j.place AND s.spot = j.spot OFFSET 0)))
    $alive$, old_segment) INTO alive;
    done := NOT alive AND old_segment <> found_owner.segment;
    IF done THEN
        EXECUTE format('TRUNCATE journal_%s', old_segment);
    END IF;
END
$$;
