-- what the model reads

SELECT sst2_tokens('The movie''s GREAT, isn''t it?');
SELECT sst2_tokens('Crème brûlée');
SELECT sst2_tokens('');
SELECT sst2_tokens('a [MASK] b[SEP]c');
SELECT sst2_tokens(repeat('x', 101));
SELECT array_length(sst2_tokens(repeat('good ', 1000)), 1), sst2_token_count(repeat('good ', 1000));

-- ids and tokens go together
SELECT array_length(sst2_tokens(t), 1) = array_length(sst2_token_ids(t), 1) AS lengths,
       array_length(sst2_token_ids(t), 1) = sst2_token_count(t) AS counted,
       sst2_logits(sst2_token_ids(t)) = sst2_logits(t) AS logits
FROM (VALUES (''), ('I love it!'), ('naïve façade'), (E'tab\tand\nline'), ('日本語 text')) v (t);

-- token ids exactly as given
SELECT sst2_logits(ARRAY[5, 6, 7]);
SELECT sst2_logits(ARRAY[5]);
SELECT sst2_logits('{}'::int[]);
SELECT sst2_logits(ARRAY[5, NULL]);
SELECT sst2_logits(ARRAY[[5, 6], [7, 8]]);
SELECT sst2_logits(ARRAY[-1]);
SELECT sst2_logits(ARRAY[5, 1000000]);
SELECT sst2_logits(array_fill(5, ARRAY[513]));
SELECT array_length(sst2_logits(array_fill(5, ARRAY[512])), 1);
