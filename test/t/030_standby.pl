# A standby answers as its primary, bit for bit, with other kernels too.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

# The server's model is not the built-in one: a standby has the setting from the backup.
my $dir = server_dir();
my $other = install_model(made_model($dir, 'other', '1,32,2,64,64,300,2'));
my $primary = SstTest::Session->new(model => $other);

# --- The primary: stored columns, an index on a score ---

# The built-in model is slow in plain C, so it reads some of the rows only.
my $named = "CASE WHEN id % 10 = 0 THEN sst2_score(body, model => '$BUILTIN') END";

$primary->query(qq{CREATE TABLE sst_test_reviews (id serial PRIMARY KEY, body text,
	logits real[] GENERATED ALWAYS AS (sst2_logits(body)) STORED, label text GENERATED ALWAYS AS (sst2_label(body)) STORED,
	named real GENERATED ALWAYS AS ($named) STORED)});
$primary->query('CREATE INDEX sst_test_score ON sst_test_reviews (sst2_score(body))');

sub write_reviews
{
	my ($from, $to) = @_;
	$primary->query("INSERT INTO sst_test_reviews (body) SELECT repeat('The film was ', 1 + i % 7) || CASE i % 3 WHEN 0 THEN
		'good' WHEN 1 THEN 'bad' ELSE E'd\\u00e9j\\u00e0 vu \\u6620\\u753b' END || i FROM generate_series($from, $to) i");
}
write_reviews(1, 100);

# --- The standby, in plain C. Its queries may take long: replay waits for them ---

my $server = SstTest::Server->new(from => 'backup', conf => "distilsst.isa = c\nmax_standby_streaming_delay = -1\n");

# Written after the backup, so replayed.
write_reviews(101, 200);
my $written = $primary->query('SELECT pg_current_wal_lsn()');
my $standby = $server->session;
ok($standby->query("DO \$\$ BEGIN FOR i IN 1..600 LOOP
		EXIT WHEN pg_last_wal_replay_lsn() >= '$written'; PERFORM pg_sleep(0.1); END LOOP; END \$\$;
	SELECT pg_last_wal_replay_lsn() >= '$written'") eq 't', 'the standby has replayed all');

# --- The same answers ---

my $stored = 'SELECT id, logits, label, named FROM sst_test_reviews ORDER BY id';
my $live = "SELECT id, sst2_logits(body), sst2_label(body), $named FROM sst_test_reviews ORDER BY id";
my $by_name = "SELECT id, sst2_logits(body, '$other'), sst2_label(body, '$other'), $named FROM sst_test_reviews ORDER BY id";
my $answers = $primary->query($stored);
is(scalar(split /\n/, $answers), 200, 'the primary has 200 rows');
is($primary->query($by_name), $answers, 'of the two models');
is($primary->query($live), $answers, 'live answers of the primary are the stored ones');
is($standby->query($stored), $answers, 'the standby has them');
{
	my $new = $server->session;
	is_deeply($new->try($live), $primary->try($live), 'a new session of the standby begins with the same live answers');
	is($new->query('SELECT pg_is_in_recovery(), isa, name FROM sst2_model()'), "t|c|$other", 'by plain C, and the same model');
	is($new->query('SELECT count(*) FROM sst2_selftest() WHERE NOT ok'), 0, 'its self-test passes');
}

my $where = 'FROM sst_test_reviews WHERE sst2_score(body) > 0 ORDER BY sst2_score(body), id';
my $found = $server->session->query("SET enable_seqscan = off; SELECT id $where");
isnt($found, '', 'the index finds rows on the standby');
is($standby->query("SET enable_indexscan = off; SET enable_bitmapscan = off; SELECT id $where"), $found,
	'those that a scan finds');

undef $standby;
ok($server->stop, 'the standby stops');
$primary->query('DROP TABLE sst_test_reviews');
done_testing();
