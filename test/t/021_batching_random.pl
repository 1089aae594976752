# Random statements show the same with batches of 1, 3 and 32 rows, in the same order: rows, notices, errors, values of sequences
# and locked rows. They have joins, subqueries, windows, set operations, CTEs, LATERAL, LIMIT, partitions, row level security,
# volatile functions, row locks, cursors of DECLARE, PL/pgSQL and SPI, prepared statements, triggers and writes, under random
# planner settings.
#
#   SEEDS=1..20    which seeds, each 110 statements; by default four fixed ones and a new one
#
# A failure prints the statement, its settings and the seed, which gives the same statements everywhere.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $PER_SEED = 110;
my ($first, $last) = ($ENV{SEEDS} // '') =~ /^(\d+)(?:\.\.(\d+))?$/;
my @seeds = defined $first ? ($first .. $last // $first) : (1 .. 4, time);
diag "seeds @seeds";

my $dir = server_dir();
my $model = made_model($dir, 'small', '1,32,2,64,64,300,2');
my $session = SstTest::Session->new(model => $model);

$session->query(<<'SQL');
CREATE TABLE sst_t (id int PRIMARY KEY, k int, a text, b text);
INSERT INTO sst_t SELECT n, n % 5, CASE WHEN n % 7 > 0 THEN 'a ' || n % 19 || ' b' END, repeat('c ', n % 4) || n
	FROM generate_series(1, 45) n;
CREATE INDEX ON sst_t (k);
CREATE INDEX ON sst_t (sst2_score(a));
CREATE TABLE sst_u (id int, k int, a text, b text);
INSERT INTO sst_u SELECT n * 2, n % 3, 'x ' || n % 5, CASE WHEN n % 4 > 0 THEN repeat('long ', n * 3) END
	FROM generate_series(1, 25) n;
CREATE INDEX ON sst_u (id);
CREATE TABLE sst_p (id int, k int, a text, b text) PARTITION BY LIST (k);
CREATE TABLE sst_p0 PARTITION OF sst_p FOR VALUES IN (0, 1);
CREATE TABLE sst_p1 PARTITION OF sst_p FOR VALUES IN (2, 3, NULL);
INSERT INTO sst_p SELECT n, n % 4, 'p ' || n % 9, 'q ' || n % 3 FROM generate_series(1, 40) n;
CREATE TABLE sst_s (id int, k int, a text, b text);
INSERT INTO sst_s SELECT n, n % 6, 's ' || n % 12, 'secret ' || n FROM generate_series(1, 40) n;
ALTER TABLE sst_s ENABLE ROW LEVEL SECURITY;
CREATE POLICY liked ON sst_s USING (sst2_score(a) > 0.5 OR k = 1);
CREATE POLICY odd ON sst_s AS RESTRICTIVE USING (id % 2 = 1);
CREATE ROLE sst_test_reader;
GRANT ALL ON sst_t, sst_u, sst_p, sst_s TO sst_test_reader;
CREATE FUNCTION sst_leak(text) RETURNS bool LANGUAGE plpgsql STABLE COST 0.0001 AS
	$$ BEGIN RAISE NOTICE 'saw %', $1; RETURN length($1) > 3; END $$;
CREATE SEQUENCE sst_s1;
GRANT ALL ON SEQUENCE sst_s1 TO sst_test_reader;
CREATE FUNCTION sst_volatile(int) RETURNS int LANGUAGE plpgsql AS
	$$ BEGIN RAISE NOTICE 'volatile %', $1; RETURN $1; END $$;
CREATE FUNCTION sst_trigger() RETURNS trigger LANGUAGE plpgsql AS
	$$ BEGIN RAISE NOTICE 'trigger % %', old.id, nextval('sst_s1'); RETURN new; END $$;
CREATE TRIGGER before BEFORE UPDATE ON sst_u FOR EACH ROW EXECUTE FUNCTION sst_trigger();
CREATE FUNCTION sst_cursor(options int, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	plain refcursor := 'plain';
	r record;
BEGIN
	IF options = 0 THEN OPEN plain FOR EXECUTE query;
	ELSIF options = 1 THEN OPEN plain SCROLL FOR EXECUTE query;
	ELSE OPEN plain NO SCROLL FOR EXECUTE query; END IF;
	FOR i IN 1 .. 3 LOOP FETCH plain INTO r; RETURN NEXT r::text; END LOOP;
	IF options < 2 THEN
		MOVE RELATIVE -1 FROM plain; FETCH PRIOR FROM plain INTO r; RETURN NEXT r::text;
		FETCH LAST FROM plain INTO r; RETURN NEXT r::text; FETCH ABSOLUTE 2 FROM plain INTO r; RETURN NEXT r::text;
	END IF;
	LOOP FETCH plain INTO r; EXIT WHEN NOT FOUND; RETURN NEXT r::text; END LOOP;
END $$;
CREATE FUNCTION sst_portal(query text, wanted int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	r record;
	portal text;
	id int;
BEGIN
	FOR r IN EXECUTE query LOOP
		RETURN NEXT r::text;
		wanted := wanted - 1;
		SELECT name INTO portal FROM pg_cursors WHERE name ~ 'unnamed'
			ORDER BY creation_time DESC, length(name) DESC, name DESC LIMIT 1;
		BEGIN
			EXECUTE format('UPDATE sst_t SET k = k WHERE CURRENT OF %I RETURNING id', portal) INTO id;
			RETURN NEXT id::text;
		EXCEPTION WHEN invalid_cursor_state THEN
			RETURN NEXT 'none';
		END;
		EXIT WHEN wanted = 0;
	END LOOP;
END $$;
CREATE FUNCTION sst_rows(query text) RETURNS SETOF text LANGUAGE plpgsql AS
	$$ DECLARE r record; BEGIN FOR r IN EXECUTE query LOOP RETURN NEXT r::text; END LOOP; END $$;
ANALYZE;
SQL

# --- Random expressions over columns, each [name, type] ---

sub one_of { return $_[ rand @_ ] }
sub chance { return rand() < $_[0] }

my $aliases;    # in the statement so far
sub alias { return 'r' . ++$aliases }

sub column
{
	my ($type, @columns) = @_;
	my @fit = grep { $_->[1] eq $type } @columns;
	return @fit ? one_of(@fit)->[0] : { text => "'none'", int => 3 }->{$type};
}

sub text_expr
{
	my ($depth, @columns) = @_;
	return column('text', @columns) if $depth <= 0 || chance(0.6);
	my $text = text_expr($depth - 1, @columns);
	return one_of(
		sub { "$text || ' " . one_of('a', 'b', 'not c') . "'" },
		sub { "upper($text)" },
		sub { "coalesce($text, " . text_expr($depth - 1, @columns) . ')' },
		sub { "CASE WHEN " . bool_expr($depth - 1, @columns) . " THEN $text END" },
		sub { "left($text, " . int_expr($depth - 1, @columns) . ')' },
		sub { "($text)::varchar(9)" },
		sub { "sst2_label($text)" },
		sub { '(SELECT max(u.a) FROM sst_u u WHERE u.k = ' . int_expr($depth - 1, @columns) . ')' },
	)->();
}

sub int_expr
{
	my ($depth, @columns) = @_;
	return column('int', @columns) if $depth <= 0 || chance(0.6);
	return one_of(
		sub { 'length(' . text_expr($depth - 1, @columns) . ')' },
		sub { int_expr($depth - 1, @columns) . ' + 1' },
		sub { chance(0.4) ? 'sst_volatile(' . int_expr($depth - 1, @columns) . ')' : '5' },
		sub { chance(0.4) ? one_of("nextval('sst_s1')::int",
			"(SELECT nextval('sst_s1')::int WHERE " . column('int', @columns) . ' > 3)') : '7' },
		sub { '(sst2_classify(' . text_expr($depth - 1, @columns) . ')).tokens' },
		sub { '(sst2_label(' . text_expr($depth - 1, @columns) . ") = 'POSITIVE')::int" },
	)->();
}

sub bool_expr
{
	my ($depth, @columns) = @_;
	return int_expr(0, @columns) . one_of(' < 20', ' > 2', ' IS NULL') if $depth <= 0;
	return one_of(
		sub { 'sst2_score(' . text_expr($depth - 1, @columns) . ') ' . one_of('>', '<=') . ' 0.5' },
		sub { 'sst2_label(' . text_expr($depth - 1, @columns) . ") = '" . one_of('POSITIVE', 'NEGATIVE') . "'" },
		sub { '(' . bool_expr($depth - 1, @columns) . one_of(' AND ', ' OR ') . bool_expr($depth - 1, @columns) . ')' },
		sub { 'NOT ' . bool_expr($depth - 1, @columns) },
		sub { text_expr($depth - 1, @columns) . ' IS NOT NULL' },
		sub { int_expr($depth - 1, @columns) . ' <> ' . int_expr($depth - 1, @columns) },
		sub {
			'EXISTS (SELECT FROM sst_u u WHERE u.id ' . one_of('=', '>') . column('int', @columns)
			  . ' AND sst2_score(u.a) > 0.4' . one_of('', ' OFFSET 0') . ')';
		},
		sub { text_expr(0, @columns) . ' IN (SELECT sst2_label(u.a) FROM sst_u u UNION ALL SELECT u.a FROM sst_u u)' },
	)->();
}

# An expression of type text, int or bool, most often with a call.
sub any_expr
{
	my ($depth, @columns) = @_;
	my $text = text_expr($depth - 1, @columns);
	return one_of(
		["sst2_label($text)", 'text'], ["sst2_score($text)::text", 'text'], ["sst2_label($text)", 'text'],
		["(sst2_classify($text)).label", 'text'], ["sst2_classify($text)::text", 'text'],
		["(sst2_logits($text))[1]::text", 'text'],
		["CASE sst2_label($text) WHEN 'POSITIVE' THEN 1 ELSE 0 END", 'int'],
		["nullif(sst2_label($text), " . text_expr(0, @columns) . ')', 'text'],
		[text_expr($depth, @columns), 'text'], [int_expr($depth, @columns), 'int'], [bool_expr($depth, @columns), 'bool']);
}

# --- Random queries. Each gives its text and its columns ---

# A subquery whose calls stay below an outer join.
sub joined_calls
{
	my ($alias, $table) = (alias(), one_of('sst_t', 'sst_u'));
	return ("(SELECT id, coalesce(sst2_label(a), b) AS c FROM $table) $alias", ["$alias.id", 'int'], ["$alias.c", 'text']);
}

# An item of FROM: its text and columns.
sub from_item
{
	my ($depth, @outer) = @_;
	my $alias = alias();
	my @columns = map { ["$alias.$_->[0]", $_->[1]] } ['id', 'int'], ['k', 'int'], ['a', 'text'], ['b', 'text'];
	my $table = one_of('sst_t', 'sst_t', 'sst_u', 'sst_p', 'sst_s');
	return ("$table $alias", @columns) if $depth <= 0 || chance(0.4);
	return one_of(
		sub {
			my ($query, @inner) = select_query($depth - 1);
			return ("($query) $alias", map { ["$alias.$_->[0]", $_->[1]] } @inner);
		},
		sub {
			my ($left, @left) = from_item($depth - 1);
			my ($right, @right) = chance(0.5) ? from_item($depth - 1) : joined_calls();
			my $on = column('int', @left) . ' = ' . column('int', @right);
			$on .= ' AND ' . bool_expr(1, @left, @right) if chance(0.3);
			# FULL JOIN needs a condition that can be merged
			$on = column('int', @left) . ' = ' . column('int', @right)
			  if (my $kind = one_of('', 'LEFT', 'RIGHT', 'FULL')) eq 'FULL';
			return ("$left $kind JOIN $right ON $on", @left, @right);
		},
		sub {
			my ($left, @left) = from_item(0);
			my ($query, @inner) = select_query($depth - 1, @left);
			return ("$left, LATERAL ($query) $alias", @left, map { ["$alias.$_->[0]", $_->[1]] } @inner);
		},
		sub {
			my ($table, @columns) = from_item(0);
			my $label = 'sst2_label(' . text_expr(1, @columns) . ')';
			my $n = one_of('rank()', 'row_number()', 'count(*)');
			return ("(SELECT c, n::int FROM (SELECT $label AS c, $n OVER (PARTITION BY k ORDER BY id) AS n FROM $table) w"
				  . " WHERE n < 4) $alias", ["$alias.c", 'text'], ["$alias.n", 'int']);
		},
		sub {
			my ($table) = one_of('sst_t', 'sst_u');
			return ("(SELECT * FROM $table" . one_of('', ' WHERE k > 0', ' ORDER BY id DESC', ' LIMIT 20')
				  . one_of(' FOR UPDATE', ' FOR SHARE',
					' FOR UPDATE SKIP LOCKED') . ") $alias", @columns);
		},
		sub { return ("(VALUES ('v 1', 1), (NULL, 2), ('v 3', 3)) $alias (v, n)", ["$alias.v", 'text'], ["$alias.n", 'int']) },
		sub { return ("unnest(ARRAY['w 1', NULL, 'w 2']) $alias (w)", ["$alias.w", 'text']) },
	)->();
}

sub where { return chance(0.6) ? ' WHERE ' . join(' AND ', map { bool_expr(2, @_) } 1 .. one_of(1, 1, 2, 3)) : '' }

# ORDER BY all columns, or nothing: then rows come in the plan's order, which batches do not change.
sub order_and_limit
{
	my (@columns) = @_;
	return '' if chance(0.5);
	return ' ORDER BY ' . join(', ', 1 .. @columns) . one_of('', ' LIMIT 5', ' LIMIT 12 OFFSET 3',
		' FETCH FIRST 3 ROWS WITH TIES');
}

sub plain_query
{
	my ($depth, @outer) = @_;
	my ($from, @columns) = from_item($depth, @outer);
	my $n = 0;
	my @select = map { any_expr(2, @columns, (chance(0.3) ? @outer : ())) } 1 .. one_of(1, 2, 3);
	my @named = map { ['c' . ++$n, $_->[1]] } @select;
	$n = 0;
	return ('SELECT ' . one_of('', '', '', 'DISTINCT ') . join(', ', map { "$_->[0] AS c" . ++$n } @select)
		  . " FROM $from" . where(@columns, @outer) . order_and_limit(@named), @named);
}

sub aggregate
{
	my (@columns) = @_;
	my $text = text_expr(1, @columns);
	my $aggregate = one_of("count(sst2_label($text))", 'count(*)', "min(sst2_label($text))",
		"sum(sst2_score($text)::numeric)::text", "count(DISTINCT sst2_score($text))",
		"string_agg(sst2_label($text), ',' ORDER BY sst2_label($text))",
		"max(CASE WHEN sst2_score($text) > 0.5 THEN 1 ELSE 0 END)");
	$aggregate .= ' FILTER (WHERE ' . bool_expr(1, @columns) . ')' if $aggregate !~ /::text$/ && chance(0.3);
	return [$aggregate, $aggregate =~ /^(min|string)|text$/ ? 'text' : 'int'];
}

sub grouped_query
{
	my ($depth, @outer) = @_;
	my ($from, @columns) = from_item($depth, @outer);
	my @keys = map { any_expr(1, @columns) } 1 .. one_of(0, 1, 1, 2);
	my @select = (@keys, map { aggregate(@columns) } 1 .. one_of(1, 2));
	my $n = 0;
	my @named = map { ['c' . ++$n, $_->[1]] } @select;
	my $by = join(', ', 1 .. @keys);
	if (@keys && chance(0.2))
	{
		my $column = column('text', @columns);
		@select[0 .. $#keys] = map { ["sst2_label($column)", 'text'] } @keys;
		$by = $column;
	}
	elsif (@keys && chance(0.3))
	{
		$by = one_of('ROLLUP', 'CUBE') . '(' . join(', ', map { $_->[0] } @keys) . ')';
	}
	$n = 0;
	return ('SELECT ' . join(', ', map { "$_->[0] AS c" . ++$n } @select) . " FROM $from" . where(@columns)
		  . (@keys ? " GROUP BY $by" : '')
		  . (chance(0.3) ? ' HAVING ' . one_of('count(*) > 1', 'sst2_score(max(' . column('text', @columns) . ')) > 0.5') : '')
		  . order_and_limit(@named), @named);
}

sub window_query
{
	my ($depth, @outer) = @_;
	my ($from, @columns) = from_item($depth, @outer);
	my ($x, $y) = (any_expr(1, @columns)->[0], any_expr(1, @columns)->[0]);
	my $window = one_of('', "PARTITION BY $y ") . "ORDER BY $x";
	my $function = one_of('rank()', 'dense_rank()', "count($y)", "first_value($x)", "lag($x)");
	my @named = (['c1', 'text'], ['c2', $function =~ /^(first|lag)/ ? 'text' : 'int']);
	my $cast = $named[1][1] eq 'text' ? '::text' : '';
	return ("SELECT ($x)::text AS c1, ($function OVER ($window))$cast AS c2 FROM $from" . where(@columns)
		  . order_and_limit(@named), @named);
}

sub select_query
{
	my ($depth, @outer) = @_;
	return plain_query($depth, @outer) if $depth <= 0 || chance(0.5);
	return one_of(
		sub { grouped_query($depth, @outer) },
		sub { window_query($depth, @outer) },
		sub {
			my ($table, @columns) = from_item(0);
			my ($other, @others) = from_item(0);
			return ('(SELECT sst2_label(' . text_expr(1, @columns) . ") AS c1 FROM $table) "
				  . one_of('UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT', 'EXCEPT ALL')
				  . ' (SELECT ' . text_expr(1, @others) . " FROM $other" . where(@others) . ')', ['c1', 'text']);
		},
		sub {
			return ('WITH l AS ' . one_of('', 'MATERIALIZED ') . '(SELECT * FROM sst_t'
				  . where(['id', 'int'], ['k', 'int'], ['a', 'text'], ['b', 'text'])
				  . one_of(' FOR UPDATE', ' FOR SHARE SKIP LOCKED', ' LIMIT 20')
				  . ') SELECT l.id AS c1, sst2_label(l.a) AS c2 FROM l'
				  . where(['l.id', 'int'], ['l.a', 'text']) . one_of('', ' LIMIT 3'), ['c1', 'int'], ['c2', 'text']);
		},
		sub {
			my ($name, ($query, @columns)) = (alias(), select_query($depth - 1));
			my $column = column('text', @columns);
			return ("WITH $name AS " . one_of('', 'MATERIALIZED ', 'NOT MATERIALIZED ')
				  . "($query) SELECT sst2_label(x.$column) AS c1, count(*)::int AS c2 FROM $name x, $name y GROUP BY 1",
				['c1', 'text'], ['c2', 'int']) if $column !~ /'/;
			return ($query, @columns);
		},
	)->();
}

# --- Random statements ---

# Moves of a cursor, mostly forward, which every cursor can.
sub moves
{
	return join('; ', map { chance(0.7) ? one_of('FETCH 3 FROM c', 'FETCH 1 FROM c', 'FETCH 7 FROM c', 'MOVE 2 FROM c')
			: one_of('FETCH PRIOR FROM c', 'FETCH BACKWARD 4 FROM c', 'FETCH LAST FROM c', 'FETCH ABSOLUTE 4 FROM c',
				'FETCH RELATIVE -2 FROM c',
			'FETCH FIRST FROM c', 'FETCH ALL FROM c', 'FETCH BACKWARD ALL FROM c') } 1 .. one_of(1, 2, 4));
}

# Statements for one transaction, which is rolled back.
sub statement
{
	my ($query) = select_query(one_of(0, 1, 1, 2));
	my $set = one_of('a = sst2_label(sst_t.b)', 'b = sst2_label(sst_t.a), k = sst_t.k + 1',
		'a = coalesce(sst2_label(sst_t.a), sst_t.b)');
	my $returning = 'RETURNING sst_t.id, sst_t.a';
	my ($where) = map { bool_expr(2, ['sst_t.id', 'int'], ['sst_t.k', 'int'], ['sst_t.a', 'text'], ['sst_t.b', 'text']) } 1;
	my $leak = 'sst_leak(b)' . (chance(0.5) ? ' AND ' . bool_expr(1, ['id', 'int'], ['a', 'text'], ['b', 'text']) : '');
	return $query if chance(0.6);
	my @t = map { ["sst_t.$_->[0]", $_->[1]] } ['id', 'int'], ['k', 'int'], ['a', 'text'], ['b', 'text'];
	return one_of(
		'SELECT ' . join(', ', map { $_->[0] } (any_expr(2, @t), any_expr(1, @t), ['sst_volatile(sst_t.k)'],
			['sst2_label(sst_t.b)'])[
			one_of([0, 1, 2, 3], [2, 0, 1], [3, 2, 0], [1, 2])->@*]) . " FROM sst_t ORDER BY sst_t.k DESC, sst_t.id LIMIT 5",
		"DECLARE c " . one_of('', 'INSENSITIVE ', 'SCROLL ', 'NO SCROLL ', 'BINARY ', 'INSENSITIVE SCROLL ') . 'CURSOR '
		  . one_of('', '', 'WITH HOLD ') . "FOR $query;\n" . moves() . one_of('', "; COMMIT; BEGIN; " . moves()) . '; CLOSE c',
		'DECLARE c ' . one_of('', 'SCROLL ', 'NO SCROLL ') . "CURSOR FOR SELECT id, sst2_label(a) FROM sst_t WHERE $where"
		  . one_of('', ' LIMIT 30', ' FOR UPDATE')
		  . ";\n" . moves() . '; UPDATE sst_t SET k = 7 WHERE CURRENT OF c RETURNING id; ' . moves()
		  . '; DELETE FROM sst_t WHERE CURRENT OF c RETURNING id',
		'SELECT * FROM sst_cursor(' . one_of(0, 1, 2) . ", \$query\$$query\$query\$)",
		'SELECT * FROM sst_portal(' . "\$query\$SELECT id, sst2_label(a) FROM sst_t WHERE $where\$query\$, "
		  . one_of(1, 3, 12) . ')',
		"PREPARE q (int, text) AS SELECT sst2_label(a || \$2), sst2_score(b)::text FROM sst_t WHERE k < \$1 AND "
		  . "sst2_label(a) <> \$2 LIMIT \$1;\nEXECUTE q (4, 'x'); EXECUTE q (0, 'y'); EXECUTE q (NULL, 'z'); DEALLOCATE q",
		"SELECT * FROM sst_rows(\$query\$$query\$query\$)",
		"COPY ($query) TO STDOUT",
		"CREATE TEMP TABLE made AS $query;\nTABLE made; DROP TABLE made",
		"UPDATE sst_t SET $set WHERE $where $returning;\nTABLE sst_t ORDER BY id",
		"UPDATE sst_u SET a = sst2_label(b), k = (k + 1) % 3 WHERE sst2_score(a) > 0.4 RETURNING id, a, sst2_label(a)",
		"UPDATE sst_t SET (a, k) = (SELECT sst2_label(u.b), u.k FROM sst_u u WHERE u.id = sst_t.id LIMIT 1) "
		  . "WHERE $where $returning",
		"UPDATE sst_t SET a = sst2_label(a) WHERE id IN (SELECT id FROM sst_t WHERE k > 0 ORDER BY id LIMIT 7 "
		  . "FOR UPDATE SKIP LOCKED) $returning",
		"WITH d AS (DELETE FROM sst_t WHERE $where $returning) SELECT id, sst2_label(a) FROM d LIMIT 4",
		"UPDATE sst_t SET $set FROM sst_u u WHERE u.id = sst_t.id AND $where $returning;\nTABLE sst_t ORDER BY id",
		"UPDATE sst_p SET a = sst2_label(b), k = (k + 1) % 4 WHERE sst2_score(a) > 0.5 RETURNING *;\nTABLE sst_p ORDER BY id",
		"DELETE FROM sst_t WHERE $where $returning, sst2_label(sst_t.b)",
		"INSERT INTO sst_t SELECT 100 + id, k, sst2_label(b), a FROM sst_u $returning",
		"SELECT sst2_label(b) FROM sst_t WHERE $where FOR UPDATE",
		"SET LOCAL ROLE sst_test_reader;\nSELECT id, sst2_label(a) FROM sst_s WHERE $leak",
		"SET LOCAL ROLE sst_test_reader;\nUPDATE sst_s SET b = sst2_label(b) WHERE $leak RETURNING *",
		"SET LOCAL ROLE sst_test_reader;\n$query");
}

sub settings
{
	my @off = grep { chance(0.2) }
	  qw(hashjoin mergejoin nestloop seqscan indexscan indexonlyscan bitmapscan hashagg sort material);
	# joins over indexes
	@off = ('hashjoin', one_of('nestloop', 'mergejoin'), 'seqscan', 'bitmapscan', 'sort', 'material') if chance(0.2);
	my %set = ((map { ("enable_$_" => 'off') } @off), 'jit' => 'off', 'max_parallel_workers_per_gather' => 0,
		'plan_cache_mode' => one_of(qw(auto force_generic_plan)));
	$set{work_mem} = '64kB' if chance(0.2);
	if (chance(0.15))
	{
		@set{qw(parallel_setup_cost parallel_tuple_cost min_parallel_table_scan_size)} = (0, 0, 0);
		$set{max_parallel_workers_per_gather} = one_of(1, 2);
	}
	return join('; ', map { "SET LOCAL $_ = '$set{$_}'" } sort keys %set);
}

# What a statement shows: its output, notices, the error, the sequence's value, the number of locked rows. Parallel workers
# return rows in any order. A cursor WITH HOLD that an error has left open is closed before the next statement.
sub result
{
	my ($settings, $size, $statement) = @_;
	my $result = $session->try("SELECT setval('sst_s1', 1, false) \\g /dev/null\nCLOSE ALL;\n"
		  . "BEGIN; SET LOCAL distilsst.batch_size = $size; "
		  . "$settings;\n$statement;\n"
		  . "RESET ROLE; SELECT 'locked', count(*) FROM sst_t WHERE xmax::text = txid_current()::text; "
		  . "SELECT last_value FROM sst_s1; ROLLBACK");
	die "the session is gone:\n$statement" unless $result->{alive};
	my $counted = $session->query('SELECT last_value, is_called FROM sst_s1');
	my @lines = split(/\n/, $result->{out});
	@lines = sort @lines if $settings =~ /parallel_setup_cost/;
	return join("\n", @lines, 'notices:', @{ $result->{notices} }, "counted: $counted", 'error:',
		$result->{error} ? "@{$result->{error}}{qw(sqlstate message)}" : ());
}

my ($statements, $batched, $errors) = (0, 0, 0);
for my $seed (@seeds)
{
	my @different;
	srand($seed);
	for (1 .. $PER_SEED)
	{
		$aliases = 0;
		my ($settings, $statement) = (settings(), statement());
		my $one = result($settings, 1, $statement);
		$statements++;
		$errors++ if $one !~ /error:\z/;
		# EXPLAIN takes some kinds of statements only, and of several the first
		$batched++ if $session->try("BEGIN; $settings;\nEXPLAIN $statement;\nROLLBACK")->{out} =~ /SstBatch/;
		for my $size (3, 32)
		{
			my $many = result($settings, $size, $statement);
			push @different, "$settings; SET LOCAL distilsst.batch_size = $size;\n$statement;\nbatched:\n$many\n"
			  . "one by one:\n$one\n" if $many ne $one;
		}
	}
	is("@different", '', "the same with batches of 1, 3 and 32, seed $seed");
}
diag "$statements statements, $errors errors, $batched plans seen with SstBatch";
cmp_ok($errors, '<', $statements / 4, 'most statements are valid');
cmp_ok($batched, '>', $statements / 4, 'many are batched');

$session->query('DROP TABLE sst_t, sst_u, sst_p, sst_s; DROP SEQUENCE sst_s1; DROP FUNCTION sst_leak, sst_volatile, '
	  . 'sst_trigger, sst_cursor, '
	  . 'sst_portal, sst_rows; DROP OWNED BY sst_test_reader; DROP ROLE sst_test_reader');
done_testing();
