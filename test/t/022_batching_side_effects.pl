# Rows are read ahead only where that cannot show: volatile functions, row locks, sequences, cursors of every origin and
# functions of other libraries see the same with batches of 1, 3 and 32 rows.

use strict;
use warnings;
use FindBin;
use IO::Socket::UNIX;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my $session = SstTest::Session->new(model => made_model($dir, 'small', '1,32,2,64,64,300,2'));

$session->query(<<'SQL');
SELECT sst2_label('load the library');
CREATE TABLE sst_m (id int PRIMARY KEY, body text, score real);
INSERT INTO sst_m SELECT n, 'text ' || n FROM generate_series(1, 40) n;
CREATE INDEX ON sst_m (body);
CREATE SEQUENCE sst_s;
CREATE FUNCTION sst_noisy(int, text) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 + 1';
CREATE FUNCTION sst_noisy_step(int, text) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', $2; RETURN $1 + 1; END';
CREATE AGGREGATE sst_noisy_count(text) (sfunc = sst_noisy_step, stype = int, initcond = '0');
CREATE FUNCTION sst_checked(text) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', $1; RETURN true; END';
CREATE DOMAIN sst_domain AS text CHECK (sst_checked(VALUE));
VACUUM ANALYZE sst_m;
SQL

# Everything that can be seen of statements, in a transaction that is rolled back.
sub seen
{
	my ($size, $statements) = @_;
	my $result = $session->try("BEGIN; SET LOCAL distilsst.batch_size = $size;\n"
		  . "SELECT setval('sst_s', 1, false) \\g /dev/null\n$statements;\nROLLBACK");
	BAIL_OUT("the session is gone:\n$statements") unless $result->{alive};
	return join("\n", $result->{out}, 'notices:', @{ $result->{notices} }, 'error:',
		$result->{error} ? "@{$result->{error}}{qw(sqlstate message)}" : 'none');
}

# Checks that this is the same for all batch sizes, and what it must be.
sub same
{
	my ($name, $statements, $wanted) = @_;
	my $one = seen(1, $statements);
	like($one, $wanted, "$name: row by row");
	is(seen($_, $statements), $one, "$name: $_ rows") for 3, 32;
}

# --- Volatile functions. LIMIT 5 ends within a batch, of 1, 2, 3 or 1, 2, 4 rows, so reading ahead would show ---

my $next = "SELECT 'next', nextval('sst_s')";
same('a SubPlan of the select list', "SELECT sst2_label(body), (SELECT nextval('sst_s') WHERE id > 0) FROM sst_m LIMIT 5 "
	  . "OFFSET 2; $next",
	qr/\|3\n.*\|4\n.*\|5\n.*\|6\n.*\|7\nnext\|8$/m);
same('a SubPlan below', "SELECT sst2_label(body), n FROM (SELECT body, (SELECT nextval('sst_s') WHERE id > 0) AS n FROM sst_m "
	  . "OFFSET 0) s "
	  . "WHERE sst2_score(body) >= 0 LIMIT 5; $next", qr/^next\|6$/m);
same('an initplan that is not always wanted', "SELECT id FROM sst_m WHERE CASE WHEN id > 5 THEN (SELECT nextval('sst_s')) "
	  . "ELSE 1 END > 0 "
	  . "AND sst2_score(body) >= 0 LIMIT 5; $next", qr/^next\|1$/m);
same('a CTE', "WITH c AS MATERIALIZED (SELECT id, body, nextval('sst_s') AS n FROM sst_m) SELECT id, n FROM c "
	  . "WHERE sst2_score(body) >= 0 "
	  . "LIMIT 5; $next", qr/^next\|6$/m);
same('both sides of SstBatch', "SELECT n, nextval('sst_s') FROM (SELECT body, nextval('sst_s') AS n FROM sst_m OFFSET 0) s "
	  . "WHERE sst2_score(body) >= 0 LIMIT 5; $next", qr/^1\|2\n3\|4\n5\|6\n7\|8\n9\|10\nnext\|11$/m);
my $loop = 'SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_material = off';
my $lateral = "SELECT l.n, nextval('sst_s'), sst2_label(body || l.n) IS NULL FROM sst_m m, LATERAL";
same('a sequence as a table', "$loop; $lateral (SELECT last_value AS n FROM sst_s WHERE m.id > 0 OFFSET 0) l LIMIT 5; $next",
	qr/^1\|1\|f\n1\|2\|f\n2\|3\|f\n3\|4\|f\n4\|5\|f\nnext\|6$/m);
