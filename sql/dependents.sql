-- what in this database is made of answers, and by which model
SELECT name AS model FROM sst2_models() WHERE is_default \gset
SELECT * FROM sst2_dependents();

-- each kind, following the server's model
CREATE TABLE reviews (
    id int PRIMARY KEY, body text DEFAULT sst2_label('good'), named text,
    label text GENERATED ALWAYS AS (sst2_label(body)) STORED,
    CHECK (sst2_score(body) >= 0));
CREATE INDEX reviews_score ON reviews (sst2_score(body)) WHERE sst2_label(body) = 'POSITIVE';
CREATE STATISTICS reviews_statistics (mcv) ON id, named FROM reviews;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER reviews_trigger BEFORE INSERT ON reviews FOR EACH ROW
    WHEN (sst2_label(new.body) = 'POSITIVE') EXECUTE FUNCTION nothing();
CREATE POLICY reviews_policy ON reviews USING (sst2_score(body) > 0.1) WITH CHECK (sst2_label(body) <> '');
CREATE RULE reviews_rule AS ON INSERT TO reviews WHERE sst2_score(new.body) > 2 DO INSTEAD NOTHING;
CREATE DOMAIN happy_text AS text CONSTRAINT happy CHECK (sst2_label(value) = 'POSITIVE');
CREATE TABLE by_label (body text) PARTITION BY LIST (sst2_label(body));
CREATE VIEW labels AS SELECT id, sst2_label(body) AS label FROM reviews;
CREATE RULE labels_rule AS ON UPDATE TO labels DO INSTEAD UPDATE reviews SET body = sst2_label(new.label);
CREATE VIEW counts AS SELECT label, count(*) FROM labels GROUP BY label;
CREATE MATERIALIZED VIEW stored_counts AS SELECT * FROM counts WITH NO DATA;
SELECT * FROM sst2_dependents();
DROP MATERIALIZED VIEW stored_counts;
DROP VIEW counts, labels;
DROP TABLE by_label;
DROP DOMAIN happy_text;
DROP TABLE reviews;

-- models that are named, installed or not, or computed
CREATE TABLE reviews (id int, body text, named text);
CREATE INDEX by_server ON reviews (sst2_score(body));
CREATE INDEX by_name ON reviews (sst2_score(body, model => :'model'));
CREATE INDEX by_cast ON reviews (sst2_score(body, :'model'::varchar), (sst2_logits(ARRAY[body], model => :'model')));
ALTER TABLE reviews ADD by_column text GENERATED ALWAYS AS (sst2_label(body, named)) STORED,
    ADD by_missing text GENERATED ALWAYS AS (sst2_label(body, 'none-12345678')) STORED;
SELECT object, kind, function, replace(model, :'model', 'the model') AS model, installed FROM sst2_dependents();

-- every role may call it
CREATE ROLE regress_distilsst_reader;
SET ROLE regress_distilsst_reader;
SELECT count(*) FROM sst2_dependents();
RESET ROLE;
DROP ROLE regress_distilsst_reader;
DROP TABLE reviews;
DROP FUNCTION nothing;
