-- what is filled, and what is refused; several sessions are in test/t/033_backfill.pl
SET client_min_messages = warning;  -- no word on the model that ships, nor on how it goes
CREATE TABLE reviews (id int PRIMARY KEY, body text, label text, score real, model text);
INSERT INTO reviews (id, body) SELECT i, 'film ' || i FROM generate_series(1, 100) i;
UPDATE reviews SET body = NULL WHERE id % 10 = 0;

-- which rows are due: those with a text, without an answer or with another model's
CREATE VIEW wrong AS SELECT id FROM reviews
    WHERE (label, score, model) IS DISTINCT FROM (sst2_label(body), sst2_score(body),
        CASE WHEN body IS NOT NULL THEN sst2_fingerprint() END);
SELECT count(*) FROM wrong;
CALL sst2_backfill('reviews', 'body', 'label', 'score', 'model', batch => 7);
SELECT count(*) FROM wrong;
UPDATE reviews SET label = 'mine' WHERE id = 1;
UPDATE reviews SET label = NULL WHERE id = 2;
UPDATE reviews SET score = NULL WHERE id = 3;
UPDATE reviews SET model = NULL, label = 'old' WHERE id = 4;
UPDATE reviews SET model = repeat('0', 64), label = 'old' WHERE id = 5;
CALL sst2_backfill('reviews', 'body', 'label', 'score');
SELECT id FROM wrong ORDER BY id;
CALL sst2_backfill('reviews', 'body', 'label', 'score', 'model');
SELECT id, label FROM reviews WHERE id IN (SELECT id FROM wrong);
SELECT * FROM sst2_progress;

-- only what is named
UPDATE reviews SET label = NULL, score = NULL, model = NULL;
CALL sst2_backfill('reviews', 'body', score_column => 'score', model_column => 'model', pause => '1 microsecond');
SELECT count(*) FILTER (WHERE score = sst2_score(body)) AS score, count(model) AS model, count(label) AS label FROM reviews;
CALL sst2_backfill('reviews', 'body', 'label', batch => 1);
SELECT count(*) FROM wrong;

-- names, types, composite keys
CREATE SCHEMA "Odd ""s";
CREATE DOMAIN "Odd ""s".code AS varchar(20) COLLATE "C";
CREATE TYPE "Odd ""s".kind AS ENUM ('z', 'a');
CREATE TABLE "Odd ""s".";Odd' ""t" ("select" "Odd ""s".code, "K""ind" "Odd ""s".kind, at timestamptz,
    n numeric, "Te xt" varchar(50), "La""bel" char(12), score numeric, PRIMARY KEY ("K""ind", "select", at, n));
INSERT INTO "Odd ""s".";Odd' ""t"
    SELECT 'x' || i % 7, (ARRAY['z', 'a'])[1 + i % 2]::"Odd ""s".kind, timestamptz '2020-01-01' + i % 3 * interval '1 day',
        i / 3.0, 'film ' || i FROM generate_series(1, 200) i;
CALL sst2_backfill('"Odd ""s".";Odd'' ""t"', 'Te xt', 'La"bel', 'score', batch => 9);
SELECT count(*) FROM "Odd ""s".";Odd' ""t"
    WHERE "La""bel" IS DISTINCT FROM sst2_label("Te xt") OR score IS DISTINCT FROM sst2_score("Te xt")::numeric;
CREATE TABLE arrays (key int[] PRIMARY KEY, body text, label text);
INSERT INTO arrays SELECT ARRAY[i / 10, i], 'film ' || i FROM generate_series(1, 50) i;
CALL sst2_backfill('arrays', 'body', 'label', batch => 6);
SELECT count(*) FROM arrays WHERE label IS DISTINCT FROM sst2_label(body);

-- objects of the search_path are not called
CREATE SCHEMA evil;
CREATE FUNCTION evil.boom(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.boom(text, text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.count() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE OPERATOR evil.> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.boom);
CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.boom);
CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.boom);
CREATE DOMAIN evil.text AS int;
CREATE TABLE evil.sst2_answers (key1 int, label text, score real);
UPDATE reviews SET label = NULL;
SET search_path = evil, pg_catalog, public;
CALL public.sst2_backfill('public.reviews', 'body', 'label', 'score', 'model', batch => 30);
RESET search_path;
SELECT count(*) FROM wrong;

