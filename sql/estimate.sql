-- how long a table takes: checked against what a small table computes
SELECT name AS model FROM sst2_models() WHERE is_default \gset
CREATE TABLE reviews (id int PRIMARY KEY, body text, "Short ""text""" varchar(30));
INSERT INTO reviews SELECT i, repeat('a wonderful film, number ' || i || '. ', i * 2), 'film ' || i
    FROM generate_series(1, 60) i;
UPDATE reviews SET body = NULL WHERE id % 4 = 0;

CREATE FUNCTION right_answer(column_name text) RETURNS TABLE (rows bigint, mean_tokens real, truncated real)
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT (SELECT count(*) FROM reviews), avg((c).tokens)::real, avg((c).truncated::int)::real
        FROM (SELECT sst2_classify(%I) c FROM reviews WHERE %1$I IS NOT NULL OFFSET 0) s', column_name);
END $$;

-- never analyzed, then analyzed
SELECT e.rows = r.rows AS rows, e.mean_tokens = r.mean_tokens AS tokens, abs(e.truncated - r.truncated) < 1e-6 AS truncated,
    e.truncated > 0.1 AS some, e.ms_per_text > 0 AS ms, abs(e.hours_one_core * 3.6e6 / (45 * e.ms_per_text) - 1) < 0.02 AS hours,
    e.hours_parallel <= e.hours_one_core AS parallel
    FROM sst2_estimate('reviews', 'body') e, right_answer('body') r;
SELECT bool_and(length(trim('0' FROM regexp_replace(measured::text, 'e.*|\.', '', 'g'))) <= 3) AS three_digits
    FROM sst2_estimate('reviews', 'body') e, unnest(ARRAY[e.ms_per_text, e.hours_one_core, e.hours_parallel]) measured;
ANALYZE reviews;
SELECT e.rows = r.rows AS rows, e.mean_tokens = r.mean_tokens AS tokens, e.truncated
    FROM sst2_estimate('reviews', 'Short "text"', :'model') e, right_answer('Short "text"') r;

\set VERBOSITY terse
SELECT rows FROM sst2_estimate('reviews', 'body', 'none-12345678');
\set VERBOSITY default

-- a sample of a larger table; rows as the planner estimates them, scaled by the table's present size
CREATE TABLE large (body text) WITH (autovacuum_enabled = off, fillfactor = 30);
INSERT INTO large SELECT 'film' FROM generate_series(1, 250000) i;
SELECT abs(rows / 250000.0 - 1) < 0.3 AS rows FROM sst2_estimate('large', 'body');
ANALYZE large;
INSERT INTO large SELECT 'film' FROM generate_series(1, 50000) i;
SELECT abs(rows / 300000.0 - 1) < 0.01 AS rows FROM sst2_estimate('large', 'body');
INSERT INTO large SELECT repeat('long ', 300) FROM generate_series(1, 4000) i;  -- a block each, which the planner takes for more
SELECT abs(rows / 304000.0 - 1) < 0.2 AS rows FROM sst2_estimate('large', 'body');

-- workers of a parallel plan share the work
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET max_parallel_workers_per_gather = 1;
ALTER TABLE large SET (parallel_workers = 1);
SELECT round((hours_one_core / hours_parallel)::numeric, 1) IN (1, 2) AS processes FROM sst2_estimate('large', 'body');
RESET min_parallel_table_scan_size;
RESET parallel_setup_cost;
RESET max_parallel_workers_per_gather;

-- partitions and children are included
CREATE TABLE parts (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (100) TO (1000);
INSERT INTO parts SELECT i, 'film ' || i FROM generate_series(0, 499) i;
CREATE TABLE parent (body text);
CREATE TABLE child () INHERITS (parent);
INSERT INTO parent VALUES ('one');
INSERT INTO child VALUES ('two'), ('three');
SELECT p.rows, i.rows FROM sst2_estimate('parts', 'body') p, sst2_estimate('parent', 'body') i;
ANALYZE parts, parent, child;
SELECT p.rows, i.rows FROM sst2_estimate('parts', 'body') p, sst2_estimate('parent', 'body') i;
CREATE MATERIALIZED VIEW stored AS SELECT 'fine' AS body;
SELECT rows, mean_tokens FROM sst2_estimate('stored', 'body');

-- no rows, no texts
CREATE TABLE empty (body text);
SELECT * FROM sst2_estimate('empty', 'body');
INSERT INTO empty VALUES (NULL);
SELECT * FROM sst2_estimate('empty', 'body');
SELECT * FROM sst2_estimate(NULL, 'body');

-- one text is timed, and again when the session knows its answer; a thousand equal ones take no more passes
UPDATE empty SET body = 'fine';
SELECT rows, ms_per_text > 0 AS timed FROM sst2_estimate('empty', 'body');
INSERT INTO empty SELECT 'fine' FROM generate_series(1, 999);
SELECT after.tokens - before.tokens AS tokens
    FROM sst2_stats() before, LATERAL (SELECT rows FROM sst2_estimate('empty', 'body') OFFSET 0) e,
        LATERAL (SELECT * FROM sst2_stats() WHERE e.rows = 1000 OFFSET 0) after;

-- errors
CREATE VIEW labels AS SELECT body FROM reviews;
SELECT * FROM sst2_estimate('labels', 'body');
SELECT * FROM sst2_estimate('reviews_pkey', 'id');
SELECT * FROM sst2_estimate('reviews', 'text');
SELECT * FROM sst2_estimate('reviews', 'id');
SELECT * FROM sst2_estimate('reviews', 'ctid');
CREATE FOREIGN DATA WRAPPER regress_distilsst;
CREATE SERVER regress_distilsst FOREIGN DATA WRAPPER regress_distilsst;
CREATE FOREIGN TABLE parts_3 PARTITION OF parts FOR VALUES FROM (1000) TO (2000) SERVER regress_distilsst;
SELECT * FROM sst2_estimate('parts', 'body');
SELECT * FROM sst2_estimate('parts_3', 'body');
DROP FOREIGN TABLE parts_3;
DROP SERVER regress_distilsst;
DROP FOREIGN DATA WRAPPER regress_distilsst;

-- rights on this column are enough
CREATE ROLE regress_distilsst_reader;
SET ROLE regress_distilsst_reader;
SELECT rows FROM sst2_estimate('parts', 'body');
RESET ROLE;
GRANT SELECT (body) ON parts TO regress_distilsst_reader;
SET ROLE regress_distilsst_reader;
SELECT rows FROM sst2_estimate('parts', 'body');
RESET ROLE;

-- only rows that a policy shows are counted
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON parts USING (id < 20);
SET ROLE regress_distilsst_reader;
SELECT rows FROM sst2_estimate('parts', 'body');
RESET ROLE;

DROP MATERIALIZED VIEW stored;
DROP VIEW labels;
DROP TABLE reviews, large, parts, parent, child, empty;
DROP FUNCTION right_answer;
DROP ROLE regress_distilsst_reader;
