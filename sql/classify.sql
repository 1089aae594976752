-- labels, scores and logits of one text

SELECT sst2_label('I love it!'), sst2_score('I love it!'), sst2_logits('I love it!');
SELECT sst2_label('I hate it!'), sst2_score('I hate it!'), sst2_logits('I hate it!');
SELECT * FROM sst2_classify('I love it!');
SELECT * FROM sst2_classify('I hate it!');

-- the score of a label is the softmax of its logit
SELECT text, abs(exp(l[2]::float8) / (exp(l[1]::float8) + exp(l[2]::float8)) - sst2_score(text)) < 1e-6 AS softmax,
       (l[2] > l[1]) = (sst2_label(text) = 'POSITIVE') AS label
FROM (VALUES ('good'), ('bad'), ('not good'), ('not bad'), ('')) t (text), sst2_logits(text) l;

-- NULL for NULL, but an empty text has an answer
SELECT sst2_label(NULL::text), sst2_score(NULL::text), sst2_logits(NULL::text), sst2_token_count(NULL);
SELECT sst2_label(''), sst2_score(''), (sst2_classify('')).tokens;

-- case, accents and spaces make no difference
SELECT count(DISTINCT sst2_score(text))
FROM (VALUES ('Café very good'), ('cafe  VERY good'), (E'\tCAFÉ\nvery good '), (E'cafe\u0301 very good')) t (text);

-- a text is read up to the model's last position
SELECT (c).tokens, (c).truncated, (c).score = sst2_score(repeat('good ', 510)) AS same
FROM sst2_classify(repeat('good ', 510) || 'bad bad bad') c;
SELECT (c).tokens, (c).truncated FROM sst2_classify(repeat('good ', 510)) c;
SELECT (c).tokens, (c).truncated FROM sst2_classify(repeat('good ', 511)) c;

-- where only immutable functions may stand
CREATE TABLE review (id int, body text, label text GENERATED ALWAYS AS (sst2_label(body)) STORED);
CREATE INDEX ON review (sst2_score(body));
INSERT INTO review VALUES (1, 'wonderful'), (2, 'awful'), (3, NULL);
UPDATE review SET body = 'terrible' WHERE id = 1;
SELECT id, label, sst2_score(body) < 0.5 AS negative FROM review ORDER BY id;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM review WHERE sst2_score(body) < 0.1;
RESET enable_seqscan;
DROP TABLE review;

-- cheap filters run first
CREATE TABLE review (id int, body text);
SET distilsst.batch_size = 1;       -- SstBatch would name the server's model
EXPLAIN (COSTS OFF) SELECT * FROM review WHERE sst2_label(body) = 'POSITIVE' AND id = 1 AND length(body) > 3;
DROP TABLE review;
