# Random statements give the same rows and errors with batching and without: joins, subqueries, windows, set operations,
# CTEs, LATERAL, partitions, row level security, cursors, prepared statements, PL/pgSQL, statements that write, under random
# planner settings. A seed gives the same statements everywhere.
#
#   SEEDS=1..20    which seeds, each 110 statements
#
# A failure prints the statement and its settings.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $PER_SEED = 110;
my ($first, $last) = ($ENV{SEEDS} // '1..20') =~ /^(\d+)(?:\.\.(\d+))?$/ or die "SEEDS=FIRST..LAST";

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

# What stands in FROM: its text and columns.
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
			$on = column('int', @left) . ' = ' . column('int', @right) if (my $kind = one_of('', 'LEFT', 'RIGHT', 'FULL')) eq 'FULL';
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
		sub { return ("(VALUES ('v 1', 1), (NULL, 2), ('v 3', 3)) $alias (v, n)", ["$alias.v", 'text'], ["$alias.n", 'int']) },
		sub { return ("unnest(ARRAY['w 1', NULL, 'w 2']) $alias (w)", ["$alias.w", 'text']) },
	)->();
}

sub where { return chance(0.6) ? ' WHERE ' . join(' AND ', map { bool_expr(2, @_) } 1 .. one_of(1, 1, 2, 3)) : '' }

# ORDER BY all columns, so that LIMIT is determined.
sub order_and_limit
{
	my (@columns) = @_;
	return '' if chance(0.5);
	return ' ORDER BY ' . join(', ', 1 .. @columns) . one_of('', ' LIMIT 5', ' LIMIT 12 OFFSET 3', ' FETCH FIRST 3 ROWS WITH TIES');
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

# What is run, in one transaction that is rolled back.
sub statement
{
	my ($query) = select_query(one_of(0, 1, 1, 2));
	my $set = one_of('a = sst2_label(sst_t.b)', 'b = sst2_label(sst_t.a), k = sst_t.k + 1', 'a = coalesce(sst2_label(sst_t.a), sst_t.b)');
	my $returning = 'RETURNING sst_t.id, sst_t.a';
	my ($where) = map { bool_expr(2, ['sst_t.id', 'int'], ['sst_t.k', 'int'], ['sst_t.a', 'text'], ['sst_t.b', 'text']) } 1;
	my $leak = 'sst_leak(b)' . (chance(0.5) ? ' AND ' . bool_expr(1, ['id', 'int'], ['a', 'text'], ['b', 'text']) : '');
	return $query if chance(0.6);
	return one_of(
		"DECLARE c " . one_of('', 'INSENSITIVE ', 'SCROLL ', 'NO SCROLL ') . "CURSOR FOR $query;\nFETCH 3 FROM c; FETCH ALL FROM c",
		"PREPARE q (int, text) AS SELECT sst2_label(a || \$2), sst2_score(b)::text FROM sst_t WHERE k < \$1 AND "
		  . "sst2_label(a) <> \$2 LIMIT \$1;\nEXECUTE q (4, 'x'); EXECUTE q (0, 'y'); EXECUTE q (NULL, 'z'); DEALLOCATE q",
		"SELECT * FROM sst_rows(\$query\$$query\$query\$)",
		"COPY ($query) TO STDOUT",
		"CREATE TEMP TABLE made AS $query;\nTABLE made; DROP TABLE made",
		"UPDATE sst_t SET $set WHERE $where $returning;\nTABLE sst_t",
		"UPDATE sst_t SET $set FROM sst_u u WHERE u.id = sst_t.id AND $where $returning;\nTABLE sst_t",
		"UPDATE sst_p SET a = sst2_label(b), k = (k + 1) % 4 WHERE sst2_score(a) > 0.5 RETURNING *;\nTABLE sst_p",
		"DELETE FROM sst_t WHERE $where $returning, sst2_label(sst_t.b)",
		"INSERT INTO sst_t SELECT 100 + id, k, sst2_label(b), a FROM sst_u $returning",
		"SELECT sst2_label(b) FROM sst_t WHERE $where FOR UPDATE",
		"SET LOCAL ROLE sst_test_reader;\nSELECT id, sst2_label(a) FROM sst_s WHERE $leak",
		"SET LOCAL ROLE sst_test_reader;\nUPDATE sst_s SET b = sst2_label(b) WHERE $leak RETURNING *",
		"SET LOCAL ROLE sst_test_reader;\n$query");
}

sub settings
{
	my @off = grep { chance(0.2) } qw(hashjoin mergejoin nestloop seqscan indexscan indexonlyscan bitmapscan hashagg sort material);
	# joins over indexes
	@off = ('hashjoin', one_of('nestloop', 'mergejoin'), 'seqscan', 'bitmapscan', 'sort', 'material') if chance(0.2);
	my %set = ((map { ("enable_$_" => 'off') } @off), 'jit' => 'off', 'plan_cache_mode' => one_of(qw(auto force_generic_plan)));
	$set{work_mem} = '64kB' if chance(0.2);
	if (chance(0.15))
	{
		@set{qw(parallel_setup_cost parallel_tuple_cost min_parallel_table_scan_size)} = (0, 0, 0);
		$set{max_parallel_workers_per_gather} = one_of(1, 2);
	}
	return join('; ', map { "SET LOCAL $_ = '$set{$_}'" } sort keys %set);
}

# The lines that a statement gives, in any order, the notices in theirs, and its error.
sub result
{
	my ($settings, $size, $statement) = @_;
	my $result = $session->try("BEGIN; SET LOCAL distilsst.batch_size = $size; $settings;\n$statement;\nROLLBACK");
	die "the session is gone:\n$statement" unless $result->{alive};
	return join("\n", sort(split(/\n/, $result->{out})), 'notices:', @{ $result->{notices} }, 'error:',
		$result->{error} ? "@{$result->{error}}{qw(sqlstate message)}" : ());
}

my ($statements, $batched, $errors) = (0, 0, 0);
for my $seed ($first .. $last // $first)
{
	my @different;
	srand($seed);
	for (1 .. $PER_SEED)
	{
		$aliases = 0;
		my ($settings, $size, $statement) = (settings(), one_of(2, 3, 32, 512), statement());
		my $with = result($settings, $size, $statement);
		my $without = result($settings, 1, $statement);
		$statements++;
		$errors++ if $without !~ /error:\z/;
		# PostgreSQL cannot explain some of the statements, and the first of several only
		$batched++ if $session->try("BEGIN; $settings;\nEXPLAIN $statement;\nROLLBACK")->{out} =~ /SstBatch/;
		push @different, "$settings; SET LOCAL distilsst.batch_size = $size;\n$statement;\nbatched:\n$with\none by one:\n$without\n"
		  if $with ne $without;
	}
	is("@different", '', "the same with and without batching, seed $seed");
}
diag "$statements statements, $errors errors, $batched plans seen with SstBatch";
cmp_ok($errors, '<', $statements / 20, 'most statements are valid');
cmp_ok($batched, '>', $statements / 2, 'most are batched');

done_testing();
