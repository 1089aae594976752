# A text that a query needs in several places is classified once, in parallel workers where they scan its table. Plans from
# before the library was loaded are dropped.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(sum);
use SstTest;
use Test::More;

my $ROWS = 300;      # more texts than a session remembers
my $MANY = 20000;

my $dir = server_dir();
my $session = SstTest::Session->new(model => made_model($dir, 'small', '1,32,2,64,64,300,2'));

$session->query(<<"SQL");
SELECT sst2_label('load the library');
CREATE TABLE sst_r (id int PRIMARY KEY, product int, review text, label text, score real, model text);
INSERT INTO sst_r (id, product, review) SELECT n, n % 7, 'text ' || n FROM generate_series(1, $ROWS) n;
CREATE VIEW sst_v AS SELECT *, sst2_label(review) AS feeling, sst2_score(review) AS liking FROM sst_r;
CREATE TABLE sst_many AS SELECT n AS id, n % 7 AS product, date '2026-01-01' + n % 700 AS day, 'text ' || n AS review
	FROM generate_series(1, $MANY) n;
VACUUM ANALYZE sst_r, sst_many;
SET max_parallel_workers_per_gather = 0;
SQL

sub analyze
{
	my ($query) = @_;
	return $session->query("BEGIN; EXPLAIN (ANALYZE, COSTS OFF, VERBOSE, TIMING OFF, SUMMARY OFF) $query; ROLLBACK");
}

# --- Once each ---

