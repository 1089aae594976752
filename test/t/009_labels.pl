# Stored labels know their model: runs the examples of docs/models.md about a model that changes, and checks every value.

use strict;
use warnings;
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my ($section) = read_file("$ROOT/docs/models.md") =~ /^## When the model changes\n(.*?)^##/ms
  or die 'no such section in docs/models.md';
my @models = ($BUILTIN, install_model(made_model($dir, 'other', '1,32,2,64,64,300,2')));
my $boss = SstTest::Session->new;
$boss->query('CREATE DATABASE sst_test_labels');

# The output of a new psql.
sub psql
{
	my ($sql) = @_;
	my ($out, $err);
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';	# hides a backfill's progress
	IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'sst_test_labels' ], '<', \$sql, '>', \$out, '2>', \$err);
	is($?, 0, 'psql succeeds') or diag $err;
	is($err, '', 'and says nothing');
	return $out;
}

# Drops row counts and trailing spaces, and writes "model" for the first digits of this fingerprint.
sub comparable
{
	my ($text, $fingerprint) = @_;
	$text =~ s/\b\Q$fingerprint\E\b/model/g;
	return join "\n", grep { !/^(?:\(\d+ rows?\))?$/ } map { s/ +$//r } split /\n/, $text;
}

# Checks whose answers are stored, by numbers of @models: $score in the column labelled.score, $label in the generated column
# reviews.label, which follows the server's model, $index in the index on reviews. The column reviews.kept names the first model.
sub answers_are
{
	my ($score, $label, $index, $name) = @_;
	my $session = SstTest::Session->new(db => 'sst_test_labels');
	is($session->query("SELECT count(*) FROM labelled WHERE score = sst2_score(review, '$models[$score]') "
			. "AND model = sst2_fingerprint('$models[$score]')"), 103, "$name: every score is that of model $score, and says so");
	is($session->query("SELECT count(*) FROM reviews WHERE label = sst2_label(review, '$models[$label]')"), 103,
		"every label that of model $label");
	is($session->query("SELECT count(*) FROM reviews WHERE kept = sst2_label(review, '$models[0]')"), 103,
		'a column that names its model keeps to it');
	$session->query('SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off');
	my $by_score = 'SELECT array_agg(id) FROM (SELECT id FROM reviews ORDER BY sst2_score(review)) s';
	like($session->query("EXPLAIN $by_score"), qr/reviews_score/, 'a query goes by the index');
	is($session->query($by_score),
		$session->query("SELECT array_agg(id ORDER BY sst2_score(review, '$models[$index]'), id) FROM reviews"),
		"which has the order of model $index");
}

psql(<<SQL);
CREATE EXTENSION distilsst;
CREATE TABLE reviews (id int PRIMARY KEY, review text NOT NULL, label text GENERATED ALWAYS AS (sst2_label(review)) STORED,
	kept text GENERATED ALWAYS AS (sst2_label(review, model => '$models[0]')) STORED);
INSERT INTO reviews SELECT i, chr(97 + i % 26) || ' film ' || i FROM generate_series(1, 103) i;
CREATE INDEX reviews_score ON reviews (sst2_score(review));
SQL

my @blocks = $section =~ /^```(\w*)\n(.*?)^```\n/msg;
is(join(' ', map { $blocks[ 2 * $_ ] || 'output' } 0 .. @blocks / 2 - 1), 'sql output sql', 'the blocks of the section');
my ($procedure, $output, $anew) = @blocks[ 1, 3, 5 ];
my ($state, $shown) = $output =~ /^=# (.*?;)\n(.*)/s;
my %print = map { $_ => $boss->query("SELECT left(sst2_fingerprint(model => '$_'), 8)") } @models;

my ($call) = $procedure =~ /^(CALL .*;)$/m;
psql($procedure);
my ($in_docs) = $shown =~ /\b([0-9a-f]{8})\b/;
is(comparable(psql($state), $print{ $models[0] }), comparable($shown, $in_docs), 'the state of the labels is as shown');
# More rows than the page shows; the models differ on some.
psql(q(INSERT INTO labelled (id, review) SELECT 10 + i, chr(97 + i % 26) || ' film ' || i FROM generate_series(1, 100) i));
psql($call);
answers_are(0, 0, 0, 'with the first model');

server_model($models[1]);
answers_are(0, 0, 0, 'the model has changed');
isnt(psql('SELECT count(*) FROM reviews WHERE label <> sst2_label(review)'), psql('SELECT 0 AS count'),
	'whose labels are others');
my $stale = $shown =~ s/\| t$/| f/mr =~ s/\|     3/|   103/r;
is(comparable(psql($state), $print{ $models[0] }), comparable($stale, $in_docs), 'the labels are shown to be stale');
psql($call);
is(psql($anew), '', 'what follows the server is made anew');
answers_are(1, 1, 1, 'in the end');
is(comparable(psql($state), $print{ $models[1] }), comparable($shown =~ s/\|     3/|   103/r, $in_docs),
	'and shown to be current');
$boss->query('DROP DATABASE sst_test_labels');
done_testing();
