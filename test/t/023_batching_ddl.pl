# Functions are altered and rights revoked between planning and execution: parallel workers and EvalPlanQual give the right
# answer or an error, and no backend crashes.
#
#   SST_DDL_SECONDS=60    how long the functions are altered while they run; 4 by default

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{SST_DDL_SECONDS} // 4;
my $dir = server_dir();
my $boss = SstTest::Session->new(model => made_model($dir, 'small', '1,32,2,64,64,300,2'));

$boss->query(<<'SQL');
SELECT sst2_label('load the library');
CREATE TABLE sst_d (id int PRIMARY KEY, body text, padding text, score real);
ALTER TABLE sst_d ALTER padding SET STORAGE PLAIN;
INSERT INTO sst_d SELECT n, 'text ' || n, repeat(' ', 4000) FROM generate_series(1, 60) n;
ALTER TABLE sst_d SET (parallel_workers = 2);
VACUUM ANALYZE sst_d;
CREATE ROLE sst_ddl_user LOGIN;
GRANT ALL ON sst_d TO sst_ddl_user;
CREATE FUNCTION sst_touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM FROM sst_touched; RETURN new; END';
CREATE TABLE sst_touched ();
GRANT SELECT ON sst_touched TO sst_ddl_user;
CREATE TRIGGER touch BEFORE UPDATE ON sst_d FOR EACH ROW EXECUTE FUNCTION sst_touch();
SQL

my $parallel = "$PARALLEL SELECT sst2_label('load the library')";
my $query = "SELECT count(*), sum(sst2_score(body)::numeric) FROM sst_d WHERE sst2_label(body) <> ''";
my $answer = $boss->query($query);

# Each way to alter a function, and how to undo it.
my @changes = map { ["ALTER FUNCTION sst2_label(text) $_->[0]", "ALTER FUNCTION sst2_label(text) $_->[1]"] }
  (['SET work_mem = \'64MB\'', 'RESET ALL'], ['SECURITY DEFINER', 'SECURITY INVOKER'],
	['OWNER TO sst_ddl_user', 'OWNER TO postgres'],
	['VOLATILE', 'IMMUTABLE'], ['PARALLEL UNSAFE', 'PARALLEL SAFE'], ['CALLED ON NULL INPUT', 'STRICT'],
	['RENAME TO sst2_renamed', ''],
	['COST 1', 'COST 100000']);
$_->[1] = 'ALTER FUNCTION sst2_renamed(text) RENAME TO sst2_label' for grep { $_->[0] =~ /RENAME/ } @changes;
push @changes, ['REVOKE EXECUTE ON FUNCTION sst2_label(text) FROM PUBLIC',
	'GRANT EXECUTE ON FUNCTION sst2_label(text) TO PUBLIC'];

# --- Each change between planning and the start of parallel workers ---

for my $change (@changes)
{
	my $session = SstTest::Session->new;
	$session->query($parallel);
	$boss->query('SELECT pg_advisory_lock(7)');
	$session->start("SELECT NULL, NULL FROM (SELECT pg_advisory_lock(7) OFFSET 0) l UNION ALL $query");
	sleep 0.01 until $boss->query('SELECT count(*) FROM pg_locks WHERE NOT granted');
	$boss->query("$change->[0]; SELECT pg_advisory_unlock(7)");
	my $result = $session->finish;
	$boss->query($change->[1]);
	ok($result->{alive}, "workers start after $change->[0]");
	is($result->{out}, "|\n$answer", 'the answer is right');
}

# --- Each change between planning and EvalPlanQual: it is made while row 25 is locked, before row 30 turns out to be changed ---

my ($holder, $changer) = map { SstTest::Session->new } 1 .. 2;

sub wait_until_blocked
{
	my ($session, $by) = @_;
	sleep 0.01 until $boss->query('SELECT ' . $by->pid . ' = ANY (pg_blocking_pids(' . $session->pid . '))') eq 't';
}

for my $user ('postgres', 'sst_ddl_user')
{
	for my $change (@changes)
	{
		my $session = SstTest::Session->new(user => $user);
		$session->query("SELECT sst2_label('load the library')");
		$holder->query('BEGIN; SELECT FROM sst_d WHERE id = 25 FOR UPDATE');
		$changer->query("BEGIN; UPDATE sst_d SET body = 'changed' WHERE id = 30");
		$session->start('UPDATE sst_d SET score = sst2_score(body) WHERE id BETWEEN 20 AND 40 AND sst2_label(body) <> \'\' '
			  . 'RETURNING id, score');
		wait_until_blocked($session, $holder);
		$boss->query($change->[0]);
		$holder->query('COMMIT');
		wait_until_blocked($session, $changer);
		$changer->query('COMMIT');
		my $result = $session->finish;
		$boss->query($change->[1]);
		ok($result->{alive}, "$user: EvalPlanQual after $change->[0]");
		my $changed = $boss->query("SELECT sst2_score('changed')");
		if ($result->{error}) { like($result->{error}{message}, qr/permission denied/, 'it is not permitted') }
		else { like($result->{out}, qr/^30\|\Q$changed\E$/m, 'the row has the new score') }
		$boss->query("UPDATE sst_d SET body = 'text ' || id, score = NULL");
	}
}

# --- All of them while parallel queries and updates run ---

my @users = map { SstTest::Session->new(user => 'sst_ddl_user') } 1 .. 3;
$users[0]->query($parallel);
$_->query("SELECT sst2_label('load the library')") for @users;
like($users[0]->query("EXPLAIN $query"), qr/Gather.*SstBatch/s, 'the query is parallel and batched');
my ($until, $count, $errors, @wrong) = (time + $seconds, 0, 0);
while (time < $until)
{
	my $change = $changes[ rand @changes ];
	$users[$_]->start($_ < 1 ? "$query; $query" : "UPDATE sst_d SET score = sst2_score(body) WHERE sst2_label(body) <> ''")
	  for 0 .. 2;
	$boss->query($_) for @$change, @$change;
	for my $user (@users)
	{
		my $result = $user->finish;
		$count++;
		$errors++ if $result->{error};
		my $message = $result->{error} ? $result->{error}{message} : '';
		push @wrong, "$change->[0]: $result->{out} $message"
		  if !$result->{alive} || ($message
			? $message !~ /permission denied|does not exist|tuple concurrently updated|deadlock detected/
			: $result->{out} !~ /^(?:\Q$answer\E(?:\n|\z)){0,2}\z/);
	}
}
diag "$count statements while functions were altered, $errors errors";
is("@wrong", '', 'all gave the right answer or an error that names what was changed');

# --- A cached plan follows ---

my $keeper = SstTest::Session->new(user => 'sst_ddl_user');
$keeper->query("SET plan_cache_mode = force_generic_plan; SELECT sst2_label('load the library'); PREPARE q AS $query");
is($keeper->query('EXECUTE q'), $answer, 'a kept plan');
like($keeper->query('EXPLAIN EXECUTE q'), qr/SstBatch/, 'is batched');
for my $change (@changes)
{
	$boss->query($change->[0]);
	my $result = $keeper->try('EXECUTE q');
	$boss->query($change->[1]);
	if ($change->[0] =~ /RENAME/) { like($result->{error}{message}, qr/does not exist/, 'by its name, as a function is called') }
	elsif ($change->[0] =~ /REVOKE/) { like($result->{error}{message}, qr/permission denied/, 'without the right to EXECUTE') }
	else { is($result->{out}, $answer, "after $change->[0]") }
}

$boss->query('DROP TABLE sst_d, sst_touched; DROP FUNCTION sst_touch; DROP ROLE sst_ddl_user');
done_testing();
