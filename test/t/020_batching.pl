# What sql/batch.sql cannot test of batching: other sessions, cancelling, memory, and the first statement of a session.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = server_dir();
my $model = made_model($dir, 'small', '1,32,2,64,512,300,2');
my $session = SstTest::Session->new(model => $model);

# Label and score of a text that is classified alone.
sub alone { return $session->query("SELECT sst2_label('$_[0]'), sst2_score('$_[0]')") }

$session->query(<<'SQL');
SELECT sst2_label('load the library');
CREATE TABLE sst_test (id int PRIMARY KEY, body text, label text, score real);
INSERT INTO sst_test SELECT n, 'text ' || n FROM generate_series(1, 100) n;
CREATE TABLE sst_long AS SELECT n AS id, repeat('a b c ' || n % 100 || ' ', 300) AS body FROM generate_series(1, 40) n;
ANALYZE sst_test, sst_long;
SQL

# --- EXPLAIN names the model as sst2_model() does, but opens none: a path's last part until then ---

{
	my $explain = 'EXPLAIN (COSTS OFF) SELECT sst2_label(body) FROM sst_test';
	my ($name) = model_name($model);
	like($session->query($explain), qr/Model: \Q$name\E$/m, 'the name of a model whose path is set');
	is($session->query('SELECT name FROM sst2_model()'), $name, 'as sst2_model() has it');
	my $new = SstTest::Session->new;
	$new->query("LOAD 'distilsst'");
	like($new->query($explain), qr/Model: small\.dsst$/m, 'before it is open, the name of its file');
}

# --- Rows that others change while we wait for them ---

# Runs our statement while another session has changed row 50 and not yet committed.
sub while_changed
{
	my ($theirs, $ours) = @_;
	my $other = SstTest::Session->new(model => $model);
	$other->query("BEGIN; $theirs");
	$session->start($ours);
	sleep 0.01 until $other->query('SELECT count(*) FROM pg_locks WHERE NOT granted');
	$other->query('COMMIT');
	my $result = $session->finish;
	is($result->{error}, undef, 'no error');
	return $result->{out};
}

like($session->query('EXPLAIN UPDATE sst_test SET (label, score) = (sst2_label(body), sst2_score(body))'), qr/SstBatch/,
	'an update is batched');
while_changed("UPDATE sst_test SET body = 'changed' WHERE id = 50",
	'UPDATE sst_test SET label = sst2_label(body), score = sst2_score(body)');
is($session->query('SELECT label, score FROM sst_test WHERE id = 50'), alone('changed'),
	'an update takes the text that the row has when it is locked');
is($session->query('SELECT count(*) FROM sst_test WHERE (label, score) = (sst2_label(body), sst2_score(body))'), 100,
	'and so for all rows');
my $score = $session->query("SELECT sst2_score('text 50')");
is(while_changed("UPDATE sst_test SET body = 'text 50' WHERE id = 50",
		"DELETE FROM sst_test WHERE sst2_score(body) = sst2_score('changed') RETURNING id"),
	'', 'a row that is not meant any more is not deleted');
is(while_changed("UPDATE sst_test SET body = 'again' WHERE id = 50",
		'SELECT sst2_label(body), sst2_score(body) FROM sst_test WHERE id BETWEEN 40 AND 60 AND sst2_score(body) >= 0 FOR UPDATE')
	  =~ /^\Q@{[alone('again')]}\E$/m, 1, 'nor is a locked row given out with its old label');

# --- How far SstBatch reads ahead ---

