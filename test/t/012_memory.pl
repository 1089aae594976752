# 10,000 calls and 1,000 errors in one session leak nothing, and models that cannot be used close none of those that are open.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $dir = server_dir();
my $model = install_model(made_model($dir, 'small', '1,32,2,64,512,300,2'));

# Two that cannot be used: one is truncated; in one the embedding of "a", id 133, is damaged: see 001_model_files.pl.
my ($truncated, $embedding);
{
	my $packed = read_file(made_model($dir, 'truncated', '1,32,2,64,512,301,2'));
	$truncated = model_name("$dir/truncated.dsst");
	install_bytes($truncated, substr($packed, 0, -1));
	$packed = read_file(made_model($dir, 'embedding', '1,32,2,64,512,302,2'));
	my $weights = read_file("$dir/embedding/model.safetensors");
	my $row = 32 * 4;
	my $at = index($packed, substr($weights, 8 + unpack('Q<', $weights) + 133 * $row, $row));
	$embedding = model_name("$dir/embedding.dsst");
	install_bytes($embedding, substr($packed, 0, $at) . "\1" . substr($packed, $at + 1));
}

my $session = SstTest::Session->new(model => $model);
$session->query('SET jit = off');	# compiled queries leave memory behind in LLVM
my $contexts = $session->query('SHOW server_version_num') >= 140000
  ? 'SELECT sum(total_bytes)::bigint / 1000 FROM pg_backend_memory_contexts'
  : 'SELECT 0';

# What the session holds: private memory in kB, memory contexts in kB, open files, mapped models.
sub usage
{
	my $pid = $session->pid;
	$session->query("SELECT sst2_label('a')");
	my ($anonymous) = read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return ($anonymous, $session->query($contexts), scalar(() = glob "/proc/$pid/fd/*"),
		scalar(() = read_file("/proc/$pid/maps") =~ /\.dsst$/mg));
}

# Five calls for each n; no text is repeated.
my $calls = q(SELECT count(sst2_score('text ' || n)), count(sst2_label(ARRAY['x' || n, 'y'])), count(sst2_tokens('z' || n)),
	count(sst2_classify(n || repeat(' b', 600))), count(sst2_token_count('w' || n)) FROM generate_series(%d, %d) n);

# Ten errors, each with its SQLSTATE: in a call, in opening and in using a model, in a call that is stopped; the same in a
# subtransaction and in an exception block.
my @errors = (
	[ '22003', 'SELECT sst2_logits(ARRAY[-1])' ],
	[ '22023', q(SELECT sst2_logits('{}'::int[])) ],
	[ '58P01', "SELECT sst2_label('a', model => 'missing-12345678')" ],
	[ 'XX001', "SELECT sst2_label('a', model => '$truncated')" ],
	[ 'XX001', "SELECT sst2_label(ARRAY['b c', 'a b c'], model => '$embedding')" ],
	[ '57014', "SELECT pg_cancel_backend(pg_backend_pid()), sst2_token_count(repeat('great film ', n)) "
		  . "FROM generate_series(3000000, 3000000) n" ],
	[ '22003', "BEGIN; SAVEPOINT s; SELECT sst2_label('a'), sst2_logits(ARRAY[300])" ],
	[ 'XX001', "ROLLBACK TO s; SELECT sst2_label('a', model => '$truncated')" ],
	[ '22023', "ROLLBACK; SELECT sst2_fingerprint('/etc/passwd')" ],
	[ 'P0001', <<SQL ],
DO \$\$ BEGIN
	BEGIN PERFORM sst2_score(ARRAY['a', 'b']), sst2_logits(ARRAY[-1]); EXCEPTION WHEN numeric_value_out_of_range THEN
		PERFORM sst2_label('b', model => '$embedding'); END;
	PERFORM sst2_label('a', model => '$embedding');
EXCEPTION WHEN data_corrupted THEN RAISE 'caught'; END \$\$
SQL
);
my $wanted = join(' ', map { $_->[0] } @errors);
my $errors = join(";\n", map { $_->[1] } @errors);

my $wrong = 0;

sub work
{
	my ($from, $count) = @_;
	$session->query(sprintf $calls, $from, $from + $count / 5 - 1);
	for (1 .. $count / 100)
	{
		my $said = $session->try($errors)->{said};
		my $got = join(' ', $said =~ /ERROR:  (\w{5}):/g);
		$wrong++ or diag $said if $got ne $wanted;
	}
}

usage();
work(1, 10_000);
my @before = usage();
work(10_001, 10_000);
my @after = usage();
diag "memory of its own kB, contexts kB, files, mappings: before @before, after @after";
is($wrong, 0, '10,000 calls, and the 1,000 errors that there should be');
cmp_ok($after[0] - $before[0], '<', 500, 'they leave no memory behind');
cmp_ok($after[1] - $before[1], '<', 100, 'nor memory contexts');
is($after[2], $before[2], 'nor open files');
cmp_ok($before[3], '<=', 2, 'the model and the damaged one are mapped, at most');
is($after[3], $before[3], 'and no more');
is($session->query("SELECT sst2_logits('a b c')"), SstTest::Session->new->query("SELECT sst2_logits('a b c')"),
	'the session answers as a new one');

