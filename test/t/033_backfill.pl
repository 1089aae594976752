# sst2_backfill(): several sessions at once, rows that others lock, what a cancel and kill -9 leave, roles and policies.
# A trigger records each row that is filled: none twice. A long pause holds a session between two batches.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $boss = SstTest::Session->new;
$boss->query(<<'SQL');
SET client_min_messages = warning;
CREATE TABLE filled (id int, by int DEFAULT pg_backend_pid());
GRANT INSERT ON filled TO PUBLIC;
CREATE FUNCTION record() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO public.filled VALUES (new.id); RETURN NULL; END';
CREATE ROLE sst_test_plain LOGIN;
CREATE ROLE sst_test_other LOGIN;
SQL

# A table of that many rows, none filled.
sub make_table
{
	my ($rows) = @_;
	$boss->query(<<"SQL");
DROP TABLE IF EXISTS reviews;
TRUNCATE filled;
CREATE TABLE reviews (id int PRIMARY KEY, tenant int, body text, label text, score real, model text);
INSERT INTO reviews SELECT i, i % 2, 'film ' || i FROM generate_series(1, $rows) i;
CREATE TRIGGER record AFTER UPDATE OF label, score ON reviews FOR EACH ROW EXECUTE FUNCTION record();
SQL
	return;
}

sub number { return $boss->query("SELECT count(*) FROM $_[0]") }
sub right_is { is(number('reviews WHERE label = sst2_label(body)'), $_[0], $_[1]); return }
sub once { is(number('(SELECT FROM filled GROUP BY id HAVING count(*) > 1) s'), 0, 'none of them twice'); return }
sub wait_until { my ($condition) = @_; sleep 0.01 until $boss->query("SELECT $condition") eq 't'; return }
sub filled_by { my ($result) = @_; return ($result->{said} =~ /sst2_backfill: (\d+) rows filled/)[0] }

# Starts a backfill that stops for an hour after its first batch, and waits until it does.
sub start_and_pause
{
	my ($session, $batch, $arguments) = @_;
	$session->query('SELECT 1');
	$session->start("CALL sst2_backfill('reviews', 'body', 'label', batch => $batch, pause => '1 hour'"
		  . ($arguments // '') . ')');
	my $pid = $session->pid;
	wait_until("EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid AND wait_event = 'PgSleep')");
	return;
}

# --- The first statement of a session, by psql's protocol and inside a client's transaction ---

make_table(50);
my $first = SstTest::Session->new->try(q(CALL sst2_backfill('reviews', 'body', 'label')));
is(filled_by($first), 50, 'the first statement of a session fills all');
right_is(50, 'rightly');
error_is(SstTest::Session->new->error(q(BEGIN; CALL sst2_backfill('reviews', 'body', 'label'))), '25001',
	'sst2_backfill cannot run inside a transaction block', 'It commits after each batch, which needs autocommit.',
	'Call it by itself, with autocommit on: autocommit=True in psycopg, isolation_level="AUTOCOMMIT" in SQLAlchemy.',
	'inside a transaction block, as psycopg begins one');

# --- Rows that another session holds ---

{
	make_table(100);
	my ($holder, $session) = (SstTest::Session->new, SstTest::Session->new);
	$holder->query('BEGIN; SELECT FROM reviews WHERE id IN (1, 34, 35, 100) FOR UPDATE');
	$session->start(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 10)));
	wait_until("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = ${\ $session->pid})");
	right_is(96, 'while rows are held, all others are filled');
	is($boss->query('SELECT done, pids, pg_blocking_pids(pids[1]) FROM sst2_progress'),
		"96|{${\ $session->pid}}|{${\ $holder->pid}}", 'as sst2_progress says, and which backend waits for which');
	$boss->query(q(SET lock_timeout = '10s'; UPDATE reviews SET tenant = 7 WHERE id NOT IN (1, 34, 35, 100); RESET lock_timeout));
	pass('and none is locked by the backfill while it waits');
	$holder->query(q(UPDATE reviews SET body = 'changed' WHERE id = 34; DELETE FROM reviews WHERE id = 35; COMMIT));
	is(filled_by($session->finish), 99, 'they are filled once they are free');
	right_is(99, 'from the texts that they have then');
	once();
	is(number('sst2_progress'), 0, 'nothing is left to do');
}