same('the inner side of a join', "$loop; $lateral (SELECT nextval('sst_s') AS n OFFSET m.id * 0) l LIMIT 5; $next",
	qr/^1\|2\|f\n3\|4\|f\n5\|6\|f\n7\|8\|f\n9\|10\|f\nnext\|11$/m);
same('sorted again for each row', "$loop; $lateral (SELECT nextval('sst_s') AS n ORDER BY 1 OFFSET m.id * 0) l LIMIT 5; $next",
	qr/^1\|2\|f\n3\|4\|f\n5\|6\|f\n7\|8\|f\n9\|10\|f\nnext\|11$/m);
same('sorted once', "SELECT sst2_label(body) IS NULL FROM sst_m ORDER BY nextval('sst_s') LIMIT 5; $next", qr/^next\|41$/m);
like($session->query("EXPLAIN SELECT sst2_label(body) FROM sst_m ORDER BY nextval('sst_s') LIMIT 5"), qr/SstBatch/,
	'which is batched');
same('an aggregate of volatile functions', "SET LOCAL enable_hashagg = off; SELECT body, sst_noisy_count(body) FROM sst_m "
	  . "GROUP BY body "
	  . "HAVING sst2_score(max(body)) >= 0 LIMIT 5", qr/notices:\n(.*\n){5,6}error/);
same('a domain', "SELECT id FROM sst_m WHERE (body)::sst_domain IS NOT NULL AND sst2_score(body) >= 0 LIMIT 5",
	qr/notices:\n(text \d+\n){5}error:/);
same('a volatile text', "SELECT sst2_score(body || nextval('sst_s')) IS NULL FROM sst_m LIMIT 5; $next", qr/^next\|6$/m);
same('a trigger between', "CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''% %'', old.id, "
	  . "nextval(''sst_s''); "
	  . "RETURN new; END'; CREATE TRIGGER t BEFORE UPDATE ON sst_m FOR EACH ROW EXECUTE FUNCTION pg_temp.f(); "
	  . "UPDATE sst_m SET score = sst2_score(body) + (SELECT nextval('sst_s') WHERE id > 0) WHERE id < 4 RETURNING id, score > 5",
	qr/^2 4$/m);
same('rows without end', "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
	  . "SELECT i FROM n WHERE i <= 5 AND sst2_score('t' || i) >= 0 LIMIT 5", qr/^5\nnotices:\nerror:\nnone/m);

# --- Parameters that have no value yet ---

same('a multi-assignment', 'CREATE CAST (text AS real) WITH FUNCTION sst2_score(text) AS ASSIGNMENT; '
	  . 'UPDATE sst_m SET (score, id) = (SELECT x.body, sst_m.id FROM sst_m x WHERE x.id = sst_m.id) WHERE id < 20 '
	  . 'RETURNING id, score > 0',
	qr/^19\|t$/m);

# --- Locks ---

my $locked = "SELECT 'locked', count(*) FROM sst_m WHERE xmax::text = txid_current()::text";
same('row locks in a CTE', "WITH l AS MATERIALIZED (SELECT id, body FROM sst_m FOR UPDATE SKIP LOCKED) "
	  . "SELECT id FROM l WHERE sst2_score(body) >= 0 LIMIT 6; $locked", qr/^locked\|6$/m);
same('row locks in a subquery', "SELECT id, sst2_label(body) FROM (SELECT * FROM sst_m FOR SHARE) s LIMIT 5; $locked",
	qr/^locked\|5$/m);
same('row locks above', "SELECT id FROM sst_m WHERE sst2_score(body) >= 0 ORDER BY id FOR UPDATE LIMIT 6; $locked",
	qr/^locked\|6$/m);
same('advisory locks', "SELECT sst2_label(body) FROM (SELECT body FROM sst_m WHERE pg_try_advisory_xact_lock(id)) s LIMIT 5; "
	  . "SELECT 'locks', count(*) FROM pg_locks WHERE locktype = 'advisory'", qr/^locks\|5$/m);
