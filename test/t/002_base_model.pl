# A model of the official one's size: its weights are in memory once, and a long call can be stopped at any time.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use File::Path qw(remove_tree);
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'needs /proc/PID/smaps' unless -r '/proc/self/smaps';

my $dir = server_dir();
my $model = made_model($dir, 'base', '6,768,12,3072,512,30522,2');
remove_tree("$dir/base");

sub session { return SstTest::Session->new(model => $model) }

# A text of 512 tokens, [CLS] and [SEP] included; a different one for each number.
sub long_text { return sprintf '%s%s', join(' ', split //, sprintf('%06d', $_[0])), ' a b c d e f g h' x 63 }

sub long_texts
{
	my ($from, $count) = @_;
	return 'ARRAY[' . join(',', map { "'" . long_text($_) . "'" } $from .. $from + $count - 1) . ']';
}

# --- One copy of the weights ---

# The memory of a whole process in kB: {Private_Clean} and the others of smaps.
sub memory
{
	my ($pid) = @_;
	return read_file("/proc/$pid/smaps_rollup") =~ /^(\w+): +(\d+) kB/mg;
}

# The same of its mapping of the model, with {perms} and {inode}.
sub mapping
{
	my ($pid) = @_;
	my ($head, $body) = read_file("/proc/$pid/smaps") =~ m{^([0-9a-f]+-.*\Q$model\E)\n((?:\w+:.*\n)*)}m
	  or return;
	my %memory = $body =~ /^(\w+): +(\d+) kB/mg;
	@memory{qw(perms inode)} = (split ' ', $head)[ 1, 4 ];
	return \%memory;
}

sub private_mb
{
	my %memory = memory($_[0]->pid);
	return ($memory{Private_Clean} + $memory{Private_Dirty}) / 1000;
}

my @sessions = map { session() } 1 .. 20;
my $score = q(SELECT sst2_score('what a lovely day'));
my @answers = map { $_->query($score) } @sessions;
is_deeply(\@answers, [ ($answers[0]) x 20 ], '20 sessions give one answer');

my @private = sort { $a <=> $b } map { private_mb($_) } @sessions;
diag sprintf('private memory of 20 sessions: %.1f to %.1f MB', @private[ 0, -1 ]);
cmp_ok($private[-1], '<', 25, 'each has under 25 MB of its own');

my @mappings = map { mapping($_->pid) } @sessions;
is(scalar(grep { $_->{perms} eq 'r--s' } @mappings), 20, 'each maps the model read-only and shared');
is(scalar(grep { $_->{inode} == (stat $model)[1] } @mappings), 20, 'and all the same file');
is(scalar(grep { $_->{Private_Dirty} } @mappings), 0, 'none of which was written to');
is(scalar(grep { $_->{Private_Clean} } @mappings), 0, 'or is in the memory of one session only');
cmp_ok($mappings[0]{Rss}, '>', 100_000, 'a session has the weights in its memory');
my $pss = 0;
$pss += $_->{Pss} / 1000 for @mappings;
diag sprintf('all 20 mappings together: %.1f MB of memory for a file of %.1f MB', $pss, (-s $model) / 1e6);
cmp_ok($pss, '<', (-s $model) / 1e6, 'all mappings together take no more memory than the file has');

is($sessions[0]->query('SELECT sst2_token_count(t) FROM unnest(' . long_texts(0, 1) . ') t'), 512,
	'a long text has 512 tokens');
$sessions[0]->query('SELECT sst2_score(' . long_texts(1, 12) . ')');
diag sprintf('private memory after an array of 12 texts of 512 tokens: %.1f MB', private_mb($sessions[0]));
cmp_ok(private_mb($sessions[0]), '<', 25, 'under 25 MB also after more texts of 512 tokens than a batch takes');
undef @sessions;

# --- Stopping a long call ---

my $boss = session();
my $short = 'SELECT sst2_logits(ARRAY[' . join(',', map { "'short text $_'" } 'a' .. 'f') . '])';
my $right = $boss->query($short);
my $from = 1000;

# Checks that stop->(session), or what a statement before it sets until its end, ends a call of minutes with this error.
sub stops
{
	my ($settings, $sqlstate, $message, $stop, $before) = @_;
	my $session = session();
	for (1 .. 5)
	{
		$session = session() if $sqlstate eq '57P01';
		$session->query("SELECT sst2_score('warm'); $settings");
		$session->start(($before // '') . 'SELECT sst2_score(' . long_texts($from += 200, 200) . ')');
		$stop->($session);
		my $result = $session->finish;
		is("@{ $result->{error} }{qw(sqlstate message)}", "$sqlstate $message", $message);
		if ($sqlstate eq '57P01')
		{
			ok(!$result->{alive}, 'the session ends');
			next;
		}
		is($session->query($short), $right, 'the session answers right afterwards');
	}
	return;
}

sub call_boss
{
	my ($function) = @_;
	return sub {
		my ($session) = @_;
		$session->wait_until_begun;
		sleep 0.2;
		$boss->query("SELECT $function(" . $session->pid . ')');
		return;
	};
}

for my $isa ('auto', 'c')
{
	my $set = "SET distilsst.isa = '$isa'";
	stops($set, '57014', 'canceling statement due to user request', call_boss('pg_cancel_backend'));
	stops($set, '57014', 'canceling statement due to statement timeout', sub { }, 'SET LOCAL statement_timeout = 200\; ');
	stops($set, '57P01', 'terminating connection due to administrator command', call_boss('pg_terminate_backend'));
}

is($boss->query($short), $right, 'the other session has noticed nothing');
done_testing();
