-- The store's functions. Their statements each see what was committed when the statement began (READ COMMITTED), which is
-- what makes a check after the locks a check of the newest state. Lock 0 of the schema's class is the gate.
--
-- The planner knows nothing of tables that change so fast: where it could choose a join over an index probe for each row,
-- LIMIT 1 or OFFSET 0 in a subquery takes the choice away.

-- Commits: one or several batches that have no lock in common, in one transaction. Locks, checks, and only for batches whose
-- checks all hold a transaction id and the writes. Few parameters and one array as the answer, because each costs the server as
-- much as a small statement does:
-- head is {class, alone, checks only, epoch, time}; numbers are the owner's own, one for each batch; fences are triples of batch
-- (from 1), partition and epoch; an expected version of -1 is absence; entries are nine numbers for each row of the journal (batch,
-- kind and 10 more if it is the batch's first, index, scope, shard, due, place, spot, attempts; -1 where it has none).
-- Answers {transaction id, hidden, and for each batch: status, which}: status 0 committed, 1 the fence at `which`, 2 the
-- expectation at `which`; `hidden` is 1 when an older transaction is still open, so that readers of logs do not see the commit
-- yet. Answers {-1} when another owns the store.
CREATE FUNCTION commit(
    head bigint[], locks int[], batches uuid[], numbers bigint[], fences bigint[],
    expect_jobs int[], expect_keys bytea[], expect_versions bigint[],
    put_jobs int[], put_keys bytea[], put_values bytea[], delete_jobs int[], delete_keys bytea[],
    entries bigint[], entry_tasks uuid[], entry_keys bytea[], entry_values bytea[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    class int := head[1];
    answer bigint[] := array_fill(0::bigint, ARRAY[2 + 2 * cardinality(batches)]);
    refused int[] := '{}';
    current_epoch bigint;
    current_segment int;
    xid bigint;
    lock int;
    bad int;
    which bigint;
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
        RETURN ARRAY[-1];
    END IF;
    IF cardinality(fences) > 0 THEN
        FOR bad, which IN
            SELECT DISTINCT ON (fences[3 * f.ord - 2]) fences[3 * f.ord - 2], f.ord
            FROM generate_series(1, cardinality(fences) / 3) AS f (ord)
            LEFT JOIN LATERAL (SELECT p.epoch FROM partitions p WHERE p.id = fences[3 * f.ord - 1] LIMIT 1) p ON true
            WHERE coalesce(p.epoch, 0) <> fences[3 * f.ord] ORDER BY fences[3 * f.ord - 2], f.ord
        LOOP
            refused := refused || bad;
            answer[2 * bad + 1] := 1;
            answer[2 * bad + 2] := which;
        END LOOP;
    END IF;
    -- One of each is by far the most common without load, and costs half of what a set of one does.
    IF cardinality(expect_keys) = 1 THEN
        IF coalesce((SELECT r.version FROM rows r WHERE r.key = expect_keys[1]), -1) <> expect_versions[1]
            AND NOT (expect_jobs[1] = ANY (refused))
        THEN
            bad := expect_jobs[1];
            refused := refused || bad;
            answer[2 * bad + 1] := 2;
            answer[2 * bad + 2] := 1;
        END IF;
    ELSIF cardinality(expect_keys) > 0 THEN
        FOR bad, which IN
            SELECT DISTINCT ON (e.job) e.job, e.ord
            FROM unnest(expect_jobs, expect_keys, expect_versions) WITH ORDINALITY AS e (job, key, version, ord)
            LEFT JOIN LATERAL (SELECT r.version FROM rows r WHERE r.key = e.key LIMIT 1) r ON true
            WHERE coalesce(r.version, -1) <> e.version AND NOT (e.job = ANY (refused)) ORDER BY e.job, e.ord
        LOOP
            refused := refused || bad;
            answer[2 * bad + 1] := 2;
            answer[2 * bad + 2] := which;
        END LOOP;
    END IF;
    IF head[3] = 1 OR cardinality(refused) = cardinality(batches) THEN
        RETURN answer;
    END IF;
    xid := xid + pg_current_xact_id()::text::bigint;
    answer[1] := xid;
    IF cardinality(put_keys) = 1 AND cardinality(refused) = 0 THEN
        INSERT INTO rows (key, version, value) VALUES (put_keys[1], xid, put_values[1])
            ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value;
    ELSIF cardinality(put_keys) > 0 THEN
        INSERT INTO rows (key, version, value)
            SELECT p.key, xid, p.value FROM unnest(put_jobs, put_keys, put_values) AS p (job, key, value)
            WHERE NOT (p.job = ANY (refused))
            ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value;
    END IF;
    IF cardinality(delete_keys) > 0 THEN
        DELETE FROM rows WHERE key = ANY (ARRAY(
            SELECT d.key FROM unnest(delete_jobs, delete_keys) AS d (job, key) WHERE NOT (d.job = ANY (refused))));
    END IF;
    IF cardinality(entries) = 9 THEN
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, attempts, task, key, value)
            VALUES (current_segment, xid, numbers[1], batches[1], head[5], true,
                entries[2] - 10, entries[3], entries[4], nullif(entries[5], -1), nullif(entries[6], -1), nullif(entries[7], -1),
                nullif(entries[8], -1), nullif(entries[9], -1), entry_tasks[1], entry_keys[1], entry_values[1]);
    ELSE
        INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, attempts, task, key, value)
            SELECT current_segment, xid, numbers[entries[9 * e.ord - 8]], batches[entries[9 * e.ord - 8]], head[5],
                entries[9 * e.ord - 7] >= 10, entries[9 * e.ord - 7] % 10, entries[9 * e.ord - 6], entries[9 * e.ord - 5],
                nullif(entries[9 * e.ord - 4], -1), nullif(entries[9 * e.ord - 3], -1), nullif(entries[9 * e.ord - 2], -1),
                nullif(entries[9 * e.ord - 1], -1), nullif(entries[9 * e.ord], -1), e.task, e.key, e.value
            FROM unnest(entry_tasks, entry_keys, entry_values) WITH ORDINALITY AS e (task, key, value, ord)
            WHERE NOT (entries[9 * e.ord - 8] = ANY (refused));
    END IF;
    answer[2] := (pg_snapshot_xmin(pg_current_snapshot()) <> pg_current_xact_id())::int;
    RETURN answer;
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
