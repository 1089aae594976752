-- A small table of reviews, some of them hard: negation, irony, mixed feelings.
CREATE TABLE reviews (
    id     int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    review text NOT NULL,
    label  text GENERATED ALWAYS AS (sst2_label(review)) STORED
);

-- The column "label" fills itself.
INSERT INTO reviews (review) VALUES
    ('I love this kettle, it works very well.'),
    ('Stopped working after two days. What a waste of money.'),
    ('Not bad at all!'),
    ('The staff were not friendly and the room was not clean.'),
    ('The plot is thin, but the acting is wonderful.'),
    ('Great sound, terrible battery.'),
    ('I expected to hate it, and I could not put it down.'),
    ('Oh great, another update that breaks everything.'),
    ('Simply the best holiday we have ever had.'),
    ('The food was cold and our waiter ignored us.'),
    ('Does what it says. Would buy again.'),
    ('I cannot recommend this book to anyone.'),
    ('Boring, boring, boring.'),
    ('A warm, funny and very clever film.');

SELECT review, sst2_label(review), round(sst2_score(review)::numeric, 3) AS score
FROM reviews ORDER BY id;

SELECT sst2_label(review), count(*), round(avg(sst2_score(review))::numeric, 3) AS avg_score
FROM reviews GROUP BY sst2_label(review) ORDER BY 1;

INSERT INTO reviews (review) VALUES ('The new version is a pleasure to use.') RETURNING label;
