# A standby answers as its primary, bit for bit, with other kernels too.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $port = 5433;
my $primary = SstTest::Session->new;
my ($bindir) = $primary->query("SELECT setting FROM pg_config WHERE name = 'BINDIR'");
my $data = $primary->query('SHOW data_directory');
my ($uid, $gid) = (stat $data)[ 4, 5 ];
my $dir = server_dir();
my $standby_data = "$dir/standby";

# Runs a command as the server's user.
sub as_server
{
	my @command = @_;
	unshift @command, 'setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups', '--' if $> != $uid;
	return system(@command) == 0;
}

END
{
	local $?;
	as_server("$bindir/pg_ctl", '-s', '-D', $standby_data, '-m', 'immediate', 'stop')
	  if $standby_data && -e "$standby_data/postmaster.pid";
}

# --- The primary: a stored column, an index by a score ---

$primary->query(q{CREATE TABLE sst_test_reviews (id serial PRIMARY KEY, body text,
	logits real[] GENERATED ALWAYS AS (sst2_logits(body)) STORED, label text GENERATED ALWAYS AS (sst2_label(body)) STORED)});
$primary->query('CREATE INDEX sst_test_score ON sst_test_reviews (sst2_score(body))');

sub write_reviews
{
	my ($from, $to) = @_;
	$primary->query("INSERT INTO sst_test_reviews (body) SELECT repeat('The film was ', 1 + i % 7) || CASE i % 3 WHEN 0 THEN
		'good' WHEN 1 THEN 'bad' ELSE E'd\\u00e9j\\u00e0 vu \\u6620\\u753b' END || i FROM generate_series($from, $to) i");
}
write_reviews(1, 100);

# --- The standby, with the plainest kernels, whose queries may take long: replay waits for them ---

chown $uid, $gid, $dir;
ok(as_server('pg_basebackup', '-h', $ENV{PGHOST}, '-p', $ENV{PGPORT}, '-U', $ENV{PGUSER}, '-D', $standby_data, '-R',
		'-X', 'stream', '-c', 'fast', '--no-sync'), 'pg_basebackup');
ok(as_server("$bindir/pg_ctl", '-s', '-w', '-D', $standby_data, '-l', "$dir/log", '-o', "-p $port -c distilsst.isa=c -c max_standby_streaming_delay=-1", 'start'),
	'the standby starts') or BAIL_OUT(read_file("$dir/log"));

my $standby = do { local $ENV{PGPORT} = $port; SstTest::Session->new };
is($standby->query('SELECT pg_is_in_recovery()'), 't', 'it is a standby');
is($standby->query('SELECT isa FROM sst2_model()'), 'c', 'which uses plain C');

# Written after the backup, so replayed.
write_reviews(101, 200);
my $written = $primary->query('SELECT pg_current_wal_lsn()');
ok($standby->query("DO \$\$ BEGIN FOR i IN 1..600 LOOP
		EXIT WHEN pg_last_wal_replay_lsn() >= '$written'; PERFORM pg_sleep(0.1); END LOOP; END \$\$;
	SELECT pg_last_wal_replay_lsn() >= '$written'") eq 't', 'it has replayed all');

# --- The same answers ---

my $stored = 'SELECT id, logits, label FROM sst_test_reviews ORDER BY id';
my $live = 'SELECT id, sst2_logits(body), sst2_label(body) FROM sst_test_reviews ORDER BY id';
my $answers = $primary->query($stored);
is(scalar(split /\n/, $answers), 200, 'the primary has 200 rows');
is($primary->query($live), $answers, 'live answers of the primary are the stored ones');
is($standby->query($stored), $answers, 'the standby has them');
is($standby->query($live), $answers, 'live answers of the standby are the same');
is($standby->query('SELECT count(*) FROM sst2_selftest() WHERE NOT ok'), 0, 'its self-test passes');

my $by_index = 'SET enable_seqscan = off; SELECT id FROM sst_test_reviews WHERE sst2_score(body) > 0.5 ORDER BY sst2_score(body), id';
my $by_scan = 'SET enable_seqscan = on; SET enable_indexscan = off; SET enable_bitmapscan = off;
	SELECT id FROM sst_test_reviews WHERE sst2_score(body) > 0.5 ORDER BY sst2_score(body), id';
my $found = $standby->query($by_index);
isnt($found, '', 'the index finds rows on the standby');
is($standby->query($by_scan), $found, 'those that a scan finds');

undef $standby;
ok(as_server("$bindir/pg_ctl", '-s', '-w', '-D', $standby_data, '-m', 'fast', 'stop'), 'the standby stops');
$primary->query('DROP TABLE sst_test_reviews');
done_testing();