sub analyze
{
	my ($query) = @_;
	return $session->query("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
}

like(analyze('SELECT id FROM sst_test WHERE sst2_score(body) >= 0 LIMIT 5'), qr/Seq Scan on sst_test \(actual rows=7\b/,
	'for five rows, seven are read: 1, 2 and 4');
like(analyze('SELECT id, sst2_score(body) FROM sst_test LIMIT 5 OFFSET 20'), qr/Texts Classified: 5$/m,
	'where there is no filter, no text too many is classified');
$session->query('SET distilsst.batch_size = 512');
like(analyze('SELECT sst2_score(body) FROM sst_long'), qr/Truncated Texts: 40\s+Batches: 12$/m,
	'long texts come in fours: 1, 2, 4, 4 ...');

# --- Memory ---

SKIP:
{
	skip 'pg_backend_memory_contexts is of PostgreSQL 14', 1 if $session->query('SHOW server_version_num') < 140000;
	$session->query("BEGIN; SET LOCAL work_mem = '1MB'");
	$session->query(q(DECLARE c INSENSITIVE CURSOR FOR SELECT n, sst2_label(repeat(n || ' ', 50)), repeat('x', 100000)
		FROM (SELECT n, repeat('wide ', 20000) AS wide FROM generate_series(1, 1000) n OFFSET 0) s
		WHERE sst2_score(left(wide, 10) || n) >= 0));
	my @bytes;
	for (1 .. 9)
	{
		$session->query('MOVE 100 FROM c');
		push @bytes, $session->query(q(SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name = 'SstBatch'));
	}
	diag "bytes in batches: @bytes";
	cmp_ok((sort { $b <=> $a } @bytes)[0], '<', 3 << 20, 'a batch of wide rows stays near work_mem');
	$session->query('ROLLBACK');
}

# --- Errors and cancelling ---

is($session->error(q(SELECT sst2_label((1 / (id - 60))::text) FROM sst_test))->{message}, 'division by zero',
	'an error in a text ends the statement');
is($session->query('SELECT count(DISTINCT sst2_score(body)) = count(*) FROM sst_test'), 't', 'the next one works');

my $large = SstTest::Session->new(model => made_model($dir, 'large', '6,256,4,1024,512,300,2'));
$large->query("SELECT sst2_label('load the library')");
$large->start('SELECT sst2_label(id || body), sst2_score(body || id) FROM sst_long, generate_series(1, 100)');
$large->wait_until_begun;
sleep 0.5;
$session->query('SELECT pg_cancel_backend(' . $large->pid . ')');
is($large->finish->{error}{message}, 'canceling statement due to user request', 'a batch is cancelled');
is($large->query('SELECT count(sst2_label(body)) FROM sst_test'), 100, 'the session goes on');

# --- A dropped extension ---

$session->query('CREATE DATABASE sst_dropped');
my $user = SstTest::Session->new(db => 'sst_dropped', model => $model);
$user->query("CREATE EXTENSION distilsst; SET plan_cache_mode = force_generic_plan");
$user->query("SELECT sst2_label('load the library'); PREPARE q AS SELECT count(sst2_label(t)) FROM unnest(ARRAY['a', 'b']) t");
is($user->query('EXECUTE q'), 2, 'a kept plan is batched');
$user->query('DROP EXTENSION distilsst');
like($user->error('EXECUTE q')->{message}, qr/function sst2_label\(text\) does not exist/, 'but not after DROP EXTENSION');
$user->query('CREATE EXTENSION distilsst');
is($user->query('EXECUTE q'), 2, 'and again after CREATE EXTENSION');
undef $user;
$session->query('DROP DATABASE sst_dropped');

# --- The first statement of a session is planned before the library is loaded ---

my $explain = 'EXPLAIN SELECT sst2_label(body) FROM sst_test';
my $new = SstTest::Session->new;
unlike($new->query($explain), qr/SstBatch/, 'the first statement is not batched');
like($new->query($explain), qr/SstBatch/, 'the second is');
$session->query("ALTER DATABASE postgres SET session_preload_libraries = 'distilsst'");
like(SstTest::Session->new->query($explain), qr/SstBatch/, 'with session_preload_libraries the first is, too');
$session->query('ALTER DATABASE postgres RESET session_preload_libraries');
$session->query('DROP TABLE sst_test, sst_long');

done_testing();