-- a key of a row type
CREATE TYPE pair AS (a int, b text);
CREATE TABLE pairs (a pair, b int, body text, label text, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT ROW(i % 5, 'x')::pair, i, 'film ' || i FROM generate_series(1, 40) i;
CALL sst2_backfill('pairs', 'body', 'label', batch => 3);
SELECT count(*) FROM pairs WHERE label IS DISTINCT FROM sst2_label(body);

-- partitions through their parent; a table alone, without its children
CREATE TABLE parts (id int, day date, body text, label text, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2020-02-01') TO ('2020-03-01') PARTITION BY HASH (id);
CREATE TABLE parts_2_1 PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_2_2 PARTITION OF parts_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT i, date '2020-01-01' + i % 60, 'film ' || i FROM generate_series(1, 300) i;
CALL sst2_backfill('parts', 'body', 'label', batch => 40);
SELECT count(*) FROM parts WHERE label IS DISTINCT FROM sst2_label(body);
CREATE TABLE child () INHERITS (reviews);
INSERT INTO child (id, body) VALUES (1, 'a film');
CALL sst2_backfill('reviews', 'body', 'label');
SELECT label FROM child;
DROP TABLE child;

-- an isolation level that would not see what others commit
UPDATE reviews SET label = NULL;
SET default_transaction_isolation = 'serializable';
CALL sst2_backfill('reviews', 'body', 'label', batch => 30);
RESET default_transaction_isolation;
SELECT count(*) FROM wrong;

-- errors
BEGIN;
CALL sst2_backfill('reviews', 'body', 'label');
ROLLBACK;
CREATE FUNCTION fill() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CALL sst2_backfill('reviews', 'body', 'label'); END $$;
SELECT fill();
SET default_transaction_read_only = on;
CALL sst2_backfill('reviews', 'body', 'label');
RESET default_transaction_read_only;
CALL sst2_backfill('reviews', 'body');
CALL sst2_backfill('reviews', 'body', model_column => 'model');
CALL sst2_backfill('reviews', 'body', 'label', batch => 0);
CALL sst2_backfill('reviews', 'body', 'label', pause => '-1 s');
CALL sst2_backfill('reviews', 'body', 'label', batch => NULL);
CALL sst2_backfill('reviews', NULL, 'label');
CALL sst2_backfill('reviews', 'none', 'label');
CALL sst2_backfill('reviews', 'body', 'none');
CALL sst2_backfill('reviews', 'body', score_column => 'Sco"re');
CALL sst2_backfill('reviews', 'body', 'label', model_column => 'ctid');
CALL sst2_backfill('reviews', 'body', 'body');
CALL sst2_backfill('reviews', 'id', 'label');
CALL sst2_backfill('reviews', 'body', 'id');
CALL sst2_backfill('reviews', 'body', NULL, 'id');   -- which would round
CALL sst2_backfill('wrong', 'id', 'id');
ALTER TABLE reviews ADD generated text GENERATED ALWAYS AS (sst2_label(body)) STORED;
CALL sst2_backfill('reviews', 'body', 'generated');
CREATE TABLE no_key (body text, label text);
CALL sst2_backfill('no_key', 'body', 'label');

-- no endless loop where a trigger discards the answers
CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.label := NULL; RETURN new; END';
CREATE TRIGGER forget BEFORE UPDATE ON pairs FOR EACH ROW EXECUTE FUNCTION forget();
UPDATE pairs SET label = NULL;
CALL sst2_backfill('pairs', 'body', 'label', batch => 10);
CREATE OR REPLACE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CALL sst2_backfill('pairs', 'body', 'label', batch => 10);

-- progress shows a stopped backfill, but nothing of a dropped role or table
SELECT relation, role = current_user::regrole AS mine, running, done, estimated_total, estimated_end,
    fingerprint = sst2_fingerprint() AS model
FROM sst2_progress;
CREATE TABLE stopped AS TABLE sst2_backfills;
UPDATE sst2_backfills SET role = 1;
SELECT count(*) FROM sst2_progress;
CALL sst2_backfill('reviews', 'body', 'label');
SELECT count(*) FROM sst2_backfills;
INSERT INTO sst2_backfills TABLE stopped;
DROP TABLE pairs, stopped;
SELECT count(*) FROM sst2_progress;
CALL sst2_backfill('reviews', 'body', 'label');
SELECT count(*) FROM sst2_backfills;

DROP VIEW wrong;
DROP TABLE reviews, arrays, parts, no_key;
DROP TYPE pair;
DROP FUNCTION forget, fill;
SET client_min_messages = error;
DROP SCHEMA evil CASCADE;
DROP SCHEMA "Odd ""s" CASCADE;