# --- Five good models, and bad ones in turn ---

{
	my @good = map { install_model(made_model($dir, "good$_", "1,32,2,6$_,64,300,2")) } 1 .. 5;
	my @bad = ([ '58P01', 'missing-12345678' ], [ 'XX001', $truncated ], [ '22023', 'none' ]);
	my %right = map { $_ => SstTest::Session->new->query("SELECT sst2_logits('b c', model => '$_')") } @good;
	is(scalar(keys %{ { reverse %right } }), 5, 'five models that differ');
	my ($most, $wrong_answers, $wrong_errors) = (0, 0, 0);
	my $round = sub {
		my ($count) = @_;
		for my $n (1 .. $count)
		{
			for my $i (0 .. $#good)
			{
				my ($sqlstate, $bad) = @{ $bad[ ($n + $i) % @bad ] };
				$wrong_answers++ if $session->query("SELECT sst2_logits('b c', model => '$good[$i]')") ne $right{ $good[$i] };
				my $error = $session->error("SELECT sst2_logits('b c', model => '$bad')");
				$wrong_errors++ if $error->{sqlstate} ne $sqlstate;
			}
			my $mapped = (usage())[3];
			$most = $mapped if $mapped > $most;
		}
		return usage();
	};
	my @before = $round->(100);
	my @after = $round->(100);
	diag "five models: before @before, after @after";
	is("$wrong_answers $wrong_errors", '0 0', 'each gives its own answer, and the bad ones their errors');
	is($most, 4, 'four models are mapped, never more');
	cmp_ok($after[0] - $before[0], '<', 500, 'no memory is left behind');
	cmp_ok($after[1] - $before[1], '<', 100, 'nor memory contexts');
	is($after[2], $before[2], 'nor open files');

	# Three of them and the server's are all that may be open: a bad one makes none of them give way.
	my @kept = @good[ 0 .. 2 ];
	my $use = join(', ', map { "sst2_logits('b c', model => '$_')" } @kept) . ", sst2_label('a')";
	$session->query("SELECT $use");
	$session->query('SET client_min_messages = debug1');
	like($session->try("SELECT sst2_logits('b c', model => '$good[4]')")->{said}, qr/opened sentiment model "\Q$good[4]\E"/,
		'a session says at DEBUG1 that it opens a model');
	$session->query("SELECT $use");
	for my $bad (@bad, [ 'XX001', $truncated ])
	{
		is($session->error("SELECT sst2_logits('b c', model => '$bad->[1]')")->{sqlstate}, $bad->[0], "a bad model: $bad->[1]");
		unlike($session->try("SELECT $use")->{said}, qr/opened/, 'costs none that is open');
	}
}
# --- Stopped while a model is opened ---

{
	my $large = install_model(made_model($dir, 'large', '2,512,8,2048,512,20000,2'));
	my @small = map { install_model("$dir/good$_.dsst") } 1 .. 4;
	my $use_small = 'SELECT ' . join ', ', map { "sst2_logits('b c', model => '$_')" } @small;
	my $use_large = "SELECT sst2_logits('b c' || n, model => '$large') FROM generate_series(1, 1) n";
	my $right_small = SstTest::Session->new->query($use_small);
	my $right_large = SstTest::Session->new->query($use_large);
	my %seen = map { $_ => 0 } qw(stopped answered wrong);
	my @before;
	for my $timeout (0, 1 .. 40)
	{
		# Only four stay open, so the large one is opened anew.
		$seen{wrong}++ if $session->query($use_small) ne $right_small;
		@before = usage() if $timeout == 10;
		my $said = $session->try($timeout
			? "SET LOCAL statement_timeout = $timeout\\; $use_large"
			: $use_large =~ s/SELECT/SELECT pg_cancel_backend(pg_backend_pid()),/r);
		my $error = $said->{error};
		if ($error && $error->{sqlstate} eq '57014') { $seen{stopped}++ }
		elsif ($said->{out} eq $right_large) { $seen{answered}++ }
		else { $seen{wrong}++ }
		$seen{wrong}++ if $session->query($use_small) ne $right_small || $session->query($use_large) ne $right_large;
	}
	$session->query($use_small);
	my @after = usage();
	diag "stopped: @{[%seen]}; before @before, after @after";
	is($seen{wrong}, 0, 'a session that is stopped while it opens a model has right answers afterwards');
	cmp_ok($seen{stopped}, '>', 0, 'some were stopped');
	is($after[3], 4, 'four models are mapped');
	cmp_ok($after[1] - $before[1], '<', 100, 'no memory context is left behind');
	is($after[2], $before[2], 'nor an open file');
}
done_testing();
