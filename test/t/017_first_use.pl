# However a session comes to need its first model, the server's model answers. Each way is tried in a new session, which has not
# loaded the library. The server's model is not the built-in one; each answer must be what a call that names it gives.

use strict;
use warnings;
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = server_dir();
my $model = install_model(made_model($dir, 'other', '1,32,2,64,64,300,2'));
my $boss = SstTest::Session->new(model => $model);
my ($version) = $boss->query('SHOW server_version_num');
my $amcheck = $boss->query(q(SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'));
$boss->query('CREATE EXTENSION IF NOT EXISTS amcheck') if $amcheck;

# The output of statements in a new session, which must raise no error, warning or notice.
sub anew
{
	my ($name, $sql, %option) = @_;
	my $said = SstTest::Session->new(%option)->try($sql);
	is($said->{said}, '', "$name: no error, warning or notice");
	return $said->{out};
}

$boss->query(<<'SQL');
CREATE TABLE sst_test (id int PRIMARY KEY, body text) WITH (parallel_workers = 2, autovacuum_enabled = off);
INSERT INTO sst_test SELECT i, chr(97 + i % 26) || ' film ' || i FROM generate_series(1, 200) i;
VACUUM ANALYZE sst_test;
SQL
my $sum = $boss->query("SELECT sum(sst2_score(body, model => '$model')::numeric) FROM sst_test");
my $all = $boss->query("SELECT array_agg(sst2_score(body, model => '$model') ORDER BY id) FROM sst_test");
my $order = $boss->query("SELECT array_agg(id ORDER BY sst2_score(body, model => '$model'), id) FROM sst_test");
isnt($boss->query("SELECT sum(sst2_score(body, model => '$BUILTIN')::numeric) FROM sst_test"), $sum, 'two models that differ');

# Does an index on the score hold the model's answers?
sub index_holds_answers
{
	my ($index, $name) = @_;
	my $session = SstTest::Session->new;
	is($session->query("SELECT indisvalid FROM pg_index WHERE indexrelid = '$index'::regclass"), 't', "$name: a valid index");
	my $query = 'SELECT array_agg(id) FROM (SELECT id FROM sst_test ORDER BY sst2_score(body)) s';
	$session->query('SET enable_seqscan = off; SET enable_sort = off; SET max_parallel_workers_per_gather = 0');
	like($session->query("EXPLAIN $query"), qr/Index Scan using $index /, 'which a query uses');
	is($session->query($query), $order, 'in the order of the answers');
	is($session->error("SELECT bt_index_check('$index', true)"), undef, 'amcheck finds each answer in it') if $amcheck;
	$boss->query("DROP INDEX $index");
}

# --- Indexes ---

my $create = 'CREATE INDEX sst_index ON sst_test (sst2_score(body))';
like(SstTest::Session->new->try("SET client_min_messages = debug1; $create")->{said}, qr/request for 2 parallel workers/,
	'an index is built in parallel');
index_holds_answers('sst_index', 'built in parallel');
for my $build ($create, "SET max_parallel_maintenance_workers = 0; $create", "SET parallel_leader_participation = off; $create",
	$create =~ s/INDEX/INDEX CONCURRENTLY/r)
{
	anew($build, $build);
	index_holds_answers('sst_index', $build);
}
for my $again ('REINDEX INDEX sst_index', 'REINDEX TABLE sst_test', 'REINDEX INDEX CONCURRENTLY sst_index',
	'REINDEX TABLE CONCURRENTLY sst_test', 'VACUUM FULL sst_test', 'CLUSTER sst_test USING sst_test_pkey')
{
	$boss->query($create);
	anew($again, $again);
	index_holds_answers('sst_index', $again);
}

# --- Queries ---

is(anew('a query', "SET max_parallel_workers_per_gather = 0; SELECT sum(sst2_score(body)::numeric) FROM sst_test"), $sum,
	'a query');
is(anew("a parallel query, leader $_", "$PARALLEL SET parallel_leader_participation = $_; SELECT sum(sst2_score(body)::numeric) "
	  . "FROM sst_test"),
	$sum, "a parallel query, leader $_") for 'on', 'off';
is(anew('a parallel query, text by text', "$PARALLEL SET distilsst.batch_size = 1; SELECT sum(sst2_score(body)::numeric) "
	  . "FROM sst_test"),
	$sum, 'a parallel query, text by text');
is(anew('a forced worker', ($version < 160000 ? 'SET force_parallel_mode = on' : 'SET debug_parallel_query = on')
	  . "; SELECT sst2_fingerprint()"),
	(model_name("$dir/other.dsst"))[1], 'a forced worker');
is(anew('a constant', q(SELECT sst2_logits('a b c'))), $boss->query("SELECT sst2_logits('a b c', model => '$model')"),
	'a constant');
is(anew('a prepared statement', q(SET plan_cache_mode = force_generic_plan;
		PREPARE p(text) AS SELECT sst2_logits($1), sst2_logits('x');
		EXECUTE p('a b c'); EXECUTE p('a b c'))), join("\n", ($boss->query("SELECT sst2_logits('a b c', '$model'), "
			  . "sst2_logits('x', '$model')")) x 2),
	'a prepared statement');
is(anew('EXPLAIN', "$PARALLEL EXPLAIN (COSTS OFF) SELECT sst2_score(body) FROM sst_test; "
	  . "SELECT sst2_fingerprint()") =~ /^(\w{64})$/m && $1,
	(model_name("$dir/other.dsst"))[1], 'EXPLAIN');
is(anew('after DISCARD ALL', "DISCARD ALL; $PARALLEL SELECT sum(sst2_score(body)::numeric) FROM sst_test"), $sum,
	'after DISCARD ALL');
is(anew('before DISCARD ALL', "SELECT sst2_score('a') IS NULL;\nDISCARD ALL;\n$PARALLEL SELECT sum(sst2_score(body)::numeric) "
	  . "FROM sst_test"), "f\n$sum",
	'before DISCARD ALL');
is(anew('a cursor', "$PARALLEL BEGIN; DECLARE c CURSOR FOR SELECT sst2_score(body) FROM sst_test ORDER BY id; MOVE 100 FROM c; "
	  . "FETCH 1 FROM c; COMMIT"),
	$boss->query("SELECT sst2_score(body, '$model') FROM sst_test WHERE id = 101"), 'a cursor');
is(anew('sst2_models()', 'SELECT name FROM sst2_models() WHERE is_default'), $model, 'sst2_models()');

# --- Wrapper functions, also with settings of their own; amcheck and restores call them without a search_path ---

$boss->query("CREATE FUNCTION sst_test_$_") for
  q(sql(text) RETURNS real LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 100000 AS 'SELECT public.sst2_score($1)'),
  q(plpgsql(text) RETURNS real LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000 AS 'BEGIN RETURN public.sst2_score($1); END'),
  q(set_path(text) RETURNS real LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 100000 SET search_path = public, pg_temp )
    . q(SET work_mem = '5MB' AS 'SELECT sst2_score($1)'),
  q(set_isa(text) RETURNS real LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000
	SET distilsst.isa = 'c' SET distilsst.batch_size = 3
	AS 'BEGIN RETURN public.sst2_score($1); END'),
  q(definer(text) RETURNS real LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE COST 100000 SECURITY DEFINER )
    . q(AS 'BEGIN RETURN public.sst2_score($1); END');
for my $wrapper ('sql', 'plpgsql', 'set_path', 'set_isa', 'definer')
{
	my $query = "SELECT sum(sst_test_$wrapper(body)::numeric) FROM sst_test";
	is(anew("$wrapper", "SET max_parallel_workers_per_gather = 0; $query"), $sum, "function $wrapper");
	is(anew("$wrapper in parallel, leader $_", "$PARALLEL SET parallel_leader_participation = $_; $query"), $sum,
		"function $wrapper in parallel, leader $_") for 'on', 'off';
	anew("an index by $wrapper", "CREATE INDEX sst_wrapped ON sst_test (sst_test_$wrapper(body))");
	is(SstTest::Session->new->error("SELECT bt_index_check('sst_wrapped', true)"), undef,
		"an index by $wrapper holds the answers") if $amcheck;
	is($boss->query("SELECT sum(sst_test_$wrapper(body)::numeric) FROM sst_test"), $sum,
		"function $wrapper in a session that goes on");
	$boss->query('DROP INDEX sst_wrapped');
}
is(anew('a function that sets, and what follows', q(SELECT sst_test_set_isa('a') IS NULL; SHOW distilsst.isa; )
	  . q(SHOW distilsst.batch_size)), "f\nauto\n"
	  . SstTest::Session->new->query("LOAD 'distilsst'; SHOW distilsst.batch_size"), 'the settings of a function end with it');

# --- What is stored ---

my $stored = 'SELECT array_agg(score ORDER BY id) FROM sst_stored';
my $generated = 'ADD score real GENERATED ALWAYS AS (sst2_score(body)) STORED';
is(anew('CREATE TABLE AS', "$PARALLEL CREATE TABLE sst_stored AS SELECT id, sst2_score(body) AS score FROM sst_test; $stored; "
	  . "DROP TABLE sst_stored"),
	$all, 'CREATE TABLE AS');
is(anew('a materialized view', "$PARALLEL CREATE MATERIALIZED VIEW sst_stored AS SELECT id, sst2_score(body) AS score "
	  . "FROM sst_test; $stored"),
	$all, 'a materialized view');
is(anew('refreshed', "$PARALLEL REFRESH MATERIALIZED VIEW sst_stored; $stored; DROP MATERIALIZED VIEW sst_stored"), $all,
	'refreshed');
anew('a generated column is added', "CREATE TABLE sst_stored AS SELECT * FROM sst_test;\nALTER TABLE sst_stored $generated");
is($boss->query($stored), $all, 'a generated column is added');
is(anew('updated', "UPDATE sst_stored SET body = body; $stored"), $all, 'updated');
is(anew('inserted', "TRUNCATE sst_stored; INSERT INTO sst_stored SELECT * FROM sst_test; $stored"), $all, 'inserted');
is(anew('copied', "TRUNCATE sst_stored; COPY sst_stored FROM PROGRAM 'psql -h $ENV{PGHOST} -XqAt -c \"COPY sst_test "
	  . "TO STDOUT\"'; $stored"), $all, 'copied');
is(anew('a constraint', "ALTER TABLE sst_stored ADD CHECK (score = sst2_score(body)); SELECT 1"), 1, 'a constraint');
is(anew('a constraint is checked', "INSERT INTO sst_stored SELECT * FROM sst_test; SELECT 1"), 1, 'a constraint is checked');
$boss->query('DROP TABLE sst_stored');

# --- Statistics of an index ---

# Of an index on 50 answers ANALYZE keeps all, in order.
sub statistics_are_answers
{
	my ($name) = @_;
	is($boss->query(q(SELECT histogram_bounds FROM pg_stats WHERE tablename = 'sst_few_score')),
		$boss->query("SELECT array_agg(sst2_score(body, '$model') ORDER BY sst2_score(body, '$model')) FROM sst_few"),
		"$name: the model's answers");
}

$boss->query('CREATE TABLE sst_few WITH (autovacuum_enabled = off) AS SELECT * FROM sst_test WHERE id <= 50; '
	  . 'CREATE INDEX sst_few_score ON sst_few (sst2_score(body))');
anew('ANALYZE', 'ANALYZE sst_few');
statistics_are_answers('ANALYZE');
$boss->query(<<'SQL');
UPDATE sst_few SET body = body || ' more';
ALTER TABLE sst_few SET (autovacuum_enabled = on, autovacuum_analyze_threshold = 0, autovacuum_analyze_scale_factor = 0);
SQL
configure(autovacuum_naptime => '1s');
$boss->query('INSERT INTO sst_few VALUES (0, \'one\')');
my $deadline = time + 120;
sleep 0.2 until $boss->query(q(SELECT autoanalyze_count > 0 FROM pg_stat_all_tables WHERE relname = 'sst_few')) eq 't'
  || time > $deadline;
sleep 0.2 until $boss->query(q(SELECT cardinality(histogram_bounds::text::real[]) FROM pg_stats )
	  . q(WHERE tablename = 'sst_few_score')) eq '51' || time > $deadline;
statistics_are_answers('autovacuum');
configure(autovacuum_naptime => undef);
$boss->query('DROP TABLE sst_few');

# --- Settings from before the library is loaded, by a parallel operation ---

$boss->query('DROP ROLE IF EXISTS sst_test_set; CREATE ROLE sst_test_set LOGIN; ALTER TABLE sst_test OWNER TO sst_test_set; '
	. 'GRANT ALL ON SCHEMA public TO sst_test_set');
my $show = 'SHOW distilsst.isa; SHOW distilsst.batch_size;';
my %first = (
	'a parallel query' => "$PARALLEL SELECT sum(sst2_score(body)::numeric) FROM sst_test;",
	'a parallel index build' => "$create;",
);
for my $how ('role', 'session')
{
	my $before = $how eq 'session' ? 'SET distilsst.isa = c; SET distilsst.batch_size = 7;' : '';
	$boss->query("ALTER ROLE sst_test_set SET distilsst.$_") for $how eq 'role' ? ('isa = c', 'batch_size = 7') : ();
	for my $what (sort keys %first)
	{
		my $out = $what =~ /query/ ? "$sum\n" : '';
		is(anew("$what, set for the $how", "$before\nBEGIN;\n$first{$what}\n$show\nCOMMIT;\n$show "
			  . "SELECT isa FROM sst2_model();\n$show", user => 'sst_test_set'),
			$out . "c\n7\nc\n7\nc\nc\n7", "$what: what is set for the $how holds, within the transaction and after it");
		$boss->query('DROP INDEX IF EXISTS sst_index');
		is(anew("$what, set for the $how, without a transaction", "$before\n$first{$what}\n$show RESET distilsst.isa; "
			  . "SET distilsst.batch_size = 8;\n$show",
				user => 'sst_test_set'), $out . "c\n7\n" . "c\n8", 'and can be set anew') if $how eq 'role';
		$boss->query('DROP INDEX IF EXISTS sst_index');
	}
	$boss->query('ALTER ROLE sst_test_set RESET ALL');
}
$boss->query('ALTER TABLE sst_test OWNER TO postgres; REVOKE ALL ON SCHEMA public FROM sst_test_set; DROP ROLE sst_test_set');

# --- Restored from a dump by parallel jobs ---

{
	# A table of over 10 MB, whose index is built in parallel.
	my $said;
	$boss->query('CREATE DATABASE sst_dumped');
	my $dumped = SstTest::Session->new(db => 'sst_dumped');
	$dumped->query(<<'SQL');
CREATE EXTENSION distilsst;
CREATE TABLE large (id int, body text, filler text DEFAULT repeat('x', 7000),
	label text GENERATED ALWAYS AS (sst2_label(body)) STORED,
	score real GENERATED ALWAYS AS (sst2_score(body)) STORED);
ALTER TABLE large ALTER filler SET STORAGE PLAIN;
INSERT INTO large SELECT i, chr(97 + i % 26) || ' film ' || i FROM generate_series(1, 1500) i;
CREATE INDEX large_expression ON large (sst2_score(body));
CREATE INDEX large_score ON large (score);
SQL
	cmp_ok($dumped->query(q(SELECT pg_relation_size('large'))), '>', 10 << 20, 'a table of over 10 MB');
	my $answers = "SELECT md5(string_agg(concat_ws(' ', id, %s, %s), ',' ORDER BY id)) FROM large";
	my $right = $dumped->query(sprintf $answers, "sst2_label(body, '$model')", "sst2_score(body, '$model')");
	is($dumped->query(sprintf $answers, 'label', 'score'), $right, 'with the model\'s answers');
	undef $dumped;
	IPC::Run::run([ 'pg_dump', '-Fc', '-f', "$dir/dump", 'sst_dumped' ], '>&', \$said) or diag $said;
	for my $jobs (1, 2)
	{
		$boss->query('CREATE DATABASE sst_restored TEMPLATE template0');
		IPC::Run::run([ 'pg_restore', '-e', '-j', $jobs, '-d', 'sst_restored', "$dir/dump" ], '>&', \$said);
		is("$? $said", '0 ', "pg_restore -j $jobs has nothing to say");
		my $restored = SstTest::Session->new(db => 'sst_restored');
		is($restored->query(sprintf $answers, 'label', 'score'), $right, 'the generated columns hold the model\'s answers');
		$restored->query('CREATE EXTENSION amcheck; SET client_min_messages = error') if $amcheck;
		is($restored->error("SELECT bt_index_check('large_expression', true), bt_index_check('large_score', true)"), undef,
			'and so do the indexes')
		  if $amcheck;
		undef $restored;
		$boss->query('DROP DATABASE sst_restored');
	}
	$boss->query('DROP DATABASE sst_dumped');
}

# --- The library loaded with the session, and with the server ---

configure(session_preload_libraries => 'distilsst');
is(anew('session_preload_libraries', "$PARALLEL SELECT sum(sst2_score(body)::numeric) FROM sst_test"), $sum,
	'session_preload_libraries');
anew('session_preload_libraries, an index', $create);
index_holds_answers('sst_index', 'session_preload_libraries');
is(anew('session_preload_libraries, settings', 'SHOW distilsst.model; SHOW distilsst.isa'), "$model\nauto",
	'the server\'s model in SHOW');
configure(session_preload_libraries => undef);

# --- A server of its own: the library preloaded, and a publisher of rows ---

{
	my $server = SstTest::Server->new(from => 'nothing',
		conf => "shared_preload_libraries = distilsst\nwal_level = logical\ndistilsst.model = '$model'\n"
		  . "distilsst.batch_size = 7\n");
	my $session = $server->session;
	$session->query('CREATE EXTENSION distilsst');
	is($server->session->query("SELECT sst2_logits('a b c'); SHOW distilsst.batch_size"),
		$boss->query("SELECT sst2_logits('a b c', model => '$model')") . "\n7", 'shared_preload_libraries');
	$session->query('CREATE TABLE sst_test (id int PRIMARY KEY, body text) WITH (parallel_workers = 2);
		INSERT INTO sst_test SELECT i, chr(97 + i % 26) || \' film \' || i FROM generate_series(1, 200) i; ANALYZE sst_test');
	is($server->session->query("$PARALLEL SELECT sum(sst2_score(body)::numeric) FROM sst_test"), $sum,
		'shared_preload_libraries, in parallel');
	$server->session->query("$create; SET enable_seqscan = off; SET enable_sort = off;");
	is($server->session->query('SET enable_seqscan = off; SET enable_sort = off;
		SELECT array_agg(id) FROM (SELECT id FROM sst_test ORDER BY sst2_score(body)) s'), $order, 'and an index');
	$session->query(q(ALTER SYSTEM SET distilsst.model = 'none-12345678'));
	$session->query('SELECT pg_reload_conf()');
	sleep 0.05 until $server->session->query('SHOW distilsst.model') eq 'none-12345678';
	is($server->session->error("SELECT sst2_label('a')")->{sqlstate}, '58P01', 'which follows a change of the setting');

	# The subscriber's apply worker computes its generated column.
	$session->query('CREATE TABLE sst_published (id int PRIMARY KEY, body text);
		CREATE PUBLICATION sst_publication FOR TABLE sst_published;
		INSERT INTO sst_published SELECT * FROM sst_test WHERE id <= 100');
	$boss->query("CREATE TABLE sst_published (id int PRIMARY KEY, body text,
			score real GENERATED ALWAYS AS (sst2_score(body)) STORED);
		CREATE INDEX sst_published_score ON sst_published (sst2_score(body))");
	$boss->query("CREATE SUBSCRIPTION sst_subscription CONNECTION 'host=$ENV{PGHOST} port=$server->{port} user=postgres "
		  . "dbname=postgres' PUBLICATION sst_publication");
	my $wait = time + 120;
	sleep 0.1 until $boss->query('SELECT count(*) FROM sst_published') == 100 || time > $wait;
	$session->query('INSERT INTO sst_published SELECT * FROM sst_test WHERE id > 100');
	sleep 0.1 until $boss->query('SELECT count(*) FROM sst_published') == 200 || time > $wait;
	is($boss->query('SELECT array_agg(score ORDER BY id) FROM sst_published'), $all,
		'copied and applied rows of a publication have the subscriber\'s answers');
	is(SstTest::Session->new->error("SELECT bt_index_check('sst_published_score', true)"), undef, 'and so has an index')
	  if $amcheck;
	$boss->query('DROP SUBSCRIPTION sst_subscription');
	$boss->query('DROP TABLE sst_published');
	$server->stop;
}

$boss->query('DROP TABLE sst_test');
$boss->query("DROP FUNCTION sst_test_$_") for 'sql', 'plpgsql', 'set_path', 'set_isa', 'definer';
$boss->query('DROP EXTENSION IF EXISTS amcheck');
done_testing();