same('rows taken from a queue', "UPDATE sst_m SET score = sst2_score(body) WHERE id IN (SELECT id FROM sst_m WHERE score IS NULL "
	  . "ORDER BY id LIMIT 5 FOR UPDATE SKIP LOCKED) RETURNING id; $locked", qr/^locked\|5$/m);
like($session->query("EXPLAIN UPDATE sst_m SET score = sst2_score(body) WHERE id IN (SELECT id FROM sst_m WHERE score IS NULL "
	  . "LIMIT 5 FOR UPDATE SKIP LOCKED)"), qr/SstBatch/, 'which is batched, for the locks are taken before');
same('a modifying CTE', "WITH d AS (DELETE FROM sst_m WHERE id > 30 RETURNING id, body) SELECT id, sst2_score(body) > 0 FROM d "
	  . "LIMIT 2",
	qr/^32\|t$/m);

# --- Cursors ---

my $update = 'UPDATE sst_m SET score = 0 WHERE CURRENT OF c RETURNING id';
same('WHERE CURRENT OF over locks below', "DECLARE c CURSOR FOR SELECT id, sst2_label(body) FROM "
	  . "(SELECT * FROM sst_m FOR UPDATE OFFSET 0) s; "
	  . "FETCH 5 FROM c; $update", qr/^5\n.*error/ms);
same('over a CTE with locks', "DECLARE c CURSOR FOR WITH l AS MATERIALIZED (SELECT * FROM sst_m FOR UPDATE) "
	  . "SELECT id, sst2_label(body) FROM l; "
	  . "FETCH 5 FROM c; $update", qr/^5\n.*error/ms);
same('over a join with locks', "DECLARE c CURSOR FOR SELECT a.id, sst2_label(a.body) FROM "
	  . "(SELECT * FROM sst_m FOR UPDATE OFFSET 0) a "
	  . "JOIN sst_m b ON b.id = a.id WHERE a.id < 20; FETCH 5 FROM c; $update", qr/error/);
for my $options ('', 'INSENSITIVE', 'SCROLL', 'NO SCROLL', 'BINARY')
{
	same("a cursor $options", "DECLARE c $options CURSOR FOR SELECT id FROM sst_m WHERE sst2_score(body) >= 0; FETCH 7 FROM c; "
		  . "$update; FETCH BACKWARD 3 FROM c; $update; FETCH NEXT FROM c; $update; FETCH LAST FROM c; "
		  . "FETCH PRIOR FROM c; FETCH ALL FROM c; "
		  . 'FETCH FIRST FROM c; FETCH PRIOR FROM c; FETCH NEXT FROM c; FETCH ABSOLUTE -4 FROM c', qr/error/);
}
same('a cursor WITH HOLD', "DECLARE c CURSOR WITH HOLD FOR SELECT id, nextval('sst_s') FROM sst_m WHERE sst2_score(body) >= 0; "
	  . "FETCH 3 FROM c; "
	  . "COMMIT; BEGIN; FETCH 3 FROM c; FETCH PRIOR FROM c; CLOSE c; $next", qr/^next\|44$/m);
same('an index-only scan', "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; "
	  . "DECLARE c CURSOR FOR SELECT sst2_label(body) FROM sst_m ORDER BY body; "
	  . "MOVE 9 FROM c; $update; MOVE BACKWARD 4 FROM c; $update", qr/^17\n13\n/m);
same('a loop in PL/pgSQL', <<'SQL', qr/^loop at 1, portal at \d+$/m);
DO $$
DECLARE
	r record;
	portal text;
	updated int;
BEGIN
	FOR r IN SELECT m.id, sst2_label(m.body) FROM sst_m m LOOP
		SELECT name INTO portal FROM pg_cursors WHERE statement ~ 'sst_m m';
		EXECUTE format('UPDATE sst_m SET score = 1 WHERE CURRENT OF %I RETURNING id', portal) INTO updated;
		RAISE NOTICE 'loop at %, portal at %', r.id, updated;
		EXIT WHEN r.id = 8;
	END LOOP;
END $$
SQL

# --- A portal of the protocol: Bind names it, Execute fetches some rows, another statement updates its current row ---

my $socket = IO::Socket::UNIX->new(Peer => "$ENV{PGHOST}/.s.PGSQL.$ENV{PGPORT}") or die "connect: $!";

