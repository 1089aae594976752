# Only the server may set distilsst.model. Set for a role, a database, a connection or a session it is refused, or an ERROR
# at use that says what to reset; it never brings another model's answer. Calls that name their model still work.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my $model = install_model(made_model($dir, 'other', '1,32,2,64,16,300,2'));
my $boss = SstTest::Session->new(model => $model);
$boss->query('DROP ROLE IF EXISTS sst_test_set; CREATE ROLE sst_test_set LOGIN SUPERUSER');
$boss->query(<<'SQL');
CREATE TABLE sst_test WITH (parallel_workers = 2) AS SELECT i AS id, 'film ' || i AS body FROM generate_series(1, 200) i;
ANALYZE sst_test;
CREATE FUNCTION sst_test_wrapper(text) RETURNS real LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000
	AS 'BEGIN RETURN public.sst2_score($1); END';
SQL
my $named = "SELECT sum(sst2_score(body, model => '$model')::numeric) FROM sst_test";
my $sum = $boss->query($named);
isnt($boss->query("SELECT sum(sst2_score(body, model => '$BUILTIN')::numeric) FROM sst_test"), $sum, 'two models that differ');

# First statements of a session that need the server's model: in the session itself or in its workers, some of which load
# the library before their leader does.
my $scan = 'SELECT sum(sst2_score(body)::numeric) FROM sst_test';
my @uses = (
	q(SELECT sst2_label('a')),
	'SELECT name FROM sst2_model()',
	'SELECT sst2_fingerprint()',
	$scan,
	"SET distilsst.batch_size = 1; $scan",
	map({ my $leader = "$PARALLEL SET parallel_leader_participation = $_;";
			("$leader $scan", "$leader SELECT sum(sst_test_wrapper(body)::numeric) FROM sst_test",
				"$leader CREATE INDEX sst_index ON sst_test (sst2_score(body))",
				"$leader CREATE INDEX sst_index ON sst_test (sst_test_wrapper(body))",
				"$leader SELECT sst2_score('a', model => '$model') IS NULL; $scan") } 'on', 'off'),
	'CREATE INDEX CONCURRENTLY sst_index ON sst_test (sst2_score(body))',
	'CREATE TABLE sst_made AS SELECT sst2_score(body) FROM sst_test',
);

sub session { return SstTest::Session->new(user => 'sst_test_set', @_) }

