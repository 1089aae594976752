-- templates and terms
SELECT name AS model FROM sst2_models() WHERE is_default \gset
SELECT template, term, score = sst2_score(sentence) AS score, label = sst2_label(sentence) AS label
    FROM sst2_bias(ARRAY['This film was filmed in {}.', '{} and {}'], ARRAY['France', 'Curaçao', '']),
        LATERAL (SELECT replace(template, '{}', term) AS sentence) s;
SELECT a = b AS same FROM sst2_bias(ARRAY['{}'], ARRAY['good']) a, sst2_bias(ARRAY['{}'], ARRAY['good'], model => :'model') b;
SELECT count(*) FROM sst2_bias('{}'::text[], ARRAY['good']);
SELECT count(*) FROM sst2_bias(ARRAY['{}'], '{}'::text[]);
SELECT count(*) FROM sst2_bias(NULL, ARRAY['good']);

-- any dimensions, and more sentences than a batch has
SELECT count(*), bool_and(score = sst2_score('film ' || term)) AS right
    FROM sst2_bias(ARRAY[['film {}'], ['film  {}']], ARRAY(SELECT i::text FROM generate_series(1, 300) i));

-- errors
SELECT * FROM sst2_bias(ARRAY['This film was filmed in France.'], ARRAY['good']);
SELECT * FROM sst2_bias(ARRAY['{}', NULL], ARRAY['good']);
SELECT * FROM sst2_bias(ARRAY['{}'], ARRAY['good', NULL]);
\set VERBOSITY terse
SELECT * FROM sst2_bias(ARRAY['{}'], ARRAY['good'], 'none-12345678');
\set VERBOSITY default

-- countries
SELECT count(*), count(DISTINCT c), bool_and(c ~ '\S') AS named FROM sst2_countries() c;
SELECT c FROM sst2_countries() c WHERE c ~ '^(the )?United|land$|Cura' ORDER BY c COLLATE "C";
SELECT count(*), min(score) >= 0 AND max(score) <= 1 AS probabilities
    FROM sst2_bias(ARRAY['This film was filmed in {}.'], ARRAY(SELECT sst2_countries()));
