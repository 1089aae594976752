-- what this session has classified
SELECT * FROM sst2_stats();
SELECT count(sst2_label(body)) FROM (VALUES ('one'), ('two words'), ('one'), (repeat('good ', 600))) v (body);
SELECT texts, memo_hits, truncated, tokens = 3 + 4 + 512 AS tokens, batches BETWEEN 1 AND 3 AS batches, milliseconds > 0 AS took,
       abs(rows_per_second - texts * 1000 / milliseconds) < 1e-6 AS rate FROM sst2_stats();
SELECT sst2_score('one') IS NOT NULL AS again, sst2_label('one', 0.5) IS NOT NULL AS confident;
SELECT texts, memo_hits, tokens FROM sst2_stats();
-- each window of a document counts as a text, and each masked text of an explanation
SELECT windows FROM sst2_document(repeat('bad ', 600));
SELECT texts, memo_hits, truncated, tokens FROM sst2_stats();
SELECT count(*) FROM sst2_explain('a b c d');
SELECT texts, memo_hits, tokens FROM sst2_stats();
SELECT provolatile, proparallel FROM pg_proc WHERE proname = 'sst2_stats';
-- what SstBatch's workers classify counts for their leader's session
CREATE TABLE review AS SELECT 'film ' || n AS body FROM generate_series(1, 300) n;
ALTER TABLE review SET (parallel_workers = 2);
ANALYZE review;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET parallel_leader_participation = off;
SELECT texts AS before FROM sst2_stats() \gset
SELECT count(*) FROM review WHERE sst2_score(body) >= 0;
SELECT texts - :before AS counted FROM sst2_stats();
DROP TABLE review;
