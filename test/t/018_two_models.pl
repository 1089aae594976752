# Several models at once, the server's among them. Each gives its own bits: in one statement, in parallel workers, batched or
# not, in generated columns and indexes, for every role.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my @models = map {
	install_model(made_model($dir, "model$_", '1,' . (32 + 16 * $_) . ',2,64,64,300,' . ($_ == 5 ? 3 : 2)))
} 0 .. 5;
my $boss = SstTest::Session->new(model => $models[2]);
my $amcheck = $boss->query(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'));
$boss->query('CREATE EXTENSION IF NOT EXISTS amcheck') if $amcheck;

$boss->query(<<'SQL');
CREATE TABLE sst_test (id int PRIMARY KEY, body text) WITH (parallel_workers = 2, autovacuum_enabled = off);
INSERT INTO sst_test SELECT i, repeat(chr(97 + i % 26) || ' film ', 1 + i % 5) || i % 300 FROM generate_series(1, 400) i;
ANALYZE sst_test;
SQL

# --- In one statement ---

# The right answers: each model alone in a session, text by text. The checksum does not depend on the order of rows.
sub checksum { return "sum(hashtextextended(id || $_[0]::text, 0))" }
my @right = map {
	SstTest::Session->new->query("SET distilsst.batch_size = 1; SET max_parallel_workers_per_gather = 0; SELECT "
		  . checksum("sst2_logits(body, model => '$_')") . ' FROM sst_test')
} @models;
is(scalar(keys %{ { map { $_ => 1 } @right } }), 6, 'six models that differ');

my $parallel = "$PARALLEL SET parallel_leader_participation =";
my %way = (
	'alone' => 'SET max_parallel_workers_per_gather = 0',
	'in parallel' => "$parallel on",
	'in workers only' => "$parallel off",
);
sub logits { return $_[0] == 2 ? 'sst2_logits(body)' : "sst2_logits(body, model => '$models[ $_[0] ]')" }

for my $way (sort keys %way)
{
	for my $batch (1, 7, 512)
	{
		my $set = "SET distilsst.batch_size = $batch; $way{$way};";
		my $name = "$way, batches of $batch";
		# Number 2 is the server's.
		for my $which ([ 0, 1 ], [ 0, 2 ], [ 1, 0, 1 ], [ 0 .. 3 ], [ 0 .. 5 ], [ 5, 4, 3, 2, 1, 0, 5 ])
		{
			my $query = 'SELECT ' . join(', ', map { checksum(logits($_)) } @$which) . ' FROM sst_test';
			my $session = SstTest::Session->new;
			my $said = $session->try("$set $query");
			is($said->{said} . $said->{out}, join('|', @right[@$which]), "models @$which, $name");
			like($session->query("EXPLAIN $query"), qr/Gather.*\n.*\n.*Partial Aggregate/, 'in workers') if $way ne 'alone';
		}
		# The model differs from row to row, and may be NULL.
		my $said = SstTest::Session->new->try("$set SELECT count(*), count(a), bool_and(a = b) "
			  . "FROM (SELECT sst2_score(body, m) AS a, "
			  . "CASE m WHEN '$models[0]' THEN sst2_score(body, '$models[0]') "
			  . "WHEN '$models[1]' THEN sst2_score(body, '$models[1]') END AS b "
			  . "FROM (SELECT body, (ARRAY['$models[0]', NULL, '$models[1]'])[1 + id % 3] AS m FROM sst_test) s) t");
		is($said->{said} . $said->{out}, '400|266|t', "a model for each row, $name");
	}
}

# The memo of one model does not answer for another.
is($boss->query("SELECT array_agg(sst2_logits('a b c', model => m)) "
	  . "FROM unnest(ARRAY['$models[0]', '$models[1]', '$models[0]', '$models[1]']) m"),
	$boss->query("SELECT array_agg(l) FROM (VALUES (sst2_logits('a b c', '$models[0]')), (sst2_logits('a b c', '$models[1]')), "
		. "(sst2_logits('a b c', '$models[0]')), (sst2_logits('a b c', '$models[1]'))) v(l)"), 'a text in turn by two models');

# --- A cursor over two models, which are closed between its rows because others are opened ---

for my $batch (1, 8)
{
	my $session = SstTest::Session->new;
	$session->query("SET distilsst.batch_size = $batch; SELECT sst2_label('a'); BEGIN; DECLARE c CURSOR FOR
		SELECT sst2_logits(body, '$models[0]'), sst2_logits(body, '$models[1]') FROM sst_test ORDER BY id");
	my $got = '';
	for my $n (1 .. 40)
	{
		$got .= $session->query('FETCH 10 FROM c') . "\n";
		$session->query('SELECT ' . join(', ', map { "sst2_score('x', model => '$_')" } @models[ 2 .. 5 ])) if $n % 2;
		if ($n % 5 == 0)
		{
			$session->query('SAVEPOINT s');
			is($session->error("SELECT sst2_score('x', model => 'none-12345678')")->{sqlstate}, '58P01', 'an error between')
			  if $n == 5;
			$session->try("SELECT sst2_score('x', model => 'none-12345678')") if $n > 5;
			$session->query('ROLLBACK TO s');
		}
	}
	is($got, $boss->query("SELECT sst2_logits(body, '$models[0]'), sst2_logits(body, '$models[1]') FROM sst_test ORDER BY id")
		  . "\n",
		"a cursor while other models are used, batches of $batch");
}

# --- Generated columns and indexes ---

my @stored = (0, 1, 2);
$boss->query('CREATE TABLE sst_stored (id int PRIMARY KEY, body text, ' . join(', ', map {
		"score$_ real GENERATED ALWAYS AS (" . (logits($_) =~ s/logits/score/r) . ') STORED' } @stored)
	  . ') WITH (parallel_workers = 2, autovacuum_enabled = off)');
$boss->query("CREATE INDEX sst_column$_ ON sst_stored (score$_); CREATE INDEX sst_expression$_ ON sst_stored ("
	  . (logits($_) =~ s/logits/score/r) . ')') for @stored;

sub stored_is_right
{
	my ($name, @which) = @_;
	for my $i (@which)
	{
		my $session = SstTest::Session->new;
		my $expression = logits($i) =~ s/logits/score/r;
		is($session->query("SELECT count(*) FROM sst_stored WHERE score$i IS DISTINCT FROM sst2_score(body, '$models[$i]')"), 0,
			"$name: column of model $i");
		my $order = $session->query("SELECT array_agg(id ORDER BY sst2_score(body, '$models[$i]'), id) FROM sst_stored "
			  . "WHERE sst2_score(body, '$models[$i]') > 0.5");
		for my $by ("score$i", $expression)
		{
			my $query = "SELECT array_agg(id ORDER BY $by, id) FROM (SELECT * FROM sst_stored WHERE $by > 0.5 ORDER BY $by) s";
			$session->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off');
			like($session->query("EXPLAIN $query"), qr/sst_(?:column|expression)$i /, "$name: a query by $by uses the index");
			is($session->query($query), $order, 'and gives the same rows');
			$session->query('RESET ALL; SET enable_indexscan = off; SET enable_bitmapscan = off');
			is($session->query($query), $order, 'as without it');
		}
		is($session->error("SELECT bt_index_check('sst_column$i', true), bt_index_check('sst_expression$i', true)"), undef,
			'amcheck finds them right') if $amcheck;
	}
}

$boss->query('INSERT INTO sst_stored SELECT * FROM sst_test WHERE id <= 200');
stored_is_right('inserted', 0, 1, 2);
server_model($models[3]);
stored_is_right('the server has another model', 0, 1);
$boss->query('INSERT INTO sst_stored SELECT * FROM sst_test WHERE id > 200');
stored_is_right('more under that', 0, 1);
$boss->query("UPDATE sst_stored SET body = body || ' b' WHERE id % 3 = 0; DELETE FROM sst_stored WHERE id % 7 = 0; "
	  . "VACUUM sst_stored; ANALYZE sst_stored");
stored_is_right('changed', 0, 1);
SstTest::Session->new->query("$parallel off; REINDEX TABLE sst_stored");
SstTest::Session->new->query('REINDEX TABLE CONCURRENTLY sst_stored');
SstTest::Session->new->query('VACUUM FULL sst_stored');
stored_is_right('made anew', 0, 1);
server_model($models[2]);
$boss->query('UPDATE sst_stored SET body = body; REINDEX TABLE sst_stored');
stored_is_right('the server has its first model again, and what follows it is made anew', 0, 1, 2);

# --- Every role ---

{
	my $hits = 'SELECT array_agg(id ORDER BY id) FROM sst_stored WHERE sst2_score(body) > 0.5';
	my $named = "SELECT array_agg(id ORDER BY id) FROM sst_stored WHERE sst2_score(body, model => '$models[1]') > 0.5";
	my ($right, $right_named) = map { $boss->query($_) } $hits, $named;
	$boss->query('DROP ROLE IF EXISTS sst_test_bob, sst_test_eve; CREATE ROLE sst_test_bob LOGIN; '
		  . 'CREATE ROLE sst_test_eve LOGIN; GRANT SELECT ON sst_stored TO PUBLIC');
	SstTest::Session->new->query("ALTER ROLE sst_test_bob SET distilsst.model = '$models[0]'");
	for my $scan ('SET enable_seqscan = off', 'SET enable_indexscan = off; SET enable_bitmapscan = off',
		"$parallel off; SET enable_indexscan = off; SET enable_bitmapscan = off")
	{
		for my $role ('postgres', 'sst_test_eve', 'sst_test_bob')
		{
			my $session = SstTest::Session->new(user => $role);
			$session->query($scan);
			my $said = $session->try($hits);
			$said->{error} && $role =~ /bob/
			  ? is($said->{error}{message}, 'parameter "distilsst.model" is set for a role, a database or a connection',
				"$role, $scan: no answer")
			  : is($said->{out}, $right, "$role, $scan: the same rows");
			is($session->query($named), $right_named, "$role, $scan: the same by name");
		}
	}
	$boss->query('REVOKE ALL ON sst_stored FROM PUBLIC; DROP ROLE sst_test_bob, sst_test_eve');
}

$boss->query('DROP TABLE sst_test, sst_stored');
$boss->query('DROP EXTENSION IF EXISTS amcheck');
done_testing();