# Checks that a new session raises this error, and says nothing else, wherever it needs the server's model.
sub is_refused
{
	my ($name, $message, $hint) = @_;
	for my $use (@uses)
	{
		my $said = session()->try($use);
		error_is($said->{error}, '55P02', $message,
			q(The server's configuration says which model answers, since stored answers are everybody's.),
			$hint, "$name: $use");
		is(join(' ', @{ $said->{notices} }, $said->{out} =~ s/^f$//r), '', 'and nothing else is said');
		$boss->query('DROP INDEX IF EXISTS sst_index; DROP TABLE IF EXISTS sst_made');
	}
	my $said = session()->try("SET distilsst.isa = c; SELECT sst2_fingerprint('$model') IS NULL; SHOW distilsst.isa; "
		  . "$PARALLEL $named");
	is("$said->{said}$said->{out}", "f\nc\n$sum", "$name: a call that names its model answers");
	$said = session()->try(q(SELECT name, is_default, error FROM sst2_models() ORDER BY name COLLATE "C"));
	is("$said->{said}$said->{out}", join("\n", map { "$_||" } sort $BUILTIN, $model),
		'and sst2_models() lists the models, none as the default')
	  if $message =~ /is set for/;
}

sub is_reset
{
	my ($name) = @_;
	my $said = session()->try("$scan; SHOW distilsst.model");
	is("$said->{said}$said->{out}", "$sum\n$model", "$name: the server's model answers");
}

# --- For roles, databases and connections ---

my $elsewhere = 'parameter "distilsst.model" is set for a role, a database or a connection';
my %place = (
	'ALTER ROLE sst_test_set' => 'ALTER ROLE ...',
	'ALTER DATABASE postgres' => 'ALTER DATABASE ...',
	'ALTER ROLE sst_test_set IN DATABASE postgres' => 'ALTER ROLE ... IN DATABASE ...',
	'ALTER ROLE ALL' => 'ALTER ROLE ALL',
);
is_reset('in the beginning');
for my $place (sort keys %place)
{
	my $open = session();
	is($open->query($scan), $sum, 'a session is there');
	is($open->error("$place SET distilsst.model = '$BUILTIN'")->{sqlstate}, '55P02',
		"$place: refused where the library is loaded");
	session()->query("$place SET distilsst.model = '$BUILTIN'");
	is_refused($place, $elsewhere,
		"As the first statement of a session run $place{$place} RESET distilsst.model, and connect anew.");
	is($open->query("$PARALLEL SET parallel_leader_participation = off; $scan"), $sum,
		'who was there before, and has workers, goes on');
	my $misled = session();
	$misled->error($scan);
	is($misled->query('SHOW distilsst.model'), '(misplaced)', 'SHOW says that it is misplaced');
	is($misled->error("RESET distilsst.model")->{sqlstate}, '55P02', 'which the session cannot mend');
	configure(work_mem => '5MB');
	configure(work_mem => undef);
	is($misled->error($scan)->{message}, $elsewhere, 'nor a reload');

	# As the HINT says, in the first statement of a session.
	session()->query("$place RESET distilsst.model");
	is_reset("$place RESET");
}
{
	local $ENV{PGOPTIONS} = "-c distilsst.model=$BUILTIN";
	is_refused('PGOPTIONS', $elsewhere, q(Remove distilsst.model from the connection's options (PGOPTIONS) and connect anew.));
}
is_reset('without PGOPTIONS');

# The server's own value is refused there, too.
session()->query("ALTER ROLE sst_test_set SET distilsst.model = '$model'");
is(session()->error($scan)->{message}, $elsewhere, 'though the value is right');
session()->query('ALTER ROLE sst_test_set RESET ALL');
is_reset('ALTER ROLE RESET ALL');

# With the library loaded at the start of each session.
session()->query("ALTER ROLE sst_test_set SET distilsst.model = '$BUILTIN'");
configure(session_preload_libraries => 'distilsst');
is_refused('session_preload_libraries', $elsewhere,
	'As the first statement of a session run ALTER ROLE ... RESET distilsst.model, and connect anew.');
$boss->query('ALTER ROLE sst_test_set RESET ALL');
is_reset('session_preload_libraries, ALTER ROLE RESET ALL');
configure(session_preload_libraries => undef);

# --- In a session ---

my $in_session = 'parameter "distilsst.model" cannot be set in a session';
for my $set ("SET distilsst.model = '$BUILTIN'", "SELECT set_config('distilsst.model', '$BUILTIN', false) IS NULL",
	"BEGIN; SET LOCAL distilsst.model = '$BUILTIN'")
{
	for my $use (@uses)
	{
		next if $use =~ /CONCURRENTLY/ && $set =~ /BEGIN/;
		my $session = session();
		$session->query($set);
		my $said = $session->try($use);
		error_is($said->{error}, '55P02', $in_session,
			q(The server's configuration says which model answers, since stored answers are everybody's.),
			'Run RESET distilsst.model, or in a new session ALTER FUNCTION ... RESET distilsst.model where a function sets it. '
			  . 'To have another model answer, name it in the call.', "$set: $use") if $use !~ /model =>/;
		is($said->{error}{message}, $in_session, "$set: where the library is not loaded no call answers") if $use =~ /model =>/;
		is(join(' ', @{ $said->{notices} }), '', 'and nothing else is said');
		$session->query($set =~ /BEGIN/ ? 'ROLLBACK' : 'RESET distilsst.model');
		$said = $session->try($scan);
		is("$said->{said}$said->{out}", $sum, "the server's model answers after the reset");
		undef $session;
		$boss->query('DROP INDEX IF EXISTS sst_index; DROP TABLE IF EXISTS sst_made');
	}
	my $session = session();
	$session->query($scan);
	is($session->error($set)->{sqlstate}, '55P02', "$set: refused where the library is loaded");
}

# --- For a function ---

session()->query("CREATE FUNCTION sst_test_function() RETURNS text LANGUAGE plpgsql SET distilsst.model = '$BUILTIN'
	AS 'BEGIN RETURN sst2_fingerprint(); END'");
{
	my $session = session();
	is($session->error('SELECT sst_test_function()')->{message}, $in_session, 'a function that sets it, first');
	is($session->query($scan), $sum, 'a session goes on after that');
	is($session->error('SELECT sst_test_function()')->{sqlstate}, '55P02', 'and is refused what the function sets');
	session()->query('ALTER FUNCTION sst_test_function() RESET distilsst.model');
	is($session->query('SELECT sst_test_function()'), $session->query('SELECT sst2_fingerprint()'), 'until that is reset');
}

$boss->query('DROP FUNCTION sst_test_function(); DROP TABLE sst_test; DROP FUNCTION sst_test_wrapper(text); '
	  . 'DROP ROLE sst_test_set');
done_testing();