# --- Several sessions ---

{
	make_table(400);
	my @sessions = map { SstTest::Session->new } 1 .. 3;
	$_->query(q(SET default_transaction_isolation = 'serializable')) for @sessions;	# no batch uses it
	$_->start(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 7, pause => '1 ms'))) for @sessions;
	my $sum = 0;
	$sum += filled_by($_->finish) for @sessions;
	is($sum, 400, 'three sessions share the work');
	right_is(400, 'all is filled');
	once();

	# One that begins later goes on from the first's position; one that fills other columns begins at the start.
	make_table(100);
	start_and_pause($sessions[0], 30);
	is($boss->query(
			q(SELECT relation, role, running, done, estimated_total, fingerprint = sst2_fingerprint() FROM sst2_progress)),
		'reviews|postgres|t|30|100|t', 'sst2_progress shows one that runs');
	is($boss->query('SELECT estimated_end >= now() FROM sst2_progress'), 't', 'and it does not end in the past');
	is(filled_by($sessions[1]->try(q(CALL sst2_backfill('reviews', 'body', 'label')))), 70, 'a second session does the rest');
	is(filled_by($sessions[1]->try(q(CALL sst2_backfill('reviews', 'body', NULL, 'score')))), 100,
		'other columns are another backfill');
	$boss->query("SELECT pg_cancel_backend(${\ $sessions[0]->pid})");
	is($sessions[0]->finish->{error}{sqlstate}, '57014', 'a pause can be cancelled');
}

# --- Stopped, killed, resumed ---

{
	make_table(100);
	my $session = SstTest::Session->new;
	start_and_pause($session, 30);
	$boss->query("SELECT pg_terminate_backend(${\ $session->pid})");
	$session->finish;
	is($boss->query('SELECT running, pids, done, estimated_end FROM sst2_progress'), 'f|{}|30|', 'what is unfinished is shown');
	is($boss->query('SELECT "position" FROM sst2_backfills'), '{30}', 'with the key to go on from');
	is(filled_by(SstTest::Session->new->try(q(CALL sst2_backfill('reviews', 'body', 'label')))), 70, 'and only the rest is done');
	once();

	# Cancelled within a batch: a trigger waits for a lock that we hold.
	make_table(100);
	$boss->query(q(CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_xact_lock(new.id); RETURN new; END';
		CREATE TRIGGER wait BEFORE UPDATE ON reviews FOR EACH ROW EXECUTE FUNCTION wait(); SELECT pg_advisory_lock(45)));
	$session = SstTest::Session->new;
	$session->start(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 10)));
	wait_until("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = ${\ $session->pid})");
	$boss->query("SELECT pg_cancel_backend(${\ $session->pid})");
	is($session->finish->{error}{sqlstate}, '57014', 'cancelled within a batch');
	right_is(40, 'that batch is lost, no more');
	$boss->query('SELECT pg_advisory_unlock(45); DROP FUNCTION wait CASCADE');
	is(filled_by($session->try(q(CALL sst2_backfill('reviews', 'body', 'label')))), 60, 'the same session goes on');

	# kill -9: the server restarts.
	make_table(100);
	$session = SstTest::Session->new;
	start_and_pause($session, 30);
	kill('KILL', $session->pid) == 1 or die "kill: $!";
	undef $session;
	$boss = undef;
	sleep 0.05 until $boss = eval { SstTest::Session->new };
	right_is(30, 'after kill -9 what was committed is there');
	is(filled_by($boss->try(q(CALL sst2_backfill('reviews', 'body', 'label')))), 70, 'the rest is done');
	once();

	# Rows before the position are to be filled again: the position says where to begin, not what is done.
	make_table(100);
	$session = SstTest::Session->new;
	start_and_pause($session, 30);
	$boss->query("SELECT pg_terminate_backend(${\ $session->pid}); UPDATE reviews SET label = NULL; TRUNCATE filled");
	$boss->query(q(INSERT INTO reviews (id, body) VALUES (-5, 'came in behind')));
	is(filled_by($boss->try(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 10)))), 101,
		'rows before the position are found');
	right_is(101, 'and filled');
	is($boss->query('SELECT string_agg(id::text, \' \' ORDER BY ctid) FROM filled WHERE id IN (1, 31, 100)'), '31 100 1',
		'after those behind it');

	# Long texts come last: the end is estimated by what the model reads of a text, and 16 bytes.
	make_table(4);
	$boss->query(q(UPDATE reviews SET body = CASE WHEN id < 4 THEN 'fine' ELSE repeat('word ', 1000) END));
	$session = SstTest::Session->new;
	start_and_pause($session, 3);
	is($boss->query('SELECT done, total, bytes, total_bytes FROM sst2_backfills'), '3|4|60|2376', 'long texts count for more');
	$boss->query("SELECT pg_terminate_backend(${\ $session->pid})");

	# A key whose text depends on the session's settings.
	$boss->query(<<'SQL');
