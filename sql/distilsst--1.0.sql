-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION distilsst" to load this file. \quit

-- The cost of 100,000 is that of one forward pass in units of a cheap operator: see "Cost" in README.md.

-- labels and scores of one text

CREATE FUNCTION sst2_label(text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text) IS
'sentiment of a text: the name of its label, POSITIVE or NEGATIVE with a sentiment model';

CREATE FUNCTION sst2_score(text) RETURNS real
AS 'MODULE_PATHNAME', 'sst2_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_score(text) IS
'probability that a text is positive (label id 1), 0 to 1';

CREATE FUNCTION sst2_classify(text, OUT label text, OUT score real, OUT tokens int, OUT truncated bool)
AS 'MODULE_PATHNAME', 'sst2_classify' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_classify(text) IS
'label of a text, that label''s probability, the word pieces read ([CLS] and [SEP] included) and whether the text had more';

CREATE FUNCTION sst2_logits(text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(text) IS
'raw logits of a text, one for each label in id order';

-- the same of many texts: one ragged batch, order kept, NULL for NULL

CREATE FUNCTION sst2_label(text[]) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_label_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_label(text[]) IS
'labels of an array of texts, in its dimensions; NULL for a NULL element';

CREATE FUNCTION sst2_score(text[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_score_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_score(text[]) IS
'probabilities that the texts of an array are positive, 0 to 1, in its dimensions; NULL for a NULL element';

CREATE FUNCTION sst2_logits(text[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_logits(text[]) IS
'raw logits of an array of texts, as a last dimension of one element for each label; NULLs for a NULL element';

-- the same by another installed model, whatever distilsst.model says: for what is stored

CREATE FUNCTION sst2_label(text, model text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_label(text, text) IS
'sentiment of a text by the model of this name, as sst2_models() lists it; error if that model is not installed';

CREATE FUNCTION sst2_score(text, model text) RETURNS real
AS 'MODULE_PATHNAME', 'sst2_score' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_score(text, text) IS
'probability that a text is positive (label id 1), 0 to 1, by the model of this name';

CREATE FUNCTION sst2_classify(text, model text, OUT label text, OUT score real, OUT tokens int, OUT truncated bool)
AS 'MODULE_PATHNAME', 'sst2_classify' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_classify(text, text) IS
'label of a text by the model of this name, that label''s probability, the word pieces read and whether the text had more';

CREATE FUNCTION sst2_logits(text, model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(text, text) IS
'raw logits of a text by the model of this name, one for each label in id order';

CREATE FUNCTION sst2_label(text[], model text) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_label_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_label(text[], text) IS
'labels of an array of texts by the model of this name';

CREATE FUNCTION sst2_score(text[], model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_score_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_score(text[], text) IS
'probabilities that the texts of an array are positive, by the model of this name';

CREATE FUNCTION sst2_logits(text[], model text) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_logits(text[], text) IS
'raw logits of an array of texts by the model of this name, as a last dimension of one element for each label';

-- tokens

CREATE FUNCTION sst2_logits(int[]) RETURNS real[]
AS 'MODULE_PATHNAME', 'sst2_logits_ids' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_logits(int[]) IS
'raw logits of token ids exactly as given, no specials added; error if there are none, too many, or one is no token''s';

CREATE FUNCTION sst2_tokens(text) RETURNS text[]
AS 'MODULE_PATHNAME', 'sst2_tokens' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_tokens(text) IS
'word pieces of a text as the model reads them: [CLS] and [SEP] included, truncated as for the model';

CREATE FUNCTION sst2_token_ids(text) RETURNS int[]
AS 'MODULE_PATHNAME', 'sst2_token_ids' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_token_ids(text) IS
'ids of the word pieces that sst2_tokens gives';

CREATE FUNCTION sst2_token_count(text) RETURNS int
AS 'MODULE_PATHNAME', 'sst2_token_count' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sst2_token_count(text) IS
'number of word pieces of a whole text without truncation, [CLS] and [SEP] included';

-- the model

CREATE FUNCTION sst2_model(OUT name text, OUT fingerprint text, OUT "precision" text, OUT layers int, OUT hidden int,
    OUT heads int, OUT vocabulary int, OUT max_tokens int, OUT file text, OUT bytes bigint, OUT isa text)
AS 'MODULE_PATHNAME', 'sst2_model' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_model() IS
'the model that answers where a call names none; file is shown to superusers only; isa is the CPU family of the kernels';

CREATE FUNCTION sst2_models(OUT name text, OUT fingerprint text, OUT "precision" text, OUT layers int, OUT hidden int,
    OUT vocabulary int, OUT max_tokens int, OUT labels text[], OUT bytes bigint, OUT is_default bool, OUT error text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_models' LANGUAGE C VOLATILE STRICT PARALLEL SAFE COST 10000 ROWS 10;
COMMENT ON FUNCTION sst2_models() IS
'the models that are installed, and which one the server uses; error says why a file cannot be used';

CREATE FUNCTION sst2_fingerprint() RETURNS text
AS 'MODULE_PATHNAME', 'sst2_fingerprint' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_fingerprint() IS
'fingerprint, 64 hex digits, of the model that answers where a call names none';

CREATE FUNCTION sst2_fingerprint(model text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_fingerprint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sst2_fingerprint(text) IS
'fingerprint, 64 hex digits, of the model of this name; error if it is not installed';

CREATE FUNCTION sst2_dependents(OUT object text, OUT kind text, OUT function text, OUT model text, OUT installed bool)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_dependents' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 10000;
COMMENT ON FUNCTION sst2_dependents() IS
'what in this database is made of answers, through which function and by which model: '
'NULL where it follows the server''s model, (computed) where an expression names it';

CREATE FUNCTION sst2_selftest(OUT test text, OUT expected text, OUT got text, OUT ok bool) RETURNS SETOF record
AS 'MODULE_PATHNAME', 'sst2_selftest' LANGUAGE C STABLE STRICT PARALLEL SAFE COST 1000000;
COMMENT ON FUNCTION sst2_selftest() IS
'checks the model''s file and this machine''s answers: '
'the vectors packed with the model bit for bit and, for the official model, published outputs within 1e-5';
