# A model replaced under running sessions: old ones keep the old, new ones get the new, and no query mixes the two.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = server_dir();
my %file = (old => made_model($dir, 'old', '1,32,2,64,16,300,2'), new => made_model($dir, 'new', '2,48,3,80,16,300,2'));
my %bytes = map { $_ => read_file($file{$_}) } keys %file;
my $path = "$dir/live.dsst";

sub replace_by { return write_file($path, $bytes{ $_[0] }) }
sub session { return SstTest::Session->new(model => $_[0] // $path) }

my $text = q(sst2_logits('a b c'));
my $unseen = q(sst2_logits('c b a'));
my $fingerprint = 'SELECT fingerprint FROM sst2_model()';

# What each of the two says, by sessions that keep to it.
my %answer = map { $_ => session($file{$_})->query("SELECT $text, $unseen") } keys %file;
my %print = map { $_ => session($file{$_})->query($fingerprint) } keys %file;
isnt($answer{old}, $answer{new}, 'two models that differ');

sub uses
{
	my ($session, $model, $name) = @_;
	is($session->query($fingerprint), $print{$model}, "$name: the fingerprint of the $model model");
	is($session->query("SELECT $text, $unseen"), $answer{$model}, "$name: its answers");
}

# --- By rename, and unlinked ---

{
	replace_by('old');
	my $old = session();
	is($old->query("SELECT $text"), (split /\|/, $answer{old})[0], 'a model is in use');
	replace_by('new');
	my $new = session();
	uses($new, 'new', 'a new session');
	uses($old, 'old', 'a session from before');
	$old->query("SET distilsst.model = '$path'");
	uses($old, 'old', 'one that sets what is set');
	$old->query("SET distilsst.model = '$file{new}'; SELECT $text; SET distilsst.model = '$path'");
	uses($old, 'new', 'one that has used another and comes back');

	unlink $path;
	uses($new, 'new', 'a session whose file is gone');
	is(session()->error("SELECT $text")->{sqlstate}, '58P01', 'which no new session finds');
}

# --- Settings that come and go ---

{
	replace_by('old');
	my $session = session();
	my $set = "SET LOCAL distilsst.model = '$file{new}'";
	uses($session, 'old', 'before');
	$session->query('BEGIN');
	$session->query($set);
	uses($session, 'new', 'SET LOCAL');
	$session->query('ROLLBACK');
	uses($session, 'old', 'ROLLBACK');
	$session->query('BEGIN; SAVEPOINT s');
	$session->query($set);
	uses($session, 'new', 'SET LOCAL behind a savepoint');
	$session->query('ROLLBACK TO s');
	uses($session, 'old', 'ROLLBACK TO');
	is($session->error('SELECT sst2_logits(ARRAY[-1])')->{sqlstate}, '22003', 'an error');
	$session->query('ROLLBACK TO s');
	uses($session, 'old', 'after an error in a subtransaction');
	$session->query('COMMIT');

	is($session->query(<<SQL), "$print{new} $print{old}", 'a function that sets it, and one that catches its errors');
CREATE FUNCTION pg_temp.with_new() RETURNS text LANGUAGE sql SET distilsst.model = '$file{new}'
	AS 'SELECT fingerprint FROM sst2_model()';
CREATE FUNCTION pg_temp.without() RETURNS text LANGUAGE plpgsql SET distilsst.model = '$dir/none.dsst' AS
	\$\$ BEGIN RETURN sst2_label('a'); END \$\$;
CREATE FUNCTION pg_temp.caught() RETURNS text LANGUAGE plpgsql AS
	\$\$ BEGIN RETURN pg_temp.without(); EXCEPTION WHEN undefined_file THEN RETURN (sst2_model()).fingerprint; END \$\$;
SELECT pg_temp.with_new() || ' ' || pg_temp.caught()
SQL
	uses($session, 'old', 'after both');
	# Call by call: a batch has its texts classified together.
	is($session->query(qq(SET distilsst.batch_size = 1; SELECT (SELECT $text), set_config('distilsst.model', '$file{new}', false) <> '', sst2_logits('a b ' || m)
			FROM unnest(ARRAY['c', 'c']) m LIMIT 1)), join('|', (split /\|/, $answer{old})[0], 't', (split /\|/, $answer{new})[0]),
		'the setting changes within a query');
	$session->query('RESET distilsst.batch_size');

	# Set, but never used: the session has not left its model.
	$session->query("SET distilsst.model = '$path'");
	uses($session, 'old', 'back');
	replace_by('new');
	$session->query("BEGIN; $set; ROLLBACK");
	uses($session, 'old', 'a SET LOCAL that nothing has used');
}

# Reading the configuration anew is no reason to leave a model.
{
	replace_by('old');
	my $boss = SstTest::Session->new;
	my $reload = sub {
		my ($work_mem, @sessions) = @_;
		$boss->query("ALTER SYSTEM SET work_mem = '$work_mem'");
		$boss->query('SELECT pg_reload_conf()');
		for my $session (@sessions)
		{
			sleep 0.02 until $session->query('SHOW work_mem') eq $work_mem;
		}
	};
	$boss->query("SELECT sst2_model(); ALTER SYSTEM SET distilsst.model = '$path'");
	$reload->('5MB', $boss);
	my $session = SstTest::Session->new;
	uses($session, 'old', 'by postgresql.conf');
	replace_by('new');
	$reload->('6MB', $boss, $session);
	uses($session, 'old', 'after a reload');
	$boss->query("ALTER SYSTEM SET distilsst.model = '$file{new}'");
	$reload->('7MB', $boss, $session);
	uses($session, 'new', 'after a reload that changes the setting');
	$boss->query('ALTER SYSTEM RESET ALL');
	$boss->query('SELECT pg_reload_conf()');
}

# --- Parallel workers ---

{
	my $boss = SstTest::Session->new;
	$boss->query('CREATE TABLE sst_test_texts AS SELECT chr(97 + i % 26) || chr(97 + i / 26) AS body '
		  . 'FROM generate_series(0, 259) i; ALTER TABLE sst_test_texts SET (parallel_workers = 2); ANALYZE sst_test_texts');
	my $parallel = 'SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
		SET max_parallel_workers_per_gather = %d; SET parallel_leader_participation = %s';
	my $scan = 'SELECT sum(sst2_score(body)::numeric) FROM sst_test_texts';
	my %sum = map { $_ => session($file{$_})->query($scan) } keys %file;

	for my $leader ('off', 'on')
	{
		replace_by('old');
		my $session = session();
		$session->query(sprintf $parallel, 2, $leader);
		like($session->query("EXPLAIN (COSTS OFF) $scan"), qr/Gather\n\s+Workers Planned: 2\n\s+->  Partial Aggregate/, 'the planner wants workers');
		is($session->query($scan), $sum{old}, 'workers answer as their leader');
		uses($session, 'old', 'the leader');
		replace_by('new');
		my $said = $session->try($scan);
		# A leader that takes part may have read the table before a worker has started.
		next if $leader eq 'on' && !$said->{error} && $said->{out} eq $sum{old};
		error_is($said->{error}, '55000', 'sentiment model "live.dsst" has been replaced since this session opened it',
			'A parallel worker would use the new model, and the session the old one.',
			'Connect anew to use the new model, or set max_parallel_workers_per_gather to 0 to go on with the old one.',
			"a worker does not mix models, leader $leader");
		uses($session, 'old', 'the session goes on');
		$session->query('SET max_parallel_workers_per_gather = 0');
		is($session->query($scan), $sum{old}, 'and alone it scans with the old');
		$session->query(sprintf $parallel, 2, $leader);
		is($session->query("SET distilsst.model = '$file{new}'; $scan"), $sum{new}, 'workers follow a new setting');
		is($session->query("BEGIN; SET LOCAL distilsst.model = '$file{old}'; SELECT; $scan; ROLLBACK"), $sum{old},
			'a local one too');
		is($session->query($scan), $sum{new}, 'and its end');
		uses($session, 'new', 'the leader');
		is($session->query("SET distilsst.model = '$path'; $scan"), $sum{new}, 'and the name of the replaced file');
	}

	# The same weights packed again are the same model.
	my $session = session();
	$session->query(sprintf($parallel, 2, 'off') . "; SELECT $text");
	replace_by('new');
	is($session->query($scan), $sum{new}, 'the same model installed again is no other');
	$boss->query('DROP TABLE sst_test_texts');
}

# --- Again and again, under queries that run ---

{
	my $loop = "SELECT count(*), count(DISTINCT sst2_logits(x || 'a b c')) FROM unnest(array_fill(''::text, ARRAY[200])) x";
	my @sessions;
	my $wrong = 0;
	for my $round (1 .. 30)
	{
		my $model = $round % 2 ? 'old' : 'new';
		replace_by($model);
		push @sessions, [ session(), $model ];
		uses($sessions[-1][0], $model, "session $round");
		$_->[0]->start("$loop; SELECT $text, $unseen") for @sessions;
		replace_by($round % 3 ? 'new' : 'old');
		unlink $path if $round % 5 == 0;
		for (@sessions)
		{
			my ($running, $kept) = @$_;
			my $said = $running->finish;
			$wrong++ if $said->{error} || $said->{out} ne "200|1\n$answer{$kept}";
		}
	}
	is($wrong, 0, '30 sessions through 60 replacements: every answer is that of the model that each began with');
}

done_testing();
