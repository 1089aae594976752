# Labels know their model: runs what README.md says about stored answers and a model that changes, and looks at every value.

use strict;
use warnings;
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my ($section) = read_file("$ROOT/README.md") =~ /^### Labels know their model\n(.*?)^##/ms or die 'no such section in README.md';
my @models = ('starter', made_model($dir, 'other', '1,32,2,64,64,300,2'));
my $boss = SstTest::Session->new;
$boss->query('CREATE DATABASE sst_test_labels');
SstTest::Session->new(db => 'sst_test_labels')->query('CREATE EXTENSION distilsst');

# What new sessions use, as after make install-model.
sub use_model { $boss->query("ALTER DATABASE sst_test_labels SET distilsst.model = '$models[$_[0]]'") }

# What a psql of its own prints.
sub psql
{
	my ($sql) = @_;
	my ($out, $err);
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'sst_test_labels' ], '<', \$sql, '>', \$out, '2>', \$err);
	is($?, 0, 'psql succeeds') or diag $err;
	return $out;
}

# Without spaces at the ends of lines and counts of rows, and with the same name for the same fingerprint.
sub comparable
{
	my ($text) = @_;
	my (%name, $count);
	$text =~ s/\b([0-9a-f]{8})\b/$name{$1} \/\/= 'model ' . ++$count/ge;
	# Before PostgreSQL 15 the column itself depends, and the list of what does is narrower.
	$text =~ s/default value for |^ +|-+//mg if $boss->query('SHOW server_version_num') < 150000;
	return join "\n", grep { !/^(?:\(\d+ rows?\))?$/ } map { s/ +$//r } split /\n/, $text;
}

# The stored answers are these models': of the column "score", of the generated column "label", and of the index.
sub answers_are
{
	my ($score, $label, $index, $name) = @_;
	my %right = map { $_ => SstTest::Session->new(db => 'sst_test_labels', model => $models[$_]) } 0, 1;
	my $says = sub {
		my ($model, $sql) = @_;
		return $right{$model}->query("SET enable_indexscan = off; SET enable_bitmapscan = off; $sql");
	};
	is($says->($score, 'SELECT count(*) FROM reviews WHERE score = sst2_score(review) AND model = (sst2_model()).fingerprint'), 103,
		"$name: every score is that of model $score, and says so");
	is($says->($label, 'SELECT count(*) FROM reviews WHERE label = sst2_label(review)'), 103, "every label that of model $label");
	my $session = SstTest::Session->new(db => 'sst_test_labels');
	my $by_score = 'SELECT array_agg(id) FROM (SELECT id FROM reviews ORDER BY sst2_score(review)) s';
	$session->query('SET enable_seqscan = off; SET enable_sort = off');
	like($session->query("EXPLAIN $by_score"), qr/reviews_score/, 'a query goes by the index');
	is($session->query($by_score), $says->($index, $by_score), "which has the order of model $index");
}

my @blocks = $section =~ /^```(\w*)\n(.*?)^```\n/msg;
is(scalar(@blocks) / 2, 6, 'six blocks in README.md');
use_model(0);
my $step = 0;
while (my ($language, $block) = splice @blocks, 0, 2)
{
	$step++;
	if ($language eq 'sh')
	{
		answers_are(0, 0, 0, 'with the first model');
		use_model(1);
		answers_are(0, 0, 0, 'the model has changed');
		isnt(psql('SELECT count(*) FROM reviews WHERE label <> sst2_label(review)'), psql('SELECT 0 AS count'),
			'whose labels are others');
		next;
	}
	if ($language eq 'sql')
	{
		is(psql($block), '', "block $step is quiet");
		# More rows than README.md shows, of which the models think differently.
		psql(q(INSERT INTO reviews (id, review) SELECT 10 + i, chr(97 + i % 26) || ' film ' || i FROM generate_series(1, 100) i;
			CALL relabel())) if $step == 1;
		next;
	}
	for my $example (split /^(?==# )/m, $block)
	{
		my ($statement, $output) = $example =~ /^=# (.*?;)\n(.*)/s;
		my $got = psql($statement) =~ s/\b103\b/  3/r;
		is(comparable($got), comparable($output), "block $step prints what README.md shows") or diag $got;
	}
}
answers_are(1, 1, 1, 'in the end');
$boss->query('DROP DATABASE sst_test_labels');
done_testing();