DROP TABLE reviews;
CREATE TABLE reviews (id date, part float8, body text, label text, PRIMARY KEY (id, part));
INSERT INTO reviews SELECT date '2020-01-01' + i, i / 3.0, 'film ' || i FROM generate_series(1, 100) i;
SQL
	$session = SstTest::Session->new;
	$session->query(q(SET DateStyle = 'SQL, DMY'; SET extra_float_digits = -10));
	start_and_pause($session, 30);
	$boss->query("SELECT pg_terminate_backend(${\ $session->pid})");
	is($boss->query('SELECT "position" FROM sst2_backfills'), '{2020-01-31,10}', 'a position is the same text in any session');
	is(filled_by($boss->try(q(SET DateStyle = 'Postgres, MDY'; CALL sst2_backfill('reviews', 'body', 'label')))), 70,
		'and read as such');

	# A key of columns that are compared by different operators.
	if (number(q(pg_available_extensions WHERE name = 'citext')))
	{
		$boss->query(<<'SQL');
DROP TABLE reviews;
CREATE SCHEMA "Odd ""s"; CREATE EXTENSION citext SCHEMA "Odd ""s";
CREATE TABLE reviews (id int, part "Odd ""s".citext, body "Odd ""s".citext, label "Odd ""s".citext, PRIMARY KEY (part, id));
INSERT INTO reviews SELECT i, (ARRAY['a', 'A', 'b', 'B', 'c'])[1 + i % 5], 'film ' || i FROM generate_series(1, 100) i;
SQL
		is(filled_by($boss->try(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 7)))), 100, 'a key of several types');
		is(number('reviews WHERE label::text = sst2_label(body::text)'), 100, 'is followed');
		$boss->query('SET client_min_messages = warning; DROP TABLE reviews; DROP SCHEMA "Odd ""s" CASCADE; '
			  . 'RESET client_min_messages');
	}

	# Renamed between two batches.
	make_table(100);
	$session = SstTest::Session->new;
	$session->start(q(CALL sst2_backfill('reviews', 'body', 'label', batch => 10, pause => '200 ms')));
	wait_until("EXISTS (SELECT FROM pg_stat_activity WHERE pid = ${\ $session->pid} AND wait_event = 'PgSleep') OR "
		  . '(SELECT count(label) = 100 FROM reviews)');	# which a busy machine may see first
	$boss->query('ALTER TABLE reviews RENAME TO "other name"');
	is(filled_by($session->finish), 100, 'a table that is renamed while it runs');
	$boss->query('ALTER TABLE "other name" RENAME TO reviews');
}

# --- Another model ---

{
	make_table(20);
	my $call = q(CALL sst2_backfill('reviews', 'body', 'label', NULL, 'model'));
	is(filled_by($boss->try($call)), 20, 'filled by one model');
	my $dir = server_dir();
	server_model(install_model(made_model($dir, 'other', '1,32,2,64,16,300,2')));
	is(filled_by($boss->try(q(CALL sst2_backfill('reviews', 'body', 'label')))), 0, 'a label alone does not say whose it is');
	is(filled_by($boss->try($call)), 20, 'the fingerprint beside it does');
	right_is(20, 'all are the other model\'s');
	is(number('reviews WHERE model = sst2_fingerprint()'), 20, 'and say so');
	server_model(undef);
}

