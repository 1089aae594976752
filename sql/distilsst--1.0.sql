-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION distilsst" to load this file. \quit

-- COST 100000 is one forward pass, in units of a cheap operator: see "Cost" in docs/operations.md.

-- labels and scores of one text

CREATE FUNCTION sst2_label(text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text) IS
'name of a text''s most probable label: POSITIVE or NEGATIVE with a sentiment model; error if the model cannot be used';

CREATE FUNCTION sst2_score(text) RETURNS real
AS 'MODULE_PATHNAME', 'sst2_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_score(text) IS
'probability that a text is positive (label id 1), 0 to 1; error if the model cannot be used';

CREATE FUNCTION sst2_classify(text, OUT label text, OUT score real, OUT tokens int, OUT truncated bool)
AS 'MODULE_PATHNAME', 'sst2_classify' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_classify(text) IS
'a text''s most probable label, its probability (0 to 1), the number of word pieces read ([CLS] and [SEP] included) and '
'whether the text has more; error if the model cannot be used';

CREATE FUNCTION sst2_logits(text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(text) IS
'raw logits of a text, one for each label in id order; error if the model cannot be used';

-- the same for many texts, in one batch

CREATE FUNCTION sst2_label(text[]) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_label_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_label(text[]) IS
'labels of the texts of an array, in its dimensions; NULL for a NULL element; error if the model cannot be used';

CREATE FUNCTION sst2_score(text[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_score_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_score(text[]) IS
'probabilities that the texts of an array are positive, 0 to 1, in its dimensions; NULL for a NULL element; error if the '
'model cannot be used';

CREATE FUNCTION sst2_logits(text[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_logits(text[]) IS
'raw logits of the texts of an array: its dimensions and a last one with an element for each label, NULLs for a NULL text; '
'error if the model cannot be used, or the array has six dimensions';

-- the same by an installed model whatever distilsst.model says: for answers that are stored

CREATE FUNCTION sst2_label(text, model text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text, text) IS
'name of a text''s most probable label by the model of this name, as sst2_models() lists it; error if that model is not '
'installed or cannot be used';

CREATE FUNCTION sst2_score(text, model text) RETURNS real
AS 'MODULE_PATHNAME', 'sst2_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_score(text, text) IS
'probability that a text is positive (label id 1), 0 to 1, by the model of this name; error if it is not installed or cannot '
'be used';

CREATE FUNCTION sst2_classify(text, model text, OUT label text, OUT score real, OUT tokens int, OUT truncated bool)
AS 'MODULE_PATHNAME', 'sst2_classify' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_classify(text, text) IS
'a text''s most probable label by the model of this name, its probability (0 to 1), the number of word pieces read ([CLS] and '
'[SEP] included) and whether the text has more; error if it is not installed or cannot be used';

CREATE FUNCTION sst2_logits(text, model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(text, text) IS
'raw logits of a text by the model of this name, one for each label in id order; error if it is not installed or cannot be used';

CREATE FUNCTION sst2_label(text[], model text) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_label_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_label(text[], text) IS
'labels of the texts of an array by the model of this name, in its dimensions; NULL for a NULL element; error if it is not '
'installed or cannot be used';

CREATE FUNCTION sst2_score(text[], model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_score_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_score(text[], text) IS
'probabilities that the texts of an array are positive, 0 to 1, by the model of this name, in its dimensions; NULL for a NULL '
'element; error if it is not installed or cannot be used';

CREATE FUNCTION sst2_logits(text[], model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_logits(text[], text) IS
'raw logits of the texts of an array by the model of this name: its dimensions and a last one with an element for each label, '
'NULLs for a NULL text; error if it is not installed or cannot be used, or the array has six dimensions';

-- tokens

CREATE FUNCTION sst2_logits(int[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_ids' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(int[]) IS
'raw logits of token ids, exactly as given: [CLS] and [SEP] are not added; error if there are none or more than the model reads, '
'if one is NULL or not in the vocabulary, or for more than one dimension';

CREATE FUNCTION sst2_tokens(text) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_tokens' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_tokens(text) IS
'word pieces of a text that the model reads, [CLS] and [SEP] included, truncated as for the model';

CREATE FUNCTION sst2_token_ids(text) RETURNS int[]
AS 'MODULE_PATHNAME', 'sst2_token_ids' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_token_ids(text) IS
'ids of the word pieces that sst2_tokens() returns';

CREATE FUNCTION sst2_token_count(text) RETURNS int
AS 'MODULE_PATHNAME', 'sst2_token_count' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_token_count(text) IS
'number of word pieces of a whole text without truncation, [CLS] and [SEP] included';

-- the model

CREATE FUNCTION sst2_model(OUT name text, OUT fingerprint text, OUT "precision" text, OUT layers int, OUT hidden int,
    OUT heads int, OUT vocabulary int, OUT max_tokens int, OUT file text, OUT bytes bigint, OUT isa text)
AS 'MODULE_PATHNAME', 'sst2_model' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_model() IS
'the model that answers a call that names none: its shape, its size in bytes, its file (for superusers only), and isa, the CPU '
'family of the kernels; error if it cannot be used';

CREATE FUNCTION sst2_models(OUT name text, OUT fingerprint text, OUT "precision" text, OUT layers int, OUT hidden int,
    OUT vocabulary int, OUT max_tokens int, OUT labels text[], OUT bytes bigint, OUT is_default bool, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_models' LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000 ROWS 10;
COMMENT ON FUNCTION sst2_models() IS
'the installed models: is_default for the server''s; size in bytes; error is why a file cannot be used, or NULL';

CREATE FUNCTION sst2_fingerprint() RETURNS text
AS 'MODULE_PATHNAME', 'sst2_fingerprint' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_fingerprint() IS
'fingerprint, 64 hex digits, of the model that answers a call that names none; error if it cannot be used';

CREATE FUNCTION sst2_fingerprint(model text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_fingerprint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_fingerprint(text) IS
'fingerprint, 64 hex digits, of the model of this name; error if it is not installed or cannot be used';

CREATE FUNCTION sst2_dependents(OUT object text, OUT kind text, OUT function text, OUT model text, OUT installed bool)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_dependents' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION sst2_dependents() IS
'the objects of this database that are made of answers, by which function and which model: '
'NULL where it is the server''s, (computed) where an expression names it';

CREATE FUNCTION sst2_selftest(OUT test text, OUT expected text, OUT got text, OUT ok bool) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_selftest' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_selftest() IS
'checks the model''s file and this machine''s answers: '
'the vectors packed with the model bit for bit and, for the official model, published outputs within 1e-5; error if the model '
'cannot be used';

-- labels by confidence, long texts, explanations; where model has a default, NULL means the server's

CREATE FUNCTION sst2_label(text, confidence real) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label_confident' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text, real) IS
'a text''s most probable label if its probability is at least this confidence (0 to 1), or else NEUTRAL; error for another '
'confidence';

CREATE FUNCTION sst2_label(text, confidence real, model text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label_confident' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text, real, text) IS
'a text''s most probable label by the model of this name if its probability is at least this confidence (0 to 1), or else '
'NEUTRAL; error for another confidence, or if the model is not installed or cannot be used';

CREATE FUNCTION sst2_document(text, method text DEFAULT 'windows', model text DEFAULT NULL, OUT label text, OUT score real,
    OUT tokens int, OUT windows int, OUT lowest real, OUT highest real)
AS 'MODULE_PATHNAME', 'sst2_document' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 300000;
COMMENT ON FUNCTION sst2_document(text, text, text) IS
'label of a text of any length, that label''s probability, the word pieces read and two, the windows, and the label''s '
'lowest and highest probability in one: by overlapping "windows", or by "head" or "head+tail" alone; error if the method is '
'another';

CREATE FUNCTION sst2_explain(text, unit text DEFAULT 'word', model text DEFAULT NULL, OUT part text, OUT start int,
    OUT length int, OUT weight real)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_explain' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 3000000 ROWS 30;
COMMENT ON FUNCTION sst2_explain(text, text, text) IS
'what moved the score: the words or sentences ("word", "sentence") that the model reads, as substr(text, start, length), '
'and by how much the margin logit(1) - logit(0) is smaller with each masked; error if there are over 512, or the model has '
'not two labels';

-- this session

CREATE FUNCTION sst2_stats(OUT texts bigint, OUT memo_hits bigint, OUT truncated bigint, OUT tokens bigint, OUT batches bigint,
    OUT milliseconds double precision, OUT rows_per_second double precision)
AS 'MODULE_PATHNAME', 'sst2_stats' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION sst2_stats() IS
'what this session has classified: texts, those of them answered without a pass of their own and those truncated, tokens '
'and batches through the model, milliseconds there, and texts a second of these';

-- large tables

CREATE FUNCTION sst2_estimate(rel regclass, text_column name, model text DEFAULT NULL, OUT rows bigint, OUT mean_tokens real,
    OUT truncated real, OUT ms_per_text real, OUT hours_one_core real, OUT hours_parallel real)
AS 'MODULE_PATHNAME', 'sst2_estimate' LANGUAGE C VOLATILE COST 1000000;
COMMENT ON FUNCTION sst2_estimate(regclass, name, text) IS
'how long it takes to classify a column, by the server''s model or another: the planner''s rows, tokens a text and share of '
'texts truncated (0 to 1) from a sample of blocks, milliseconds a text as measured for half a second, hours on one core and '
'with the workers of a parallel plan; error if it is no column of texts of a table';

CREATE TABLE sst2_backfills (
    relation oid,
    role oid,
    columns smallint[],
    key_index oid NOT NULL,
    fingerprint text NOT NULL,
    "position" text[],
    done bigint NOT NULL,
    total bigint NOT NULL,
    bytes bigint NOT NULL,
    total_bytes bigint NOT NULL,
    started timestamptz NOT NULL,
    updated timestamptz NOT NULL,
    measured_from timestamptz NOT NULL,
    measured_done bigint NOT NULL,
    measured_bytes bigint NOT NULL,
    session_lock oid NOT NULL,
    PRIMARY KEY (relation, role, columns)
);
COMMENT ON TABLE sst2_backfills IS
'running and unfinished backfills, by table, role and columns (text, label, score, model; 0: none): what sst2_progress shows, '
'and the key up to which rows were seen; only sst2_backfill() writes it';

CREATE VIEW sst2_progress AS
    SELECT relation::regclass, role::regrole, pids, running, done, total AS estimated_total,
        ((done - measured_done)::float8 / seconds)::real AS rows_per_second, started, updated,
        -- by bytes, since long texts may come last; a batch that takes longer than we thought is about to end
        CASE WHEN running AND bytes > measured_bytes THEN greatest(clock_timestamp(), updated + (total_bytes - bytes)::float8
            / (bytes - measured_bytes)::float8 * seconds * interval '1 second') END AS estimated_end, fingerprint
    -- operators of exactly these types, which no schema of the search_path can offer before pg_catalog
    FROM (SELECT *, nullif(extract(epoch FROM updated - measured_from)::float8, 0::float8) AS seconds,
            pids[1] IS NOT NULL AS running
        FROM (SELECT *, ARRAY(SELECT l.pid FROM pg_locks l WHERE l.locktype = 'object'::text AND l.classid = b.tableoid
                AND l.objid = session_lock AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                ORDER BY l.pid) AS pids
            FROM sst2_backfills b) p) b
    -- the row of a dropped table or role goes with the next backfill
    WHERE EXISTS (SELECT FROM pg_class c WHERE c.oid = relation) AND EXISTS (SELECT FROM pg_roles r WHERE r.oid = role);
COMMENT ON VIEW sst2_progress IS
'running and unfinished backfills: table, role, the backends that work on it, whether there is one, rows filled, about how many '
'it will be, rows per second of all sessions that share it, since when, when the last batch ended, when it will be done (NULL if '
'not known or not running), fingerprint of the model';
GRANT SELECT ON sst2_progress TO PUBLIC;

CREATE PROCEDURE sst2_backfill(rel regclass, text_column name, label_column name DEFAULT NULL, score_column name DEFAULT NULL,
    model_column name DEFAULT NULL, batch int DEFAULT 1000, pause interval DEFAULT '0')
AS 'MODULE_PATHNAME', 'sst2_backfill' LANGUAGE C;
COMMENT ON PROCEDURE sst2_backfill(regclass, name, name, name, name, int, interval) IS
'fills label, score (probability that the text is positive, 0 to 1) and model (fingerprint) where one of them is NULL or the '
'fingerprint is another model''s: in the order of the primary key, one transaction a batch; resumes where it was stopped; '
'several sessions can share the work; error in a transaction block, without a primary key, for a generated column';

-- bias

CREATE FUNCTION sst2_bias(templates text[], terms text[], OUT template text, OUT term text, OUT score real, OUT label text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_bias' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_bias(text[], text[]) IS
'each template with each term in the place of its {}: score (probability that it is positive, 0 to 1) and label; error for a '
'template without {}, or a NULL';

CREATE FUNCTION sst2_bias(templates text[], terms text[], model text,
    OUT template text, OUT term text, OUT score real, OUT label text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_bias' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_bias(text[], text[], text) IS
'the same by the model of this name';

CREATE FUNCTION sst2_countries() RETURNS SETOF text
AS 'MODULE_PATHNAME', 'sst2_countries' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 249;
COMMENT ON FUNCTION sst2_countries() IS
'names of the world''s countries (ISO 3166) as they stand in a sentence, for sst2_bias()';