for my $query (
	'SELECT sst2_label(review), count(*), avg(sst2_score(review)) FROM sst_r GROUP BY 1',
	'SELECT sst2_label(review), count(*), avg(sst2_score(review)) FROM sst_r GROUP BY 1 ORDER BY 2',
	'SELECT product, avg(sst2_score(review)), count(*) FILTER (WHERE sst2_label(review) = \'POSITIVE\') FROM sst_r '
	  . 'GROUP BY product',
	'SELECT product, avg((sst2_label(review) = \'POSITIVE\')::int), max(sst2_score(review)) FROM sst_r GROUP BY ROLLUP (product)',
	'SELECT width_bucket(sst2_score(review), 0, 1, 10) AS bucket, sst2_label(review), count(*) FROM sst_r GROUP BY 1, 2 '
	  . 'ORDER BY 1',
	'SELECT feeling, count(*), avg(liking) FROM sst_v GROUP BY feeling HAVING min(liking) >= 0',
	'SELECT feeling, count(*) FROM sst_v WHERE liking >= 0 GROUP BY 1',
	'SELECT id, sst2_label(review) FROM sst_r ORDER BY sst2_score(review) LIMIT 10',
	'SELECT id, sst2_label(review), sst2_score(review) FROM sst_r ORDER BY sst2_score(review) DESC, id LIMIT 10 OFFSET 5',
	'SELECT id, sst2_label(review), random() FROM sst_r ORDER BY sst2_score(review) LIMIT 10',
	'SELECT DISTINCT ON (sst2_label(review)) id, sst2_label(review), sst2_score(review) FROM sst_r '
	  . 'ORDER BY sst2_label(review), sst2_score(review)',
	'SELECT (sst2_classify(review)).*, sst2_logits(review), sst2_score(review) FROM sst_r WHERE sst2_label(review) <> \'x\'',
	'SELECT sst2_label(review), rank() OVER (ORDER BY sst2_score(review)) FROM sst_r',
	'SELECT id, sst2_label(review), sum(sst2_score(review)) OVER (ORDER BY id) FROM sst_r',
	'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY sst2_score(review)), string_agg(sst2_label(review), \',\' ORDER BY id) '
	  . 'FROM sst_r',
	'UPDATE sst_r SET label = sst2_label(review), score = sst2_score(review)',
	'UPDATE sst_r SET (label, score) = (sst2_label(review), sst2_score(review)) WHERE sst2_score(review) >= 0 RETURNING id',
	'INSERT INTO sst_r (id, label, score) SELECT id + 1000, sst2_label(review), sst2_score(review) FROM sst_r',
	'DELETE FROM sst_r WHERE sst2_label(review) = \'x\' OR sst2_score(review) > 2',
	'CREATE TABLE sst_made AS SELECT id, sst2_label(review), sst2_score(review) FROM sst_r')
{
	my $plan = analyze($query);
	my $distinct = 0;
	$distinct += $_ for $plan =~ /Distinct Texts: (\d+)/g;
	is($distinct, $ROWS, "once: $query") or diag $plan;
	unlike($plan =~ s/\(sst2_\w+\([^()]*\)\)//gr, qr/sst2_/, 'all calls are columns of SstBatch');
}
like(analyze('SELECT id, sst2_label(review) FROM sst_r ORDER BY id LIMIT 10'), qr/Texts Classified: 10\b/,
	'ten for a LIMIT of ten');
like(analyze('SELECT id, sst2_label(review) FROM sst_r ORDER BY product LIMIT 10'), qr/Texts Classified: 10\b/,
	'after a sort as well');
like(analyze("SELECT product, count(*) FILTER (WHERE sst2_label(review) = 'x') FROM sst_r WHERE id < 11 GROUP BY product"),
	qr/Texts Classified: 10\b/, 'ten where a filter lets so many through');

# --- At the parallel scan ---

$session->query("$PARALLEL SET parallel_leader_participation = off; SET jit = off");
for my $query (
	'SELECT product, date_trunc(\'week\', day), avg((sst2_label(review) = \'POSITIVE\')::int) FROM sst_many GROUP BY 1, 2',
	'SELECT sst2_label(review), count(*), avg(sst2_score(review)) FROM sst_many GROUP BY 1',
	'SELECT id, sst2_label(review), random() FROM sst_many ORDER BY product, id',
	'SELECT sst2_label(review), random() FROM sst_many',
	'SELECT product, string_agg(sst2_label(review), \'\' ORDER BY id) FROM sst_many GROUP BY product')
{
	my $plan = analyze($query);
	my ($batch) = $plan =~ /(Parallel Custom Scan \(SstBatch\).*)/s or diag $plan;
	like($plan, qr/Gather.*Parallel Custom Scan \(SstBatch\)/s, "below Gather: $query");
	my ($distinct) = $plan =~ /Distinct Texts: (\d+)/;
	is($distinct, $MANY, 'each row once');
	# A machine with other work may start one worker when the other has done all.
	my ($node) = ($batch // '') =~ /^(.*?)(?:->|\z)/s;
	is(sum($node =~ /Worker \d: +actual rows=(\d+)/g), $MANY, 'by one worker or the other');
	unlike($batch, qr/Sort/, 'before rows are sorted');
}
$session->query('SET max_parallel_workers_per_gather = 0');

# --- Plans from before the library was loaded ---

my $new = SstTest::Session->new;
$new->query('SET plan_cache_mode = force_generic_plan; PREPARE q AS SELECT sst2_label(review) FROM sst_r WHERE id < 0');
unlike($new->query('EXPLAIN EXECUTE q'), qr/SstBatch/,
	'the first statement of a session is planned before the library is loaded');
$new->query('LOAD \'distilsst\'');
like($new->query('EXPLAIN EXECUTE q'), qr/SstBatch/, 'but its plan does not stay');

SKIP:
{
	skip 'pg_backend_memory_contexts is of PostgreSQL 14', 1 if $session->query('SHOW server_version_num') < 140000;
	my $loop = SstTest::Session->new->try(<<'SQL');
DO $$
DECLARE r record; contexts int;
BEGIN
	FOR i IN 1 .. 3 LOOP
		FOR r IN SELECT sst2_label(review) FROM sst_r LOOP
			SELECT count(*) INTO contexts FROM pg_backend_memory_contexts WHERE name = 'SstBatch';
			EXIT;
		END LOOP;
		RAISE NOTICE '%', contexts;
	END LOOP;
END $$
SQL
	is("@{ $loop->{notices} }", '0 1 1', 'a loop of PL/pgSQL is batched from its second time on') or diag $loop->{said};
}

$session->query('DROP VIEW sst_v; DROP TABLE sst_r, sst_many');
done_testing();
