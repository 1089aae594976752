-- Accuracy and cost of each method of sst2_document(), on all texts of a labelled file and on those longer than the model reads.
-- The file has a header and the columns label (0, 1) and text, separated by a tab.
--
--   test/scratch psql -X -q -f bench/documents.sql <FILE
SET client_min_messages = warning;
CREATE TEMP TABLE labelled (label int, body text);
\copy labelled FROM pstdin (FORMAT csv, DELIMITER E'\t', QUOTE E'\b', HEADER)
CREATE TEMP TABLE answer (method text, is_long bool, is_right bool);
CREATE TEMP TABLE cost (method text, milliseconds float8);
ALTER TABLE labelled ADD is_long bool;
UPDATE labelled SET is_long = sst2_token_count(body) > max_tokens FROM sst2_model();
INSERT INTO answer SELECT method, false, (label = 1) = ((d).label = 'POSITIVE')
FROM (SELECT label, sst2_document(body) AS d FROM labelled WHERE NOT is_long OFFSET 0) l,
     unnest('{head,head+tail,windows}'::text[]) method;
DO $$
DECLARE
    how text;
    before float8;
BEGIN
    FOREACH how IN ARRAY '{head,head+tail,windows}'::text[] LOOP
        SELECT milliseconds INTO before FROM sst2_stats();
        INSERT INTO answer SELECT how, true, (label = 1) = ((d).label = 'POSITIVE')
        FROM (SELECT label, sst2_document(body, how) AS d FROM labelled WHERE is_long OFFSET 0) l;
        INSERT INTO cost SELECT how, milliseconds - before FROM sst2_stats();
    END LOOP;
END $$;
SELECT method, count(*) AS texts, round(100 * avg(is_right::int), 2) AS right_percent,
       count(*) FILTER (WHERE is_long) AS long_texts,
       round(100 * avg(is_right::int) FILTER (WHERE is_long), 2) AS long_right_percent,
       round((milliseconds / count(*) FILTER (WHERE is_long))::numeric, 1) AS ms_a_long_text
FROM answer JOIN cost USING (method) GROUP BY method, milliseconds ORDER BY method;
