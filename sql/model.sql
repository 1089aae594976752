-- the model and the machine

SELECT name ~ '^builtin-[0-9a-f]{8}$' AS name, length(fingerprint), precision,
       layers > 0 AS layers, hidden > 0 AS hidden, heads > 0 AS heads, vocabulary > 1000 AS vocabulary,
       max_tokens, file LIKE '%/distilsst/' || name || '.dsst' AS file, bytes > 1000000 AS bytes,
       isa IN ('c', 'avx2', 'avxvnni', 'avx512', 'avx512vnni', 'amxint8', 'neon', 'neondot', 'neoni8mm') AS isa
FROM sst2_model();

-- same bits with every family of kernels
SELECT test, got = expected AS same, ok FROM sst2_selftest();
SET distilsst.isa = 'avx2';
SELECT test, got = expected AS same, ok FROM sst2_selftest();
SET distilsst.isa = 'c';
SELECT test, got = expected AS same, ok FROM sst2_selftest();
SELECT isa FROM sst2_model();
SET distilsst.isa = 'mmx';
RESET distilsst.isa;

-- a call may name a model
SELECT name AS model FROM sst2_models() WHERE is_default \gset
SELECT name = (sst2_model()).name AS name, fingerprint = sst2_fingerprint() AS server_fingerprint,
       fingerprint = sst2_fingerprint(name) AS fingerprint, name ~ ('^builtin-' || left(fingerprint, 8) || '$') AS name_says_it,
       precision, layers, hidden, vocabulary, max_tokens, labels, bytes = (sst2_model()).bytes AS bytes, error
FROM sst2_models() WHERE is_default;
SELECT sst2_label(t, model => :'model') = sst2_label(t) AS label, sst2_score(t, :'model') = sst2_score(t) AS score,
       sst2_logits(t, :'model') = sst2_logits(t) AS logits, sst2_classify(t, :'model') = sst2_classify(t) AS classify,
       sst2_label(ARRAY[t, NULL], :'model') = sst2_label(ARRAY[t, NULL]) AS labels,
       sst2_score(ARRAY[t], :'model') = sst2_score(ARRAY[t]) AS scores,
       sst2_logits(ARRAY[t, NULL], model => :'model') = sst2_logits(ARRAY[t, NULL]) AS arrays
FROM (VALUES ('A warm, funny and very clever film.'), ('')) v(t);
SELECT sst2_label('good', NULL) IS NULL AS label, sst2_logits(ARRAY['good'], NULL) IS NULL AS logits,
       sst2_fingerprint(NULL) IS NULL AS fingerprint;
SELECT sst2_score('I love it', model) > 0.5 FROM (VALUES (:'model'), (NULL)) m(model);

-- not a model's name, or not installed
\set VERBOSITY terse
SELECT sst2_label('good', model => 'builtin');
SELECT sst2_label('good', '');
SELECT sst2_label('good', '../builtin-12345678');
SELECT sst2_label('good', '/etc/passwd');
SELECT sst2_label('good', 'builtin-1234567G');
SELECT sst2_label('good', 'none-12345678');
SELECT sst2_fingerprint('none-12345678');
SELECT sst2_label('good');

-- only the server may set distilsst.model
SET distilsst.model = 'builtin-12345678';
ALTER DATABASE postgres SET distilsst.model = 'builtin-12345678';
ALTER ROLE ALL SET distilsst.model = 'builtin-12345678';
CREATE FUNCTION other_model() RETURNS text LANGUAGE sql SET distilsst.model = 'builtin-12345678' AS 'SELECT 1::text';
SELECT context FROM pg_settings WHERE name = 'distilsst.model';
\set VERBOSITY default

-- a plain user sees neither paths nor the setting
CREATE ROLE regress_distilsst_reader;
SET ROLE regress_distilsst_reader;
SELECT name = :'model' AS name, file FROM sst2_model();
SELECT count(*) FROM pg_settings WHERE name = 'distilsst.model';
SET distilsst.isa = 'c';
SELECT sst2_label('good');
RESET distilsst.isa;
SELECT sst2_label('good', 'none-12345678');
RESET ROLE;
DROP ROLE regress_distilsst_reader;

-- every function is documented
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.proname LIKE 'sst2\_%' AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.oid::regprocedure, provolatile, proisstrict, proparallel
FROM pg_proc p WHERE p.proname LIKE 'sst2\_%' ORDER BY p.oid::regprocedure::text COLLATE "C";
