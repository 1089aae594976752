-- texts longer than the model reads, and labels that may be withheld

-- Texts of that many words. A word has one or more pieces, and a text's ids are its words' ids in order.
SELECT (sst2_token_ids(''))[1] AS cls, (sst2_token_ids(''))[2] AS sep, max_tokens - 2 AS room FROM sst2_model() \gset
CREATE TABLE word AS SELECT n, (sst2_token_ids(word))[2:cardinality(sst2_token_ids(word)) - 1] AS ids, word
FROM generate_series(1, 3000) n,
     format('%s',
            ('{good,bad,awful,the,unforgettable,film,?,wonderful,was,not,naïve}'::text[])[1 + (hashint4(n) & 1023) % 11]) word;
CREATE TABLE document AS
SELECT words, coalesce(string_agg(word, ' ' ORDER BY n), '') AS body,
       coalesce((SELECT array_agg(id ORDER BY n, i) FROM word, unnest(ids) WITH ORDINALITY u (id, i) WHERE n <= words),
                '{}') AS ids
FROM unnest('{0,1,20,400,600,1300,3000}'::int[]) words LEFT JOIN word ON n <= words GROUP BY words
UNION ALL       -- as many pieces as fill one, two, three windows, and one more
SELECT pieces, rtrim(repeat('good bad ', pieces / 2) || CASE pieces % 2 WHEN 1 THEN 'good' ELSE '' END),
       (SELECT array_agg(CASE n % 2 WHEN 1 THEN (sst2_token_ids('good'))[2] ELSE (sst2_token_ids('bad'))[2] END ORDER BY n)
        FROM generate_series(1, pieces) n)
FROM unnest('{509,510,511,956,957,1402,1403}'::int[]) pieces;
SELECT bool_and(sst2_token_count(body) = cardinality(ids) + 2) AS counts FROM document;

-- one pass: what sst2_classify() gives, by every method
SELECT method, count(*), bool_and((d.label, d.score, d.tokens, d.windows, d.lowest, d.highest) =
                                  (c.label, c.score, c.tokens, 1, c.score, c.score)) AS same
FROM document, unnest('{windows,head,head+tail}'::text[]) method, sst2_document(body, method) d, sst2_classify(body) c
WHERE cardinality(ids) <= :room OR method = 'head'
GROUP BY method ORDER BY method;

-- beginning and end, in one pass
SELECT words, d.windows, d.tokens,
       abs(ln(d.score / (1 - d.score)) - abs(l[2] - l[1])) < 1e-4 AND d.lowest = d.score AND d.highest = d.score AS same
FROM document, sst2_document(body, 'head+tail') d,
     sst2_logits(:cls || ids[:128] || ids[cardinality(ids) - 381:] || :sep) l
WHERE cardinality(ids) > :room ORDER BY words;

-- windows of equal size, at most 510 pieces; neighbours share 64
CREATE TABLE part AS
SELECT words, i, windows, from_piece, to_piece, to_piece - from_piece - CASE i WHEN 0 THEN 0 ELSE 64 END AS fresh,
       sst2_logits(:cls || ids[from_piece + 1:to_piece] || :sep) AS logits
FROM document, LATERAL (SELECT cardinality(ids) - 64 AS strides, ceil((cardinality(ids) - 64) / 446.0)::int AS windows) w,
     generate_series(0, windows - 1) i,
     LATERAL (SELECT i * strides / windows AS from_piece, (i + 1) * strides / windows + 64 AS to_piece) p
WHERE cardinality(ids) > :room;
SELECT words, d.windows,
       d.windows = p.windows AND d.tokens = cardinality(ids) + 2 AND longest <= :room AND longest - shortest <= 1
           AND covered = cardinality(ids) AS windows_right,
       d.label = CASE WHEN margin > 0 THEN 'POSITIVE' ELSE 'NEGATIVE' END
           AND abs(ln(d.score / (1 - d.score)) - abs(margin)) < 1e-4 AS score_right,
       abs(d.lowest - CASE WHEN margin > 0 THEN low ELSE 1 - high END) < 1e-6
           AND abs(d.highest - CASE WHEN margin > 0 THEN high ELSE 1 - low END) < 1e-6 AS range_right
FROM document JOIN (
    SELECT words, max(windows) AS windows, max(to_piece - from_piece) AS longest, min(to_piece - from_piece) AS shortest,
           sum(fresh) AS covered, sum(fresh * (logits[2]::float8 - logits[1])) / sum(fresh) AS margin,
           min(1 / (1 + exp(logits[1]::float8 - logits[2]))) AS low, max(1 / (1 + exp(logits[1]::float8 - logits[2]))) AS high
    FROM part GROUP BY words) p USING (words), sst2_document(body) d
