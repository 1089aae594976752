-- what moved a score
SELECT (sst2_token_ids('[MASK]'))[2] AS mask, name AS model FROM sst2_model() \gset
CREATE FUNCTION margin(ids int[]) RETURNS float8 LANGUAGE sql AS 'SELECT l[2]::float8 - l[1] FROM sst2_logits(ids) l';

CREATE TABLE example (name text, body text);
INSERT INTO example VALUES
    ('plain', 'This film isn''t bad, but unforgettably GOOD!'),
    ('accents', E'Cre\u0301me bru\u0302lée: naïve, e\u0301'),
    ('marks', E'\u0301a \u0301 b\u0301\u0302 !\u0301c'),
    ('emoji', E'I ❤\uFE0F it 😀👍🏽 👩\u200D💻ok'),
    ('ideographs', E'日本語good中か\u3099\u3000한국 ok'),
    ('deleted', E'\u200Bgo\u00ADod\u200B \u0007film\u0007 a\u000Bb\u0085'),
    ('specials', 'a[MASK]b [SEP] [mask]'),
    ('spaces', E'  \t\n good \r\n '),
    ('long word', repeat('x', 101) || ' y'),
    ('empty', ''),
    ('nothing', E' \u00AD\u0301 ');

-- parts are the words of the text, with their combining marks, without deleted characters around them
SELECT name, string_agg(format('%s+%s %s', e.start, e.length, left(part, 20)), ' | ' ORDER BY e.start) AS parts
FROM example LEFT JOIN LATERAL sst2_explain(body) e ON true GROUP BY name ORDER BY name COLLATE "C";
SELECT count(*), bool_and(part = substr(body, e.start, e.length)) AS substr FROM example, sst2_explain(body) e;
SELECT count(*), bool_and(part = substr(body, e.start, e.length)) AS substr FROM example, sst2_explain(body, 'sentence') e;

-- The weights, computed from token ids: a part alone has the pieces that it has in the text.
INSERT INTO example SELECT 'truncated', repeat(repeat('good, bad, unforgettable, naïve ', 10) || 'film. ', 10);
WITH part AS (
    SELECT name, unit, ids, e.weight, ordinality,
           cardinality(sst2_token_ids(part)) - 2 AS pieces,
           sum(cardinality(sst2_token_ids(part)) - 2) OVER (PARTITION BY name, unit ORDER BY e.start) AS last
    FROM example, sst2_token_ids(body) ids, unnest('{word,sentence}'::text[]) unit,
         sst2_explain(body, unit) WITH ORDINALITY e
    WHERE name <> 'truncated' OR unit = 'sentence'
), masked AS (
    SELECT *, ids[1:last - pieces + 1] || array_fill(:mask, ARRAY[pieces]) || ids[last + 2:] AS masked FROM part
)
SELECT unit, count(*) > 12 AS many, bool_and(weight = (margin(ids) - margin(masked))::real) AS right,
       count(*) FILTER (WHERE weight <> 0) > 5 AS some
FROM masked GROUP BY unit ORDER BY unit;

-- only the part of the text that the model reads
SELECT sum(cardinality(sst2_token_ids(part)) - 2) AS pieces, max(e.start + e.length) < max(length(body)) AS truncated
FROM example, sst2_explain(body, 'sentence') e WHERE name = 'truncated';

-- sentences
SELECT n, e.start, part
FROM unnest(ARRAY['Good. Bad! Why? Well… then.', 'It cost 3.5 dollars at shop.com... "Really?" (Yes.) No',
                  E'one\ntwo\r\nthree.\n\n four',
                  '好吃。太贵了！为什么？「不。」行', 'Stop!!! ?! ok', '"Never." Mr. X said.', ' . ', 'no end']) WITH ORDINALITY t (body, n),
     sst2_explain(body, 'sentence') e
ORDER BY n, e.start;

-- by the model's name; nothing for NULL, and the server's model for no model
SELECT array_agg(e) = (SELECT array_agg(f) FROM sst2_explain('not bad', model => :'model') f) AS named,
       array_agg(e) = (SELECT array_agg(f) FROM sst2_explain('not bad', 'word', NULL) f) AS server
FROM sst2_explain('not bad') e;
SELECT count(*) FROM sst2_explain(NULL);
SELECT count(*) FROM sst2_explain('a', NULL);
SELECT sst2_explain('a', 'letter');
\set VERBOSITY terse
SELECT sst2_explain('a', model => 'none-12345678');
\set VERBOSITY default
SELECT count(*) FROM (SELECT sst2_explain('a b')) e;

DROP TABLE example;
DROP FUNCTION margin;