# --- Roles and policies ---

{
	make_table(40);
	my $plain = SstTest::Session->new(user => 'sst_test_plain');
	my $call = q(CALL sst2_backfill('reviews', 'body', 'label'));
	is($plain->error($call)->{sqlstate}, '42501', 'a role without rights on the table');
	is(number('sst2_progress'), 0, 'leaves no trace');
	$boss->query('GRANT SELECT (id, body, label), UPDATE (label) ON reviews TO sst_test_plain');
	is(filled_by($plain->try($call)), 40, 'the rights on its columns are enough');
	is($plain->error("$_ sst2_backfills")->{sqlstate}, '42501', "nobody may $_ what the backfills go by")
	  for 'TABLE', 'DELETE FROM', 'TRUNCATE';
	is($plain->query('SELECT count(*) FROM sst2_progress'), 0, 'everyone may see the progress');

	# Which rows a policy shows can depend on any setting, so no position is kept.
	make_table(40);
	$boss->query(<<'SQL');
GRANT SELECT, UPDATE ON reviews TO sst_test_plain, sst_test_other;
ALTER TABLE reviews ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON reviews USING (tenant = current_setting('test.tenant')::int);
CREATE POLICY reads_all ON reviews FOR SELECT TO sst_test_other USING (true);
SQL
	$plain->query('SET test.tenant = 1');
	start_and_pause($plain, 15);
	$boss->query("SELECT pg_terminate_backend(${\ $plain->pid})");
	$plain = SstTest::Session->new(user => 'sst_test_plain');
	$plain->query('SET test.tenant = 0');
	is(filled_by($plain->try($call)), 20, 'one tenant');
	is($boss->query('SELECT count(*) FROM reviews WHERE label IS NULL'), 5, 'and not the other');
	my $other = SstTest::Session->new(user => 'sst_test_other');
	is(filled_by($other->try("SET test.tenant = 0; $call")), 0, 'who sees rows that it may not change leaves them');
	is(filled_by($plain->try("SET test.tenant = 1; $call")), 5, 'then the other');
	right_is(40, 'all are filled');

	# Each role has a position of its own.
	make_table(40);
	$boss->query('GRANT SELECT, UPDATE ON reviews TO sst_test_plain');
	start_and_pause($plain, 15);
	is($boss->query('SELECT role, done FROM sst2_progress'), 'sst_test_plain|15', 'the progress of another role is shown');
	is(filled_by($boss->try($call)), 25, 'a second role works beside it, from the start');
	$boss->query("SELECT pg_terminate_backend(${\ $plain->pid})");

	# Partitions on which the role has no rights, through their parent.
	$boss->query(<<'SQL');
DROP TABLE reviews;
CREATE TABLE reviews (id int PRIMARY KEY, body text, label text) PARTITION BY RANGE (id);
CREATE TABLE reviews_1 PARTITION OF reviews FOR VALUES FROM (0) TO (30);
CREATE TABLE reviews_2 PARTITION OF reviews FOR VALUES FROM (30) TO (1000);
INSERT INTO reviews SELECT i, 'film ' || i FROM generate_series(1, 100) i;
GRANT SELECT, UPDATE ON reviews TO sst_test_plain;
SQL
	$plain = SstTest::Session->new(user => 'sst_test_plain');
	start_and_pause($plain, 45);
	$boss->query("SELECT pg_terminate_backend(${\ $plain->pid})");
	is(filled_by(SstTest::Session->new(user => 'sst_test_plain')->try("$call")), 55, 'partitions through their parent');
	right_is(100, 'all are filled');
}

# --- Nothing is left behind ---

$boss->query('DROP TABLE reviews, filled; DROP FUNCTION record');
is(number('sst2_progress'), 0, 'of a dropped table nothing is shown');
is($boss->query('SELECT string_agg(c, chr(10)) FROM sst2_countries() c'),
	join("\n", split /\n/, read_file("$ROOT/model/train/terms/countries.txt")),
	'sst2_countries() is the list of the training recipe');
$boss->query('DROP ROLE sst_test_plain, sst_test_other');
done_testing();
