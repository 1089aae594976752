-- arrays of texts: one ragged batch, the same bits as one by one

SELECT sst2_label(ARRAY['I love it!', NULL, 'I hate it!']);
SELECT sst2_score(ARRAY['I love it!', NULL, 'I hate it!']);
SELECT sst2_logits(ARRAY['I love it!', NULL, 'I hate it!']);

-- NULL and empty arrays
SELECT sst2_label('{}'::text[]), sst2_score('{}'::text[]), sst2_logits('{}'::text[]);
SELECT sst2_label(NULL::text[]), sst2_score(NULL::text[]), sst2_logits(NULL::text[]);
SELECT sst2_label(ARRAY[NULL, NULL]::text[]), sst2_logits(ARRAY[NULL]::text[]);

-- dimensions and bounds are kept
SELECT sst2_label('[0:1][2:3]={{good,bad},{awful,great}}'::text[]);
SELECT array_dims(sst2_logits('[0:1][2:3]={{good,bad},{awful,great}}'::text[]));
SELECT sst2_logits('{{{{{{good}}}}}}'::text[]);

-- alone or in any batch: the same bits
SET distilsst.batch_size = 1;
CREATE TEMP TABLE texts AS
    SELECT i, string_agg(w.word, ' ' ORDER BY n) AS body
    FROM generate_series(1, 120) i,
         LATERAL (SELECT n, (ARRAY['good', 'bad', 'film', 'not', 'the', 'very', 'plot', 'a', 'boring', 'and'])
                             [1 + (i * n * 7 + n * n) % 10] AS word
                  FROM generate_series(1, 1 + (i * i) % 37) n) w
    GROUP BY i;
SELECT count(*), bool_and(batch = alone)
FROM (SELECT unnest(sst2_score(array_agg(body ORDER BY i))) AS batch,
             unnest(array_agg(sst2_score(body) ORDER BY i)) AS alone
      FROM texts) s;
-- repeated texts: each answer in its place
SELECT count(*), bool_and(batch = alone)
FROM (SELECT unnest(sst2_score(array_agg(body ORDER BY i % 7, i))) AS batch,
             unnest(array_agg(sst2_score(body) ORDER BY i % 7, i)) AS alone
      FROM (SELECT i, (ARRAY['good', 'bad', 'film', 'plot', 'boring'])[1 + i % 5] AS body FROM generate_series(1, 700) i) t) s;
RESET distilsst.batch_size;
