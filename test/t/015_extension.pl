# The extension is dropped, created again, moved and updated; what depends on it is dumped and restored.

use strict;
use warnings;
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $boss = SstTest::Session->new;
my $share = $boss->query("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'");

# A new database for each part.
sub database
{
	my ($name) = @_;
	$boss->query("CREATE DATABASE $name TEMPLATE template0");
	return SstTest::Session->new(db => $name);
}

sub drop_database { $boss->query("DROP DATABASE $_[0] WITH (FORCE)") }

# A table with a generated column and an expression index, and a query by each of the two.
my $table = <<'SQL';
CREATE TABLE reviews (id int PRIMARY KEY, review text, label text GENERATED ALWAYS AS (sst2_label(review)) STORED);
CREATE INDEX reviews_score ON reviews (sst2_score(review));
INSERT INTO reviews SELECT i, (ARRAY['good', 'bad', 'boring', 'not', 'wonderful'])[1 + i % 5] || ' film ' || i
	FROM generate_series(1, 200) i;
SQL
my $by_column = q(SELECT md5(string_agg(id || label, ' ' ORDER BY id)) FROM reviews);
my $by_index = q(SELECT md5(string_agg(id::text, ' ' ORDER BY sst2_score(review), id)) FROM reviews )
  . q(WHERE sst2_score(review) > 0.5);

sub table_is
{
	my ($session, $column, $index, $name) = @_;
	is($session->query($by_column), $column, "$name: the generated column");
	$session->query('SET enable_seqscan = off');
	like($session->query("EXPLAIN $by_index"), qr/reviews_score/, 'a query uses the index');
	is($session->query($by_index), $index, 'and finds what it should');
	$session->query('SET enable_seqscan = on; SET enable_indexscan = off; SET enable_bitmapscan = off');
	is($session->query($by_index), $index, 'as without the index');
	$session->query('RESET ALL');
}

# --- Dropped and created in one session ---

{
	my $session = database('sst_test_drop');
	my $answer = q(SELECT sst2_logits('a fine film'), sst2_label(ARRAY['good', 'bad']));
	$session->query('CREATE EXTENSION distilsst');
	my $right = $session->query($answer);
	is($session->query("DROP EXTENSION distilsst; CREATE EXTENSION distilsst; $answer"), $right, "dropped and created, time $_")
	  for 1 .. 3;
	$session->query($table);
	my $error = $session->error('DROP EXTENSION distilsst');
	is($error->{sqlstate}, '2BP01', 'not dropped while something depends on it');
	my @was = ($session->query($by_column), $session->query($by_index));
	$session->query('BEGIN; DROP EXTENSION distilsst CASCADE; ROLLBACK');
	table_is($session, @was, 'after a DROP that was rolled back');
	$session->query('DROP EXTENSION distilsst CASCADE');
	is($session->error($answer)->{sqlstate}, '42883', 'dropped');
	is($session->query('SELECT count(*) FROM pg_attribute WHERE attrelid = \'reviews\'::regclass AND attname = \'label\''), 0,
		'with the generated column');
	is($session->query("CREATE SCHEMA other; CREATE EXTENSION distilsst SCHEMA other; SET search_path = other; $answer"), $right,
		'in another schema');
	is($session->query("ALTER EXTENSION distilsst SET SCHEMA public; RESET search_path; $answer"), $right, 'and moved');
	undef $session;
	drop_database('sst_test_drop');
}

# --- Updated ---

# All objects of an extension, as text.
my $catalog = <<'SQL';
SELECT string_agg(pg_describe_object(classid, objid, 0) || E'\n' ||
		coalesce((SELECT pg_get_functiondef(p.oid) || coalesce(p.proacl::text, '') FROM pg_proc p
			WHERE p.oid = objid AND classid = 'pg_proc'::regclass), '') ||
		coalesce(obj_description(objid, classid::regclass::name), ''),
	E'\n' ORDER BY pg_describe_object(classid, objid, 0))
FROM pg_depend WHERE deptype = 'e'
	AND refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'distilsst')
