-- How faithful sst2_explain() is: what is left of the margin between the labels, and how many labels change, when the k words
-- that speak most for a text's label are masked, compared with k random words. The file has a header and the columns text and
-- label, separated by a tab.
--
--   test/scratch psql -X -q -f bench/explain.sql <../shared/train/sst2_dev.tsv
SET client_min_messages = warning;
CREATE TEMP TABLE labelled (body text, label int);
\copy labelled FROM pstdin (FORMAT csv, DELIMITER E'\t', QUOTE E'\b', HEADER)
ALTER TABLE labelled ADD id serial;
SELECT (sst2_token_ids('[MASK]'))[2] AS mask \gset
-- words with the places of their pieces, and how much they speak for the label
CREATE TEMP TABLE word AS
SELECT id, sum(pieces) OVER (PARTITION BY id ORDER BY start) + 1 AS last, pieces,
       row_number() OVER (PARTITION BY id ORDER BY weight * sign DESC, start) AS heavy,
       row_number() OVER (PARTITION BY id ORDER BY md5(id || ' ' || start)) AS random
FROM (SELECT id, e.*, cardinality(sst2_token_ids(part)) - 2 AS pieces, CASE WHEN sst2_score(body) > 0.5 THEN 1 ELSE -1 END AS sign
      FROM labelled, sst2_explain(body) e) w;
CREATE INDEX ON word (id);
CREATE TEMP TABLE masked AS
SELECT id, k, choice, sst2_logits(array_agg(CASE WHEN place IN (
        SELECT generate_series(last - pieces + 1, last) FROM word w
        WHERE w.id = l.id AND CASE choice WHEN 'heaviest' THEN heavy ELSE random END <= k) THEN :mask ELSE token END
    ORDER BY place)) AS logits
FROM labelled l, unnest('{1,2,3,5}'::int[]) k, unnest('{heaviest,random}'::text[]) choice,
     unnest(sst2_token_ids(body)) WITH ORDINALITY t (token, place)
GROUP BY id, k, choice;
SELECT k, choice,
       round(avg((whole[2] - whole[1] - logits[2] + logits[1]) * sign(whole[2] - whole[1]))::numeric, 2) AS margin_lost,
       round(avg(abs(whole[2] - whole[1]))::numeric, 2) AS of,
       round(100 * avg(((whole[2] > whole[1]) <> (logits[2] > logits[1]))::int), 1) AS labels_changed_percent
FROM masked JOIN labelled USING (id), sst2_logits(body) whole GROUP BY k, choice ORDER BY k, choice;
