# 10,000 calls and 1,000 errors in one session leave nothing behind.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

plan skip_all => 'needs /proc' unless -r '/proc/self/status';

my $dir = server_dir();
my $model = made_model($dir, 'small', '1,32,2,64,512,300,2');
my $packed = read_file($model);
write_file("$dir/truncated.dsst", substr($packed, 0, -1));
{
	# The embedding of "a", which has the id 133: see 001_model_files.pl.
	my $weights = read_file("$dir/small/model.safetensors");
	my $row = 32 * 4;
	my $at = index($packed, substr($weights, 8 + unpack('Q<', $weights) + 133 * $row, $row));
	write_file("$dir/embedding.dsst", substr($packed, 0, $at) . "\1" . substr($packed, $at + 1));
}

my $session = SstTest::Session->new(model => $model);
$session->query('SET jit = off');	# compiled queries leave memory behind in LLVM
my $contexts = $session->query('SHOW server_version_num') >= 140000
  ? 'SELECT sum(total_bytes)::bigint / 1000 FROM pg_backend_memory_contexts'
  : 'SELECT 0';

# Memory of its own in kB, contexts in kB, open files, mapped models.
sub usage
{
	my $pid = $session->pid;
	$session->query("SELECT sst2_label('a')");
	my ($anonymous) = read_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return ($anonymous, $session->query($contexts), scalar(() = glob "/proc/$pid/fd/*"),
		scalar(() = read_file("/proc/$pid/maps") =~ /\Q$dir\E/g));
}

# Five calls for each n; no text comes twice.
my $calls = q(SELECT count(sst2_score('text ' || n)), count(sst2_label(ARRAY['x' || n, 'y'])), count(sst2_tokens('z' || n)),
	count(sst2_classify(n || repeat(' b', 600))), count(sst2_token_count('w' || n)) FROM generate_series(%d, %d) n);

# Ten errors, each with the SQLSTATE that it must have: of a call, of opening a model, of using it; of a call that is
# stopped; the same in a subtransaction and in an exception block.
my @errors = (
	[ '22003', 'SELECT sst2_logits(ARRAY[-1])' ],
	[ '22023', q(SELECT sst2_logits('{}'::int[])) ],
	[ '58P01', "SET distilsst.model = '$dir/missing.dsst'; SELECT sst2_label('a')" ],
	[ 'XX001', "SET distilsst.model = '$dir/truncated.dsst'; SELECT sst2_label('a')" ],
	[ 'XX001', "SET distilsst.model = '$dir/embedding.dsst'; SELECT sst2_label(ARRAY['b c', 'a b c'])" ],
	[ '57014', "SET distilsst.model = '$model'; SET statement_timeout = 1; SELECT sst2_token_count(repeat('great film ', 3000000))" ],
	[ '22003', "RESET statement_timeout; BEGIN; SAVEPOINT s; SELECT sst2_label('a'), sst2_logits(ARRAY[300])" ],
	[ 'XX001', "ROLLBACK TO s; SET LOCAL distilsst.model = '$dir/truncated.dsst'; SELECT sst2_label('a')" ],
	[ '42809', "ROLLBACK; SET distilsst.model = '$dir'; SELECT * FROM sst2_selftest()" ],
	[ 'P0001', <<SQL ],
SET distilsst.model = '$model';
DO \$\$ BEGIN
	BEGIN PERFORM sst2_score(ARRAY['a', 'b']), sst2_logits(ARRAY[-1]); EXCEPTION WHEN numeric_value_out_of_range THEN
		PERFORM set_config('distilsst.model', '$dir/embedding.dsst', true); END;
	PERFORM sst2_label('a');
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
is("$before[3] $after[3]", '1 1', 'nor mappings');
is($session->query("SELECT sst2_logits('a b c')"), SstTest::Session->new(model => $model)->query("SELECT sst2_logits('a b c')"),
	'the session answers as a new one');
done_testing();