SQL

# A version of no release: it adds one function and changes another.
my $next = '9999';
my $default = $boss->query(q(SELECT default_version FROM pg_available_extensions WHERE name = 'distilsst'));
my $script = write_file("$share/extension/distilsst--$default--$next.sql", <<"SQL");
\\echo Use "ALTER EXTENSION distilsst UPDATE TO '$next'" to load this file. \\quit
CREATE FUNCTION sst2_name(text) RETURNS text
AS 'MODULE_PATHNAME', 'sst2_label' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100000;
COMMENT ON FUNCTION sst2_name(text) IS 'label of a text';
ALTER FUNCTION sst2_token_count(text) COST 200;
SQL
END { unlink $script if $script }

{
	my @versions = split /\n/,
	  $boss->query(q(SELECT version FROM pg_available_extension_versions WHERE name = 'distilsst' ORDER BY version));
	is((grep { $_ eq $default } @versions), 1, 'the default version can be installed');

	for my $to ($default, $next)
	{
		my $session = database('sst_test_fresh');
		$session->query("CREATE EXTENSION distilsst VERSION '$to'");
		my $fresh = $session->query($catalog);
		undef $session;
		drop_database('sst_test_fresh');
		for my $from (grep { $_ ne $next } @versions)
		{
			$session = database('sst_test_update');
			$session->query("CREATE EXTENSION distilsst VERSION '$from'; $table");
			my @was = ($session->query($by_column), $session->query($by_index));
			my $old = $session->query($catalog);
			$session->query("ALTER EXTENSION distilsst UPDATE TO '$to'");
			is($session->query($catalog), $fresh, "version $from updated to $to has the objects of a fresh $to");
			($from eq $to ? \&is : \&isnt)->($fresh, $old, 'which differ where the versions do');
			table_is($session, @was, 'what depends on it stays');
			is($session->query(q(SELECT sst2_name('good'))), 'POSITIVE', 'what is new is there') if $to eq $next;
			undef $session;
			drop_database('sst_test_update');
		}
	}
}

# --- Dumped and restored ---

sub run_ok
{
	my ($name, @command) = @_;
	my $said = '';
	ok(IPC::Run::run(\@command, '>&', \$said), $name) or diag $said;
	is($said, '', 'without a word');
}

{
	my $dir = server_dir();
	my $session = database('sst_test_dump');
	$session->query("CREATE EXTENSION distilsst; $table");
	my @was = ($session->query($by_column), $session->query($by_index));
	run_ok('pg_dump', 'pg_dump', '-Fc', '-f', "$dir/dump", 'sst_test_dump');
	run_ok('pg_dump as SQL', 'pg_dump', '-f', "$dir/dump.sql", 'sst_test_dump');

	my $restored = database('sst_test_restore');
	run_ok('pg_restore', 'pg_restore', '-e', '-d', 'sst_test_restore', "$dir/dump");
	table_is($restored, @was, 'restored');
	undef $restored;
	drop_database('sst_test_restore');

	$restored = database('sst_test_restore');
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'sst_test_restore', '-f', "$dir/dump.sql" ],
		'>', \my $said);
	is($?, 0, 'restored by psql');
	table_is($restored, @was, 'restored by psql');
	undef $restored;
	drop_database('sst_test_restore');

	# A dump has no values of generated columns: a restore computes them, here by the server's new model.
	server_model(made_model($dir, 'other', '1,32,2,64,16,300,2'));
	$restored = database('sst_test_restore');
	run_ok('pg_restore with another model', 'pg_restore', '-e', '-d', 'sst_test_restore', "$dir/dump");
	my @other = map { $restored->query($_) } $by_column, $by_index;
	isnt("@other", "@was", 'the labels are those of the other model');
	is($restored->query('SELECT count(*) FROM reviews WHERE label <> sst2_label(review)'), 0, 'of every row');
	table_is($restored, @other, 'restored with another model');
	undef $_ for $restored, $session;
	drop_database($_) for 'sst_test_restore', 'sst_test_dump';
}

done_testing();
