-- the model and the machine
SET distilsst.model = 'starter';

SELECT name, length(fingerprint), precision, layers > 0 AS layers, hidden > 0 AS hidden, heads > 0 AS heads,
       vocabulary > 1000 AS vocabulary, max_tokens, file ~ '/distilsst/starter\.dsst$' AS file, bytes > 1000000 AS bytes,
       isa IN ('c', 'avx2', 'avx512', 'avx512vnni', 'neon', 'neondot') AS isa
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

-- which model may be named
SET distilsst.model = '../starter';
SET distilsst.model = '';
\set VERBOSITY terse
SET distilsst.model = 'no_such_model';
SELECT sst2_label('good');
SELECT * FROM sst2_model();
SET distilsst.model = 'starter';
SELECT sst2_label('good');
\set VERBOSITY default

-- a plain user sees neither paths nor the setting, and may not choose
CREATE ROLE regress_distilsst_reader;
SET ROLE regress_distilsst_reader;
SELECT name, file FROM sst2_model();
SELECT count(*) FROM pg_settings WHERE name = 'distilsst.model';
SET distilsst.model = 'default';
SET distilsst.isa = 'c';
SELECT sst2_label('good');
RESET distilsst.isa;
RESET ROLE;
DROP ROLE regress_distilsst_reader;

-- every function is documented
SELECT p.oid::regprocedure FROM pg_proc p
WHERE p.proname LIKE 'sst2\_%' AND obj_description(p.oid, 'pg_proc') IS NULL;
SELECT p.oid::regprocedure, provolatile, proisstrict, proparallel
FROM pg_proc p WHERE p.proname LIKE 'sst2\_%' ORDER BY p.oid::regprocedure::text COLLATE "C";
