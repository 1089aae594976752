# Two databases behind postgres_fdw answer filters and aggregates themselves, in batches, both at once; the answers are those
# of a local table.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my $session = SstTest::Session->new(model => made_model($dir, 'small', '1,32,2,64,64,300,2'));
my $version = $session->query('SHOW server_version_num');
plan skip_all => 'postgres_fdw is not installed'
  unless $session->query("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'");

# --- Shards of one table, and a local copy of all ---

$session->query(<<'SQL');
SELECT sst2_label('load the library');
CREATE EXTENSION postgres_fdw;
CREATE TABLE sst_all (id int, product int, body text);
INSERT INTO sst_all SELECT n, n % 5, 'text ' || n % 90 FROM generate_series(1, 200) n;
CREATE TABLE sst_far (id int, product int, body text) PARTITION BY RANGE (id);
SQL
my %shard;
for my $n (1, 2)
{
	my ($from, $to) = $n == 1 ? (1, 101) : (101, 201);
	$session->query("CREATE DATABASE sst_shard$n");
	$shard{$n} = SstTest::Session->new(db => "sst_shard$n");
	$shard{$n}->query('CREATE EXTENSION distilsst; CREATE TABLE sst_part (id int, product int, body text); '
		  . "INSERT INTO sst_part SELECT n, n % 5, 'text ' || n % 90 FROM generate_series($from, $to - 1) n; "
		  . "ANALYZE sst_part; SELECT sst2_label('load the library')");
	my $async = $version >= 140000 ? ", async_capable 'true'" : '';
	$session->query("CREATE SERVER sst_server$n FOREIGN DATA WRAPPER postgres_fdw "
		  . "OPTIONS (host '$ENV{PGHOST}', port '$ENV{PGPORT}', "
		  . "dbname 'sst_shard$n', extensions 'distilsst', use_remote_estimate 'true', "
		  . "options '-c session_preload_libraries=distilsst'$async); "
		  . "CREATE USER MAPPING FOR postgres SERVER sst_server$n; "
		  . "CREATE FOREIGN TABLE sst_far$n PARTITION OF sst_far FOR VALUES FROM ($from) TO ($to) SERVER sst_server$n "
		  . "OPTIONS (table_name 'sst_part')");
}
$session->query("SET enable_partitionwise_aggregate = on; SET TimeZone = 'UTC'; ANALYZE sst_all");

# Queries, and whether sending their calls to the shards is always cheapest.
my %queries = (
	'a select list' => ['SELECT id, sst2_label(body), sst2_score(body) FROM sst_far ORDER BY id', 0],
	'WHERE' => ["SELECT id FROM sst_far WHERE sst2_label(body) = 'POSITIVE' AND sst2_score(body) > 0.4 ORDER BY id", 1],
	'an aggregate' => ["SELECT count(*), min(sst2_label(body)), sum(sst2_score(body)::numeric) FROM sst_far1 "
		  . 'WHERE product < 4', 1],
	'GROUP BY' => ['SELECT product, count(*), max(sst2_score(body)) FROM sst_far1 GROUP BY product ORDER BY product', 1],
	'the label as key' => ['SELECT sst2_label(body) AS label, count(*), max(sst2_score(body)) FROM sst_far2 GROUP BY label '
		  . 'ORDER BY label', 1],
	'ORDER BY with LIMIT' => ['SELECT id, sst2_score(body) FROM sst_far1 ORDER BY sst2_score(body), id LIMIT 5', 0],
	'an aggregate over all shards' => ["SELECT count(*), sum(sst2_score(body)::numeric) FROM sst_far "
		  . "WHERE sst2_label(body) <> 'x'", 1]);

for my $name (sort keys %queries)
{
	my ($query, $pushed) = @{ $queries{$name} };
	(my $local = $query) =~ s/FROM sst_far(\d?)/'FROM sst_all' . ($1 ? " WHERE id " . ($1 == 1 ? '<=' : '>') . ' 100' : '')/e;
	$local =~ s/(WHERE id \S+ 100) WHERE/$1 AND/;
	my $wanted = $session->query($local);
	for my $size (1, 3, 32)
	{
		$session->query("ALTER DATABASE sst_shard$_ SET distilsst.batch_size = $size") for 1, 2;
		$session->query('SELECT postgres_fdw_disconnect_all()') if $version >= 140000;
		is($session->query($query), $wanted, "$name: as from a local table, $size");
	}
	next unless $pushed;
	my @remote = $session->query("EXPLAIN (VERBOSE, COSTS OFF) $query") =~ /Remote SQL: (.*)/g;
	ok(@remote > 0, "$name: a foreign scan");
	$shard{1}->query('SET distilsst.batch_size = 32');
	like($_, qr/sst2_/, "$name: is pushed down"),
	  like($shard{1}->query("EXPLAIN DECLARE c1 CURSOR FOR $_"), qr/SstBatch/, "$name: and batched there") for @remote;
}

SKIP:
{
	skip 'async_capable is of PostgreSQL 14', 1 if $version < 140000;
	like($session->query("EXPLAIN SELECT id FROM sst_far WHERE sst2_label(body) = 'POSITIVE'"), qr/(Async Foreign Scan.*){2}/s,
		'both servers are asked at once');
}

$session->query('DROP TABLE sst_all, sst_far; DROP EXTENSION postgres_fdw CASCADE');
undef %shard;
undef $session;
my $boss = SstTest::Session->new;
$boss->query("DROP DATABASE sst_shard$_ WITH (FORCE)") for 1, 2;
done_testing();
