# The server's model changes under running sessions, which follow at their next statement; model files are renamed over,
# unlinked and put back. No session ever gives another model's answer.

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
my %name = map { $_ => install_model($file{$_}) } keys %file;
my %print = map { $_ => (model_name($file{$_}))[1] } keys %file;

sub session { return SstTest::Session->new(@_) }
sub use_model { return server_model($name{ $_[0] }) }

my $boss = session();
my $text = q(sst2_logits('a b c'));
my %answer = map { $_ => $boss->query("SELECT sst2_logits('a b c', model => '$name{$_}')") } keys %name;
isnt($answer{old}, $answer{new}, 'two models that differ');

sub uses
{
	my ($session, $model, $name) = @_;
	is($session->query("SELECT sst2_fingerprint(), (sst2_model()).name, $text"), "$print{$model}|$name{$model}|$answer{$model}",
		"$name: the $model model");
}

# --- The setting changes ---

{
	use_model('old');
	my $session = session();
	uses($session, 'old', 'a session begins');
	use_model('new');
	uses($session, 'new', 'and follows');
	uses(session(), 'new', 'a new one');
	use_model('old');

	$session->query('BEGIN; SAVEPOINT s');
	uses($session, 'old', 'within a transaction');
	use_model('new');
	uses($session, 'new', 'the next statement of the transaction follows');
	is($session->error('SELECT sst2_logits(ARRAY[-1])')->{sqlstate}, '22003', 'an error');
	$session->query('ROLLBACK TO s');
	uses($session, 'new', 'what a transaction undoes is not the setting');
	$session->query('ROLLBACK');
	uses($session, 'new', 'nor what it rolls back');
	is($session->query('DISCARD ALL; SELECT sst2_fingerprint()'), $print{new}, 'DISCARD ALL changes nothing about models');
	is($session->query('RESET ALL; SELECT sst2_fingerprint()'), $print{new}, 'nor does RESET ALL');
}

# A statement sees one value from beginning to end, even if the setting changes in between.
{
	use_model('old');
	my $session = session();
	$session->query("SET distilsst.batch_size = 1; SELECT $text");
	$boss->query('SELECT pg_advisory_lock(10)');
	$session->start("SELECT sst2_fingerprint(), pg_advisory_lock(10) IS NULL, sst2_fingerprint(), $text; "
		  . 'SELECT sst2_fingerprint()');
	sleep 0.01 until $boss->query('SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = ' . $session->pid);
	use_model('new');
	$boss->query('SELECT pg_advisory_unlock(10)');
	is($session->finish->{out}, "$print{old}|f|$print{old}|$answer{old}\n$print{new}",
		'a statement keeps its model, the next has the new one');
}

# --- Plans hold answers ---

{
	use_model('old');
	my $session = session();
	$session->query(<<SQL);
SET plan_cache_mode = force_generic_plan;
PREPARE kept AS SELECT $text;
PREPARE given(text) AS SELECT sst2_logits(\$1);
PREPARE named AS SELECT sst2_logits('a b c', model => '$name{old}');
CREATE FUNCTION pg_temp.of_sql() RETURNS real[] LANGUAGE sql IMMUTABLE AS \$\$ SELECT $text \$\$;
CREATE FUNCTION pg_temp.of_plpgsql() RETURNS real[] LANGUAGE plpgsql AS \$\$ BEGIN RETURN $text; END \$\$;
SQL
	my %get = (
		'a prepared constant' => 'EXECUTE kept',
		'a prepared parameter' => q(EXECUTE given('a b c')),
		'a function in SQL' => 'SELECT pg_temp.of_sql()',
		'a function in PL/pgSQL' => 'SELECT pg_temp.of_plpgsql()',
	);
	for my $model ('old', 'new', 'old')
	{
		use_model($model);
		for my $what (sort keys %get)
		{
			is($session->query($get{$what}), $answer{$model}, "$what: the $model model, time $_") for 1, 2;
		}
		is($session->query('EXECUTE named'), $answer{old}, 'a prepared constant that names its model keeps to it');
	}
	like($session->query('EXPLAIN (VERBOSE, COSTS OFF) EXECUTE kept'), qr/Output: '\{[-\d.e,]+\}'::real\[\]/,
		'the plan did hold an answer');
}