ORDER BY words;

-- the same bits however the text is stored, and by the model's name
SELECT name AS model FROM sst2_models() WHERE is_default \gset
CREATE TABLE stored (kind text, body text);
ALTER TABLE stored ALTER body SET STORAGE EXTERNAL;
INSERT INTO stored SELECT 'external', repeat(body || E'\u3000é ', 2) FROM document WHERE words = 3000;
ALTER TABLE stored ALTER body SET STORAGE EXTENDED;
INSERT INTO stored SELECT 'compressed', body || '' FROM stored;
SELECT min(octet_length(body)) > 32768 AS long, count(DISTINCT pg_column_size(body) < octet_length(body)) AS kinds FROM stored;
SELECT count(DISTINCT sst2_document(b)) AS windows, count(DISTINCT sst2_document(b, 'head+tail')) AS head_tail,
       bool_and(sst2_document(b, 'head+tail') = sst2_document(b, model => :'model', method => 'head+tail')) AS named,
       bool_and((sst2_document(b)).tokens = sst2_token_count(b)) AS all_read
FROM stored, unnest(ARRAY[body, body || '']) b;

-- NULL for NULL, but the server's model for no model; other methods are errors
SELECT sst2_document(NULL) AS of_null, sst2_document('x', NULL) AS by_null,
       sst2_document('x', 'head', NULL) = sst2_document('x') AS server;
SELECT sst2_document('x', 'Windows');
SELECT sst2_document('x', '');
\set VERBOSITY terse
SELECT sst2_document('x', model => 'none-12345678');

-- a label that must be probable enough
CREATE TABLE review AS SELECT word AS body, (sst2_classify(word)).* FROM word WHERE n <= 200;
SELECT confidence, bool_and(sst2_label(body, confidence) = CASE WHEN score >= confidence THEN label ELSE 'NEUTRAL' END) AS right
FROM review, unnest('{0,0.5,0.7,0.8,0.9,0.95,0.99,1}'::real[]) confidence GROUP BY confidence ORDER BY confidence;
SELECT bool_and(sst2_label(body, score) = label) AS just_enough FROM review;
SELECT count(*) FILTER (WHERE sst2_label(body, 0) <> label) AS at_0,
       count(*) FILTER (WHERE sst2_label(body, 1) <> 'NEUTRAL') AS at_1
FROM review;
-- a number is a confidence, an untyped literal a model
SELECT sst2_label('good', 0.5) = sst2_label('good') AS number, sst2_label('good', :'model') = sst2_label('good') AS literal,
       sst2_label('good', 1, :'model') AS both, sst2_label('good', model => :'model', confidence => 1.0) AS named,
       sst2_label('good', NULL::real) AS no_confidence, sst2_label('good', 0.5, NULL) AS no_model;
SELECT sst2_label('good', 1.001);
SELECT sst2_label('good', -0.1);
SELECT sst2_label('good', 'NaN'::real);
SELECT sst2_label('good', 0.9::float8);
SELECT sst2_label('good', 'positive');
\set VERBOSITY default

-- batched where the confidence is a valid constant; one pass for a text's label, score and confident label
CREATE FUNCTION texts_ahead(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT ' || call || ' FROM review' LOOP
        IF line ~ 'SstBatch|Text:' THEN RETURN NEXT line; END IF;
    END LOOP;
END $$;
SELECT texts_ahead('sst2_label(body, 0.9), sst2_score(body)');
SELECT texts_ahead('sst2_label(body, 0.9, ''none-12345678''), CASE WHEN score > 0.5 THEN sst2_label(body, 0.8) END');
SELECT texts_ahead('sst2_label(body, score)');
SELECT texts_ahead('sst2_label(body, 1.5)');
SELECT texts_ahead('sst2_label(body, NULL::real)');
SELECT count(*), count(*) FILTER (WHERE ahead = CASE WHEN score >= 0.9 THEN label ELSE 'NEUTRAL' END) AS right,
       count(DISTINCT ahead) > 1 AS several
FROM (SELECT sst2_label(body, 0.9) AS ahead, sst2_label(body, 0.99, :'model'), score, label FROM review) r;
SELECT sst2_label(body, 1.5) FROM review WHERE label = 'none';

DROP FUNCTION texts_ahead;
DROP TABLE word, document, part, stored, review;
