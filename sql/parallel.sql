-- the planner chooses parallel plans because of the functions' costs
SELECT sst2_token_count('load the library');
SET max_parallel_workers_per_gather = 2;
SET distilsst.batch_size = 1;       -- SstBatch would name the server's model

-- 20,000 reviews of the length of film reviews: 27 MB. None is classified here.
CREATE TABLE parallel_reviews (id int, review text);
INSERT INTO parallel_reviews SELECT i, i || repeat(' a fine film, and long', 55) FROM generate_series(1, 20000) i;
ANALYZE parallel_reviews;
EXPLAIN (COSTS OFF) SELECT count(*) FROM parallel_reviews WHERE sst2_label(review) = 'POSITIVE';
EXPLAIN (COSTS OFF) SELECT id, sst2_score(review) FROM parallel_reviews;

-- Cheap filters run before sst2_score(), wherever they are written.
EXPLAIN (COSTS OFF) SELECT id FROM parallel_reviews WHERE sst2_score(review) > 0.9 AND length(review) < 1220;

-- Without a costly function a parallel plan is not worth it.
EXPLAIN (COSTS OFF) SELECT id, length(review) FROM parallel_reviews;

-- Smaller tables than min_parallel_table_scan_size get workers only by their parallel_workers.
CREATE TABLE parallel_short AS SELECT id, left(review, 30) AS review FROM parallel_reviews;
ANALYZE parallel_short;
EXPLAIN (COSTS OFF) SELECT id, sst2_score(review) FROM parallel_short;
ALTER TABLE parallel_short SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT id, sst2_score(review) FROM parallel_short;

DROP TABLE parallel_reviews, parallel_short;
RESET max_parallel_workers_per_gather;