# --- Files that are found by name ---

{
	use_model('old');
	my $session = session();
	my $path = models_folder() . "/$name{old}.dsst";
	my $problem = qq(sentiment model "$name{old}" cannot be used: its file holds another model, "$name{new}");
	uses($session, 'old', 'a model is in use');
	unlink $path or die $path;
	uses($session, 'old', 'unlinked: a session that has it open');
	is(session()->error("SELECT $text")->{sqlstate}, '58P01', 'no new one finds it');
	install_bytes($name{old}, $bytes{new});
	uses($session, 'old', 'another model under its name: a session that has it open');
	is(session()->error("SELECT $text")->{message}, $problem, 'no new one takes it');
	install_model($file{old});
	uses($session, 'old', 'put back');
	uses(session(), 'old', 'put back: a new session');
}

# --- Files that are named by path: what is there when a session opens it ---

{
	my $path = write_file("$dir/live.dsst", $bytes{old});
	server_model($path);
	my $old = session();
	my $logits = "SELECT sst2_fingerprint(), $text";
	is($old->query($logits), "$print{old}|$answer{old}", 'by path');
	write_file($path, $bytes{new});
	is($old->query($logits), "$print{old}|$answer{old}", 'replaced: a session that has it open');
	is(session()->query($logits), "$print{new}|$answer{new}", 'and a new one');
	configure(work_mem => $_) for '5MB', undef;
	is($old->query($logits), "$print{old}|$answer{old}", 'a reload of other settings is no reason to leave a model');
	unlink $path;
	is($old->query($logits), "$print{old}|$answer{old}", 'unlinked: a session that has it open');
	is(session()->error("SELECT $text")->{sqlstate}, '58P01', 'and a new one');
}

# --- Parallel workers ---

{
	$boss->query('CREATE TABLE sst_test_texts AS SELECT chr(97 + i % 26) || chr(97 + i / 26) AS body '
		  . 'FROM generate_series(0, 259) i; ALTER TABLE sst_test_texts SET (parallel_workers = 2); ANALYZE sst_test_texts');
	my $scan = 'SELECT sum(sst2_score(body)::numeric) FROM sst_test_texts';
	my %sum = map { $_ => $boss->query("SELECT sum(sst2_score(body, '$name{$_}')::numeric) FROM sst_test_texts") } keys %name;
	isnt($sum{old}, $sum{new}, 'two models that differ in the sum');
	for my $leader ('off', 'on')
	{
		use_model('old');
		my $session = session();
		$session->query("$PARALLEL SET parallel_leader_participation = $leader; PREPARE scan AS $scan");
		like($session->query("EXPLAIN (COSTS OFF) $scan"), qr/Gather\n\s+Workers Planned: 2\n\s+->  Partial Aggregate/,
			'the planner wants workers');
		for my $model ('old', 'new', 'old')
		{
			use_model($model);
			is($session->query($scan), $sum{$model}, "workers have the $model model, leader $leader");
			is($session->query('EXECUTE scan'), $sum{$model}, 'prepared, too');
		}
	}
	$boss->query('DROP TABLE sst_test_texts');
}

# --- Many changes under running queries ---

{
	my $loop = "SELECT count(*), count(DISTINCT sst2_logits(x || 'a b c')), min(sst2_logits(x || 'a b c')) "
	  . "FROM unnest(array_fill(''::text, ARRAY[200])) x";
	my %known = map { ("200|1|$answer{$_}" => 1) } keys %answer;
	my @sessions = map { session() } 1 .. 10;
	my $wrong = 0;
	for my $round (1 .. 30)
	{
		$_->start("$loop; $loop") for @sessions;
		my $model = $round % 2 ? 'new' : 'old';
		use_model($model);
		for my $session (@sessions)
		{
			my $said = $session->finish;
			$wrong += grep { !$known{$_} } $said->{error} || split /\n/, $said->{out};
			$wrong++ if $session->query("SELECT $text") ne $answer{$model};
		}
	}
	is($wrong, 0, '10 sessions through 30 changes: a query has one model, and the next the new one');
}

done_testing();
