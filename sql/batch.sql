-- many rows per forward pass: the plans, and the same results as row by row
SET max_parallel_workers_per_gather = 0;
SELECT sst2_label('load the library');

CREATE TABLE review (id int PRIMARY KEY, kind text, title text, body text) WITH (autovacuum_enabled = off);
INSERT INTO review
    SELECT n, (ARRAY['film', 'book', 'play'])[1 + n % 3], 'title ' || n % 7,
           CASE WHEN n % 10 > 0
                THEN (ARRAY['good', 'a bad', 'not so boring', 'the worst', ''])[1 + n % 5] || ' plot ' || n % 40 END
    FROM generate_series(1, 75) n;
CREATE TABLE reply (review int, body text);
INSERT INTO reply SELECT n * 3, 'I agree ' || n % 9 FROM generate_series(1, 24) n;
CREATE TABLE part (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (20);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (20) TO (1000);
INSERT INTO part SELECT n, 'part ' || n % 20 FROM generate_series(1, 40) n;
ANALYZE review, reply, part;

-- The rows that statements return, then those of a query, if given. All is rolled back.
CREATE FUNCTION rows_of(statements text, afterwards text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    result text[] := '{}';
    r record;
BEGIN
    FOR r IN EXECUTE statements LOOP result := result || r::text; END LOOP;
    IF afterwards IS NOT NULL THEN
        FOR r IN EXECUTE afterwards LOOP result := result || r::text; END LOOP;
    END IF;
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN
    RETURN result;
END $$;

-- How many SstBatch nodes a statement's plan has, how many rows it returns, and whether they are the same without.
CREATE FUNCTION compare(statement text, afterwards text DEFAULT NULL, OUT nodes int, OUT rows int, OUT same bool)
LANGUAGE plpgsql AS $$
DECLARE
    line text;
    batched text[] := rows_of(statement, afterwards);
BEGIN
    nodes := 0;
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP nodes := nodes + (line ~ 'SstBatch')::int; END LOOP;
    rows := cardinality(batched);
    PERFORM set_config('distilsst.batch_size', '1', true);
    same := batched = rows_of(statement, afterwards);
    PERFORM set_config('distilsst.batch_size', '32', true);
END $$;

-- A plan without the name of the server's model and without what differs between versions of PostgreSQL.
CREATE FUNCTION plan_of(statement text, options text DEFAULT '') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE format('EXPLAIN (COSTS OFF%s) %s', ', ' || nullif(options, ''), statement) LOOP
        IF line !~ '^ *(Model: [^'', ]*$|Window:)' THEN RETURN NEXT replace(line, 'review.', ''); END IF;
    END LOOP;
END $$;

-- what plans look like
SELECT plan_of($$ SELECT id, sst2_label(body), sst2_score(body) FROM review $$);
SELECT plan_of($$ SELECT id, sst2_label(body) FROM review WHERE id < 50 AND sst2_score(body) > 0.5 $$, 'VERBOSE');
SELECT plan_of($$ SELECT avg(sst2_score(body)), count(*) FILTER (WHERE sst2_label(title) = 'POSITIVE') FROM review $$);
SELECT plan_of($$ UPDATE review SET kind = sst2_label(body) WHERE sst2_label(title) = 'NEGATIVE' $$);
SELECT plan_of($$ SELECT sst2_label(body) FROM part $$);
-- LIMIT moves below SstBatch, where it saves work and lets Sort keep few rows
SELECT plan_of($$ SELECT id, sst2_label(body) FROM review ORDER BY title LIMIT 5 $$);
-- a later filter is evaluated only for the rows that pass the one before
SELECT plan_of($$ SELECT id FROM review WHERE sst2_score(body) > 0.5 AND sst2_score(title) > 0.5 $$);

-- where calls may stand
SELECT place, (SELECT count(*) FROM plan_of(statement) line WHERE line ~ 'SstBatch') AS nodes FROM (VALUES
    ('select list', $$ SELECT sst2_label(body) FROM review $$),
    ('WHERE', $$ SELECT id FROM review WHERE sst2_label(body) = 'POSITIVE' $$),
    ('GROUP BY', $$ SELECT sst2_label(body) AS label, count(*) FROM review GROUP BY label $$),
    ('HAVING', $$ SELECT kind FROM review GROUP BY kind HAVING avg(sst2_score(body)) > 0.5 $$),
    ('HAVING over a group', $$ SELECT kind FROM review GROUP BY kind HAVING sst2_score(kind) > 0.5 $$),
    ('ORDER BY with LIMIT', $$ SELECT id FROM review ORDER BY sst2_score(body) LIMIT 5 $$),
    ('arguments of aggregates', $$ SELECT kind, avg(sst2_score(body)) FROM review GROUP BY kind $$),
    ('over partitions', $$ SELECT avg(sst2_score(body)) FROM part $$),
    ('CREATE TABLE AS', $$ CREATE TABLE made AS SELECT sst2_label(body) FROM review $$),
    ('INSERT', $$ INSERT INTO reply SELECT id, sst2_label(body) FROM review $$),
    ('UPDATE', $$ UPDATE review SET title = sst2_label(body) $$),
    ('DELETE', $$ DELETE FROM review WHERE sst2_label(body) = 'NEGATIVE' $$),
    ('a named model', $$ SELECT sst2_label(body, 'a-12345678') FROM review $$)) v (place, statement);

-- a text that is needed in several places is classified once: key and argument of an aggregate, ORDER BY and select list
SELECT plan_of($$ SELECT sst2_label(body), count(*), avg(sst2_score(body)) FROM review GROUP BY 1 $$, 'VERBOSE');
SELECT plan_of($$ SELECT id, sst2_label(body) FROM review ORDER BY sst2_score(body) LIMIT 5 $$, 'VERBOSE');
SELECT plan_of($$ SELECT kind, title, avg((sst2_label(body) = 'POSITIVE')::int) FROM review GROUP BY ROLLUP (kind, title) $$);
SELECT plan_of($$ SELECT sst2_label(body), lag(sst2_label(body)) OVER (ORDER BY title) FROM review $$);
-- calls that name a model, and one of the same text that names none
SELECT plan_of($$ SELECT sst2_label(body, 'a-12345678'), sst2_score(body, 'a-12345678'), sst2_label(title, kind) FROM review $$);
SELECT line FROM plan_of($$ SELECT sst2_label(body), sst2_label(body, 'a-12345678') FROM review $$) line WHERE line ~ 'Text:';
-- the cost of calls moves to SstBatch
CREATE FUNCTION costs(statement text) RETURNS TABLE (node text, cost bigint) LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        node := substring(line, '^[ >-]*(\w[\w ]*)');
        cost := substring(line, '\.\.(\d+)');
        IF cost IS NOT NULL THEN RETURN NEXT; END IF;
    END LOOP;
END $$;
SELECT * FROM costs('SELECT id, sst2_label(body) FROM review');
SELECT * FROM costs('SELECT id FROM review WHERE sst2_score(body) > 0.5');
SELECT * FROM costs('SELECT avg(sst2_score(body)) FROM review');
SELECT * FROM costs('SELECT sst2_label(body) FROM review ORDER BY title LIMIT 3');
DROP FUNCTION costs;

-- EXPLAIN ANALYZE
CREATE FUNCTION explain_analyze(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query;
END $$;
SELECT line FROM explain_analyze($$ SELECT sst2_label(repeat('long ', 600)),
    sst2_label(title || ' of ' || kind), sst2_score(title || ' of ' || kind)
    FROM review ORDER BY id LIMIT 60 $$) line WHERE line ~ 'Text|Batches|Tokens';

-- projections
SELECT statement, (compare(statement)).* FROM (VALUES
    ('SELECT id, sst2_label(body) FROM review'),
    ('SELECT id, sst2_label(body), sst2_score(body), sst2_logits(body), (sst2_classify(body)).* FROM review'),
    ('SELECT sst2_classify(body), (sst2_classify(body)).label, (sst2_logits(body))[2] FROM review'),
    ('SELECT r, sst2_label(r.body), r.ctid, r.tableoid FROM review r'),
    ('SELECT sst2_label(body || title), sst2_label(title) FROM review'),
    ('SELECT sst2_label(sst2_label(body)) FROM review'),
    ('SELECT sst2_label(body::varchar(9)) FROM review'),
    ('SELECT coalesce(sst2_label(body), ''none''), greatest(sst2_score(body), 0.5), sst2_label(body) IS NULL FROM review'),
    ('SELECT CASE sst2_label(body) WHEN ''POSITIVE'' THEN 1 WHEN sst2_label(title) THEN 2 END FROM review'),
    ('SELECT CASE WHEN sst2_score(body) > 0.5 THEN title ELSE sst2_label(body) END FROM review'),
    ('SELECT ARRAY[sst2_score(body), 1], ROW(sst2_label(body), id), sst2_score(body)::text FROM review'),
    ('SELECT sst2_score(body) > 0.5 AND sst2_score(title) > 0.5 FROM review'),
    ('SELECT sst2_label(body), sst2_label(CASE WHEN id > 5 THEN sst2_label(body) END) FROM review'),
    ('SELECT DISTINCT sst2_label(body) FROM review'),
    ('SELECT sst2_label(body), count(*) FROM review GROUP BY 1 ORDER BY 1'),
    ('SELECT id FROM review ORDER BY sst2_score(body), id'),
    ('SELECT id, sst2_label(body) FROM review ORDER BY title, id LIMIT 7 OFFSET 3'),
    ('SELECT length(body) + (random() * 0)::int, kind, sst2_label(title), id FROM review ORDER BY kind DESC, id LIMIT 7'),
    ('SELECT id, sst2_label(body) FROM review ORDER BY id FETCH FIRST 7 ROWS WITH TIES'),
    ('SELECT sst2_label(body), row_number() OVER (ORDER BY id), lag(sst2_label(body)) OVER (ORDER BY id) FROM review'),
    ('SELECT id, sst2_label(body), (SELECT count(*) FROM reply WHERE review = id) FROM review'),
    ('SELECT id, (SELECT sst2_label(body) FROM reply WHERE review = id LIMIT 1) FROM review'),
    ('SELECT sst2_label(unnest) FROM unnest(ARRAY[''good'', NULL, ''bad''])'),
    ('SELECT sst2_label(c) FROM (VALUES (''good''), (''bad''), (NULL)) v (c)'),
    ('SELECT sst2_label(l), count(*) FROM (SELECT sst2_label(body) l FROM review OFFSET 0) s GROUP BY l ORDER BY 2'),
    ('SELECT sst2_label(max(body)) FROM review GROUP BY kind ORDER BY kind'),
    ('SELECT kind, sst2_label(kind), GROUPING(kind), count(*) FROM review GROUP BY ROLLUP (kind) ORDER BY kind'),
    ('SELECT r.id, sst2_label(r.body || p.body) FROM review r JOIN reply p ON p.review = r.id ORDER BY 1, 2'),
    ('SELECT r.id, sst2_label(p.body) FROM review r LEFT JOIN reply p ON p.review = r.id ORDER BY 1, 2'),
    ('SELECT r.id, l FROM review r, LATERAL (SELECT sst2_label(p.body) l FROM reply p WHERE p.review = r.id OFFSET 0) s'),
    ('SELECT id, sst2_label(body) FROM part'),
    ('SELECT sst2_label(body) FROM review UNION ALL SELECT sst2_label(body) FROM reply'),
    ('SELECT sst2_label(body) FROM review EXCEPT SELECT sst2_label(body) FROM reply WHERE review > 50'),
    ('WITH s AS MATERIALIZED (SELECT sst2_label(body) l FROM review) SELECT count(*), count(DISTINCT l) FROM s'),
    ('WITH RECURSIVE s (n, l) AS (SELECT 1, sst2_label(''good '' || id) FROM review WHERE id < 9
      UNION ALL SELECT n + 1, sst2_label(l) FROM s WHERE n < 4) SELECT * FROM s'),
    ('SELECT sst2_label(body) FROM review TABLESAMPLE BERNOULLI (50) REPEATABLE (1)'),
    ('SELECT sst2_label(body) FROM review FOR UPDATE')
) v (statement);

-- filters
SELECT statement, (compare(statement)).* FROM (VALUES
    ('SELECT id FROM review WHERE sst2_score(body) > 0.5'),
    ('SELECT id, sst2_label(body) FROM review WHERE sst2_score(body) > 0.5 AND kind = ''film'''),
    ('SELECT id, sst2_label(title) FROM review WHERE sst2_score(body) > 0.5'),
    ('SELECT id FROM review WHERE sst2_score(body) > 0.5 OR id < 20'),
    ('SELECT id FROM review WHERE NOT sst2_score(body) > 0.5 LIMIT 9'),
    ('SELECT id FROM review WHERE sst2_label(body) = ANY (ARRAY[''POSITIVE'', kind])'),
    ('SELECT id FROM review WHERE sst2_label(sst2_label(body)) = sst2_label(body)'),
    ('SELECT kind, count(*) FROM review GROUP BY kind HAVING sst2_score(min(body)) > 0.1 ORDER BY kind'),
    ('SELECT r.id FROM review r LEFT JOIN reply p ON p.review = r.id
      WHERE sst2_label(coalesce(p.body, r.body)) = ''NEGATIVE'' ORDER BY 1'),
    ('SELECT id FROM review r WHERE EXISTS (SELECT FROM reply WHERE review = r.id AND sst2_score(body) > 0.5)'),
    ('SELECT id, (SELECT s.id FROM review s WHERE s.id > r.id AND sst2_score(s.body) > 0.5 LIMIT 1) FROM review r WHERE id < 50')
) v (statement);

-- arguments of aggregates
SELECT statement, (compare(statement)).* FROM (VALUES
    ('SELECT avg(sst2_score(body)), min(sst2_label(body)), count(sst2_classify(body)) FROM review'),
    ('SELECT kind, count(*) FILTER (WHERE sst2_label(body) = ''POSITIVE'') FROM review GROUP BY kind ORDER BY kind'),
    ('SELECT sum(CASE WHEN sst2_label(body) = ''POSITIVE'' THEN 1 ELSE 0 END) FROM review'),
    ('SELECT string_agg(sst2_label(body), '','' ORDER BY id), count(DISTINCT sst2_score(body)) FROM review'),
    ('SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY sst2_score(body)) FROM review'),
    ('SELECT kind, title, avg(sst2_score(body)) FROM review GROUP BY CUBE (kind, title) ORDER BY 1, 2'),
    ('SELECT title, sst2_label(title), min(sst2_label(title)) FROM review GROUP BY ROLLUP (title) ORDER BY title'),
    ('SELECT kind FROM review GROUP BY kind HAVING avg(sst2_score(body)) > 0.4 ORDER BY kind'),
    ('SELECT count(*) FILTER (WHERE id > 30 AND sst2_label(body) = ''POSITIVE'') FROM review')
) v (statement);

-- a window's run condition is evaluated over its target list, which must stay
SELECT rows, same FROM compare($$ SELECT * FROM (SELECT sst2_label(body), rank() OVER (PARTITION BY kind ORDER BY id) n
    FROM review) s WHERE n < 3 ORDER BY n $$);

-- the inner side of a merge join must be able to go back to a mark
CREATE INDEX ON reply (review);
SET enable_hashjoin = off;
SET enable_nestloop = off;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_material = off;
SELECT (compare($$ SELECT r.id, label FROM review r LEFT JOIN (SELECT review, coalesce(sst2_label(body), 'none') AS label
    FROM reply) s ON review = r.id ORDER BY r.id $$)).*;
RESET enable_hashjoin;
RESET enable_nestloop;
RESET enable_seqscan;
RESET enable_sort;
RESET enable_material;

-- rows too wide for work_mem come one by one
SET work_mem = '64kB';
SET distilsst.batch_size = 512;
SELECT count(q.*) FROM (SELECT sst2_label(r.body), repeat(r.title, 10000), r.*, s.*, t.*, u.*, v.*
    FROM review r JOIN review s USING (id) JOIN review t USING (id) JOIN review u USING (id) JOIN review v USING (id)
    WHERE id <= 20 OFFSET 0) q;
RESET work_mem;
RESET distilsst.batch_size;

-- statements that write
SELECT statement, (compare(statement, 'SELECT * FROM review ORDER BY id')).* FROM (VALUES
    ('UPDATE review SET title = sst2_label(body), kind = sst2_label(body) RETURNING id'),
    ('UPDATE review SET (kind, title) = (SELECT max(sst2_label(r.body)), kind FROM reply r WHERE r.review = id) RETURNING id'),
    ('DELETE FROM review WHERE sst2_label(body) = ''NEGATIVE'' RETURNING id, sst2_score(body)'),
    ('INSERT INTO review (id, title) SELECT 1000 + id, sst2_label(body) FROM review RETURNING title'),
    ('INSERT INTO review SELECT id, kind, sst2_label(body) FROM review '
     'ON CONFLICT (id) DO UPDATE SET title = excluded.title RETURNING title')
) v (statement);
BEGIN;
CREATE TABLE made AS SELECT id, sst2_label(body) AS label FROM review;
COPY (SELECT count(*), bool_and(label = sst2_label(body) OR label IS NULL AND body IS NULL)
  FROM made JOIN review USING (id)) TO STDOUT;
ROLLBACK;

-- what is not batched
SELECT statement, (compare(statement)).* FROM (VALUES
    ('SELECT sst2_label(''good'')'),
    ('SELECT id FROM review WHERE id = 1'),
    ('SELECT sst2_label(ARRAY[body]) FROM review'),
    ('SELECT CASE WHEN id > 10 THEN sst2_label(body) END FROM review'),
    ('SELECT coalesce(title, sst2_label(body)) FROM review'),
    ('SELECT id > 10 AND sst2_score(body) > 0.5 FROM review'),
    ('SELECT count(*) FILTER (WHERE id > 10 AND sst2_score(body) > 0.5) FROM review'),
    ('SELECT sst2_label((SELECT r.body FROM reply r WHERE r.review = id LIMIT 1)) FROM review'),
    ('SELECT l.label FROM review, sst2_classify(body) l'),
    ('SELECT generate_series(1, 2), sst2_label(body) FROM review'),
    ('SELECT r.id FROM review r JOIN reply p ON p.review = r.id AND sst2_label(p.body || r.body) = r.title')
) v (statement);
-- no call is made, and no text evaluated, that the plan without SstBatch would skip
SELECT count(CASE WHEN length(body) > 0 THEN sst2_label((1 / length(body))::text) END) FROM (VALUES (''), ('x')) v (body);
SELECT id FROM review WHERE id = 5 AND sst2_label((1 / (id - 4))::text) <> '' AND sst2_label((1 / (id - 6))::text) <> '';

-- volatile functions are evaluated once for each row that is returned
CREATE SEQUENCE counter;
SELECT count(*) FROM (SELECT nextval('counter'), sst2_label(body) FROM review LIMIT 5 OFFSET 2) s;
SELECT nextval('counter');
SELECT plan_of($$ SELECT sst2_label(body || nextval('counter')) FROM review $$);
SELECT plan_of($$ SELECT sst2_label(body) FROM review WHERE nextval('counter') > 0 $$);

-- the right to EXECUTE is checked
CREATE ROLE regress_distilsst_reader;
GRANT SELECT ON review TO regress_distilsst_reader;
REVOKE EXECUTE ON FUNCTION sst2_label(text) FROM PUBLIC;
SET ROLE regress_distilsst_reader;
SELECT sst2_score(body) > 2, sst2_label(body) FROM review;
SELECT count(*) FROM review WHERE sst2_label(body) = '';
SELECT max(sst2_label(body)) FROM review;
RESET ROLE;
GRANT EXECUTE ON FUNCTION sst2_label(text) TO PUBLIC;

-- a leaky function sees only permitted rows
CREATE FUNCTION leak(text) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS
    $$ BEGIN RAISE NOTICE 'saw "%"', $1; RETURN true; END $$;
ALTER TABLE review ENABLE ROW LEVEL SECURITY;
CREATE POLICY permitted ON review USING (sst2_score(body) > 0.5 AND id < 7);
SET ROLE regress_distilsst_reader;
SELECT plan_of($$ SELECT id FROM review WHERE leak(body) $$);
SELECT id, sst2_label(body) FROM review WHERE leak(body);
RESET ROLE;
ALTER TABLE review DISABLE ROW LEVEL SECURITY;
DROP POLICY permitted ON review;

-- a function is known by its symbol, under any name and in any schema, but not with SET or SECURITY DEFINER
CREATE FUNCTION feeling(text) RETURNS text AS '$libdir/distilsst', 'sst2_label' LANGUAGE C STRICT IMMUTABLE COST 100000;
CREATE FUNCTION feeling_set(text) RETURNS text AS '$libdir/distilsst', 'sst2_label' LANGUAGE C STRICT IMMUTABLE
    SET work_mem = '1MB';
SELECT (compare('SELECT feeling(body) FROM review')).*;
SELECT (compare('SELECT feeling_set(body) FROM review')).*;
DROP FUNCTION feeling(text), feeling_set(text);
CREATE SCHEMA elsewhere;
ALTER EXTENSION distilsst SET SCHEMA elsewhere;
SELECT (compare('SELECT elsewhere.sst2_label(body) FROM review')).*;
ALTER EXTENSION distilsst SET SCHEMA public;

-- cursors go backward, and serve WHERE CURRENT OF, as they do without SstBatch
CREATE FUNCTION cursor_tour(options text, query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    result text[] := '{}';
    move text;
    r record;
BEGIN
    EXECUTE format('DECLARE tour %s CURSOR FOR %s', options, query);
    FOREACH move IN ARRAY '{NEXT,FORWARD 5,PRIOR,LAST,NEXT,PRIOR,BACKWARD 3,ABSOLUTE 9,RELATIVE -4,FIRST,PRIOR,NEXT,ABSOLUTE -2,
                            FORWARD ALL,BACKWARD 4,FORWARD 2,BACKWARD ALL,FORWARD 33,BACKWARD 33,RELATIVE 20}'::text[] LOOP
        BEGIN
            FOR r IN EXECUTE 'FETCH ' || move || ' FROM tour' LOOP result := result || (move || ': ' || r); END LOOP;
            EXECUTE 'UPDATE review SET title = title WHERE CURRENT OF tour RETURNING id' INTO r;
            result := result || ('current: ' || r);
        EXCEPTION WHEN others THEN
            result := result || (move || ': ' || sqlerrm);
        END;
    END LOOP;
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN
    RETURN result;
END $$;
CREATE FUNCTION compare_tours(options text, query text, OUT nodes int, OUT rows int, OUT same bool) LANGUAGE plpgsql AS $$
DECLARE
    batched text[] := cursor_tour(options, query);
BEGIN
    SELECT count(*) FROM plan_of(format('DECLARE tour %s CURSOR FOR %s', options, query)) line WHERE line ~ 'SstBatch' INTO nodes;
    rows := cardinality(batched);
    PERFORM set_config('distilsst.batch_size', '1', true);
    same := batched = cursor_tour(options, query);
    PERFORM set_config('distilsst.batch_size', '32', true);
END $$;
SELECT query, options, (compare_tours(options, query)).* FROM (VALUES
    ('SELECT id, sst2_label(body) FROM review'),
    ('SELECT id, sst2_label(body) FROM review WHERE id > 5 AND sst2_score(body) > 0.4 AND sst2_score(title) > 0.4'),
    ('SELECT id, sst2_label(body) FROM review ORDER BY title, id LIMIT 40'),
    ('SELECT id, sst2_label(body) FROM review LIMIT 40'),
    ('SELECT id, sst2_label(body) FROM (SELECT * FROM review LIMIT 40) s'),
    ('SELECT id, sst2_label(body) FROM review WHERE sst2_score(body) > 0.4 FOR UPDATE'),
    ('SELECT r.id, sst2_label(p.body) FROM review r JOIN reply p ON p.review = r.id ORDER BY r.id')
) q (query), (VALUES ('NO SCROLL'), (''), ('INSENSITIVE'), ('SCROLL')) o (options)
WHERE query !~ 'FOR UPDATE' OR options !~ '^(INS|SCR)';
-- WHERE CURRENT OF finds the partition's scan; above a subquery's LIMIT SstBatch could not, and is not used
BEGIN;
DECLARE c CURSOR FOR SELECT id, sst2_label(body) FROM part;
MOVE 25 FROM c;
UPDATE part SET body = 'here' WHERE CURRENT OF c RETURNING id, tableoid::regclass;
DECLARE d CURSOR FOR SELECT id, sst2_label(body) FROM (SELECT * FROM part LIMIT 30) s;
MOVE 25 FROM d;
UPDATE part SET body = 'here' WHERE CURRENT OF d RETURNING id, tableoid::regclass;
ROLLBACK;
-- no row is locked ahead, so a cursor finds the last of those locked below it
BEGIN;
DECLARE c CURSOR FOR SELECT id, sst2_label(body) FROM (SELECT * FROM review ORDER BY id FOR UPDATE) s;
MOVE 3 FROM c;
UPDATE review SET title = 'here' WHERE CURRENT OF c RETURNING id;
SELECT count(*) FROM review WHERE xmax <> 0;
ROLLBACK;
DROP FUNCTION cursor_tour, compare_tours;

-- a cached plan follows batch_size
PREPARE labels (int) AS SELECT count(sst2_label(body)) FROM review WHERE id < $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE labels (50);
SET distilsst.batch_size = 1;
EXECUTE labels (50);
SET distilsst.batch_size = 3;
EXECUTE labels (50);
RESET distilsst.batch_size;
RESET plan_cache_mode;

-- parallel workers
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 1;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT plan_of($$ SELECT count(*) FROM review WHERE sst2_label(body) = 'POSITIVE' $$);
SELECT statement, (compare(statement)).* FROM (VALUES
    ('SELECT count(*) FROM review WHERE sst2_label(body) = ''POSITIVE'''),
    ('SELECT kind, count(*) FILTER (WHERE sst2_label(body) = ''POSITIVE'') FROM review GROUP BY kind ORDER BY kind'),
    ('SELECT id, sst2_label(body) FROM review ORDER BY id')
) v (statement);

SET parallel_leader_participation = off;
SELECT line FROM explain_analyze($$ SELECT max(sst2_score(body)) FROM review $$) line WHERE line ~ 'Texts Classified';

DROP TABLE review, reply, part;
DROP FUNCTION rows_of, compare, plan_of, explain_analyze, leak;
DROP SEQUENCE counter;
DROP SCHEMA elsewhere;
DROP ROLE regress_distilsst_reader;
