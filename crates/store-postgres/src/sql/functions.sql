-- The store's functions. Their statements each see what was committed when the statement began (READ COMMITTED), which is
-- what makes a check after the locks a check of the newest state. Lock 0 of the schema's class is the gate.

-- A commit: locks, checks, and only when all checks hold a transaction id and the writes.
-- Answers status 0 committed, 1 the fence at `which`, 2 the expectation at `which`, 3 owned by another;
-- `hidden` tells that an older transaction is still open, so that readers of logs do not see the commit yet.
CREATE FUNCTION commit(
    class int, locks int[], alone boolean, checks_only boolean,
    my_epoch bigint, my_commit bigint, my_batch uuid, my_at bigint,
    fence_partitions int[], fence_epochs bigint[],
    expect_keys bytea[], expect_versions bigint[],
    put_keys bytea[], put_values bytea[], delete_keys bytea[],
    entry_kinds smallint[], entry_indexes int[], entry_scopes bigint[], entry_shards int[],
    entry_dues bigint[], entry_places bigint[], entry_spots int[],
    entry_tasks uuid[], entry_attempts int[], entry_keys bytea[], entry_values bytea[],
    OUT status int, OUT which bigint, OUT xid bigint, OUT hidden boolean, OUT current_segment int
) LANGUAGE plpgsql AS $$
DECLARE
    current_owner owner%ROWTYPE;
BEGIN
    status := 0;
    which := 0;
    xid := 0;
    hidden := false;
    -- None of these locks has the server assign a transaction id, as row locks would: an id that is assigned before the locks
    -- could be lower than that of a commit which got the same locks first.
    IF alone THEN
        PERFORM pg_advisory_xact_lock(class, 0);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(class, 0);
        PERFORM pg_advisory_xact_lock(class, id) FROM unnest(locks) AS id;
    END IF;
    SELECT * INTO current_owner FROM owner;
    current_segment := current_owner.segment;
    IF current_owner.epoch <> my_epoch THEN
        status := 3;
        RETURN;
    END IF;
    IF cardinality(fence_partitions) > 0 THEN
        SELECT f.ord INTO which
            FROM unnest(fence_partitions, fence_epochs) WITH ORDINALITY AS f (id, epoch, ord)
            LEFT JOIN partitions p ON p.id = f.id
            WHERE coalesce(p.epoch, 0) <> f.epoch ORDER BY f.ord LIMIT 1;
        IF FOUND THEN
            status := 1;
            RETURN;
        END IF;
    END IF;
    IF cardinality(expect_keys) > 0 THEN
        SELECT e.ord INTO which
            FROM unnest(expect_keys, expect_versions) WITH ORDINALITY AS e (key, version, ord)
            LEFT JOIN rows r ON r.key = e.key
            WHERE r.version IS DISTINCT FROM e.version ORDER BY e.ord LIMIT 1;
        IF FOUND THEN
            status := 2;
            RETURN;
        END IF;
    END IF;
    which := 0;
    IF checks_only THEN
        RETURN;
    END IF;
    xid := pg_current_xact_id()::text::bigint + current_owner.shift;
    IF cardinality(put_keys) > 0 THEN
        INSERT INTO rows AS r (key, version, value)
            SELECT p.key, xid, p.value FROM unnest(put_keys, put_values) AS p (key, value)
            ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, value = EXCLUDED.value;
    END IF;
    IF cardinality(delete_keys) > 0 THEN
        DELETE FROM rows r USING unnest(delete_keys) AS d (key) WHERE r.key = d.key;
    END IF;
    INSERT INTO journal (segment, xid, commit, batch, at, first, kind, index, scope, shard, due, place, spot, task, attempts, key, value)
        SELECT current_owner.segment, xid, my_commit, my_batch, my_at, e.ord = 1,
            e.kind, e.index, e.scope, e.shard, e.due, e.place, e.spot, e.task, e.attempts, e.key, e.value
        FROM unnest(entry_kinds, entry_indexes, entry_scopes, entry_shards, entry_dues, entry_places, entry_spots,
            entry_tasks, entry_attempts, entry_keys, entry_values)
            WITH ORDINALITY AS e (kind, index, scope, shard, due, place, spot, task, attempts, key, value, ord);
    hidden := pg_snapshot_xmin(pg_current_snapshot()) <> pg_current_xact_id();
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
                    SELECT FROM trims t WHERE t.log = j.scope AND t.shard = j.shard AND (j.xid, j.index) <= (t.xid, t.index)))
                OR (j.kind = 2 AND NOT EXISTS (
                    SELECT FROM journal s WHERE s.kind = 3 AND s.scope = j.scope AND s.due = j.due AND s.place = j.place AND s.spot = j.spot)))
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
                SELECT FROM trims t WHERE t.log = j.scope AND t.shard = j.shard AND (j.xid, j.index) <= (t.xid, t.index)))
            OR (j.kind = 2 AND NOT EXISTS (
                SELECT FROM journal s WHERE s.kind = 3 AND s.scope = j.scope AND s.due = j.due AND s.place = j.place AND s.spot = j.spot)))
    $alive$, old_segment) INTO alive;
    done := NOT alive AND old_segment <> found_owner.segment;
    IF done THEN
        EXECUTE format('TRUNCATE journal_%s', old_segment);
    END IF;
END
$$;