# Reads a message: its type and its body.
sub message
{
	read($socket, my $head, 5) == 5 or die 'the server is silent';
	my ($type, $length) = unpack('aN', $head);
	read($socket, my $body, $length - 4) if $length > 4;
	return ($type, $body // '');
}

# Sends messages, each [type, body]. Returns the first columns of the rows that come until the server is ready, and its error.
sub talk
{
	$socket->print(map { ($_->[0], pack('N', 4 + length $_->[1]), $_->[1]) } @_);
	$socket->flush;
	my @rows;
	while ((my ($type, $body) = message())[0] ne 'Z')
	{
		push @rows, unpack('x2 N/a', $body) if $type eq 'D';
		push @rows, $body =~ /\0M([^\0]*)/ if $type eq 'E';
	}
	return "@rows";
}

$socket->print(pack('N', 8 + length "user\0postgres\0database\0postgres\0\0") . pack('N', 196608)
	  . "user\0postgres\0database\0postgres\0\0");
talk();
for my $size (1, 3, 32)
{
	talk(['Q', "SET distilsst.batch_size = $size; SELECT sst2_label('load the library')\0"]);
	talk(['Q', "BEGIN\0"]);
	is(talk(['P', "\0SELECT id, sst2_label(body) FROM sst_m\0" . pack('n', 0)], ['B', "p\0\0" . pack('nnn', 0, 0, 0)],
			['E', "p\0" . pack('N', 5)], ['S', '']), '1 2 3 4 5', "a portal of the protocol gives five rows: $size");
	is(talk(['Q', "UPDATE sst_m SET score = 0 WHERE CURRENT OF p RETURNING id\0"]), '5', 'and stands at the fifth');
	is(talk(['E', "p\0" . pack('N', 3)], ['S', '']), '6 7 8', 'and gives three more');
	talk(['Q', "ROLLBACK\0"]);
}

# --- Functions of other libraries ---

$session->query("CREATE FUNCTION sst_stranger(text) RETURNS text AS '\$libdir/distilsst', 'sst2_label' "
	  . "LANGUAGE C STRICT IMMUTABLE");
SKIP:
{
	# execution looks functions up again when it starts, but not those of a partition that it prunes before
	skip 'PostgreSQL 13 keeps one partition', 1 if $session->query('SHOW server_version_num') < 140000;
	$session->query(<<'SQL');
CREATE TABLE sst_parts (id int, body text) PARTITION BY RANGE (id);
CREATE TABLE sst_part PARTITION OF sst_parts FOR VALUES FROM (0) TO (10);
CREATE TABLE sst_part2 PARTITION OF sst_parts FOR VALUES FROM (10) TO (20);
UPDATE pg_proc SET probin = '$libdir/no_such_library' WHERE proname = 'sst_stranger';
SET plan_cache_mode = force_generic_plan;
PREPARE pruned (int) AS SELECT sst_stranger(body) FROM sst_parts WHERE id = $1;
SQL
	is($session->query('EXECUTE pruned (100); RESET plan_cache_mode; DROP TABLE sst_parts; DEALLOCATE pruned'), '',
		'planning loads no library of others');
}
for my $change ("probin = '\$libdir/distilsst', prosrc = 'sst2_token_count'", "prosrc = 'sst2_label', proisstrict = false",
	"proisstrict = true, provolatile = 'v'", "provolatile = 'i', prosecdef = true",
	"prosecdef = false, proconfig = '{work_mem=1MB}'")
{
	$session->query("UPDATE pg_proc SET $change WHERE proname = 'sst_stranger'");
	unlike($session->query('EXPLAIN SELECT sst_stranger(body) FROM sst_m'), qr/SstBatch/, "nor is one batched with $change");
}
$session->query("UPDATE pg_proc SET proconfig = NULL WHERE proname = 'sst_stranger'");
like($session->query('EXPLAIN SELECT sst_stranger(body) FROM sst_m'), qr/SstBatch/, 'but it is if declared as ours are');

$session->query('DROP TABLE sst_m; DROP SEQUENCE sst_s; DROP AGGREGATE sst_noisy_count(text); DROP DOMAIN sst_domain; '
	  . 'DROP FUNCTION sst_noisy, sst_noisy_step, sst_checked, sst_stranger');
done_testing();
