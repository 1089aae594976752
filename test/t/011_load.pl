# 50 sessions classify at once, while some are cancelled, time out or are terminated, and one is killed with SIGKILL:
# every answer is right, and the server comes back.
#
# SST_LOAD_SECONDS says for how long; the default is 10.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use List::Util qw(first);
use SstTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $seconds = $ENV{SST_LOAD_SECONDS} // 10;
my $sessions = 50;

# The right answers: by one quiet session, with kernels of another family where the CPU has several.
SstTest::Session->new->query(<<'SQL');
CREATE TABLE sst_test_known (id int PRIMARY KEY, body text, label text, logits real[]);
INSERT INTO sst_test_known (id, body)
	SELECT i, string_agg((ARRAY['good', 'bad', 'film', 'not', 'the', 'very', 'plot', 'a', 'boring', 'and', i::text])
		[1 + (i * n * 7 + n * n) % 11], ' ' ORDER BY n)
	FROM generate_series(1, 400) i, generate_series(1, 1 + i * i % 13) n GROUP BY i;
SET distilsst.isa = 'avx2';
UPDATE sst_test_known k SET label = l.label
	FROM (SELECT unnest(array_agg(id)) AS id, unnest(sst2_label(array_agg(body))) AS label FROM sst_test_known) l
	WHERE l.id = k.id;
UPDATE sst_test_known SET logits = sst2_logits(body);
SQL

# Each counts the texts that it classifies, and the wrong answers.
my $some = '(SELECT * FROM sst_test_known ORDER BY random() LIMIT 20) s';
my @queries = (
	"SELECT count(*), count(*) FILTER (WHERE sst2_logits(body) IS DISTINCT FROM logits OR sst2_label(body) <> label) FROM $some",
	"SELECT count(*), count(*) FILTER (WHERE got IS DISTINCT FROM wanted)
		FROM (SELECT unnest(sst2_label(array_agg(body))) AS got, unnest(array_agg(label)) AS wanted FROM $some) x");

my %count = map { $_ => 0 } qw(queries texts cancelled timeout terminated killed lost);
my (%wrong, %told_to_end);

sub connect_all
{
	my @all;
	for (1 .. $sessions)
	{
		push @all, SstTest::Session->new;
		next_query($all[-1]);
	}
	return @all;
}

sub next_query
{
	my ($session) = @_;
	my $timeout = rand() < 0.1 ? 1 + int(rand 100) : 0;
	$session->start("SET statement_timeout = $timeout; $queries[ rand @queries ]");
}

# Counts what a session's query has returned. Returns whether the session goes on.
sub look
{
	my ($session, $killed) = @_;
	my $said = $session->finish;
	for (split /\n/, $said->{out})
	{
		if ($_ eq '20|0') { $count{queries}++; $count{texts} += 20 }
		else { $wrong{$_}++ }
	}
	my $error = $said->{error};
	my %known = (
		'57014 canceling statement due to user request' => 'cancelled',
		'57014 canceling statement due to statement timeout' => 'timeout',
		'57P01 terminating connection due to administrator command' => 'terminated',
	);
	if ($error)
	{
		my $kind = $known{"$error->{sqlstate} $error->{message}"};
		if ($kind) { $count{$kind}++ }
		else { $wrong{"$error->{sqlstate} $error->{message}"}++ }
	}
	elsif (!$said->{alive})
	{
		# psql cannot always say why its session ended.
		if ($killed) { $count{lost}++ }
		elsif ($told_to_end{ $session->pid }) { $count{terminated}++ }
		else { $wrong{'a connection is lost'}++ }
	}
	return $said->{alive};
}

# Waits until the server accepts a session.
sub wait_for_server
{
	for (1 .. 1200)
	{
		my $session = eval { SstTest::Session->new };
		return $session if $session;
		sleep 0.1;
	}
	die 'the server does not come back';
}

my $began = time;
my $boss = SstTest::Session->new;
my @all = connect_all();
while (time < $began + $seconds || grep { !$count{$_} } qw(queries cancelled timeout terminated killed))
{
	die 'some of it does not happen' if time > $began + $seconds + 600;
	for my $session (@all)
	{
		look($session) or $session = SstTest::Session->new;
		next_query($session);
		my $victim = $all[ rand @all ]->pid;
		my $chance = rand;
		$boss->query("SELECT pg_cancel_backend($victim)") if $chance < 0.3;
		next if $chance < 0.97;
		$told_to_end{$victim} = 1;
		$boss->query("SELECT pg_terminate_backend($victim)");
	}
	if (!$count{killed} && time > $began + $seconds / 2)
	{
		# a session that was told to end may be gone
		my $victim = first { !$told_to_end{ $_->pid } } @all or next;
		kill('KILL', $victim->pid) == 1 or die "kill: $!";
		$count{killed}++;
		look($_, 'killed') for @all;
		$boss = wait_for_server();
		@all = connect_all();
	}
}
look($_) for @all;

diag "$sessions sessions, " . join(', ', map { "$count{$_} $_" } qw(queries texts cancelled timeout terminated killed lost));
is_deeply(\%wrong, {}, 'every answer is the known one, and every error was asked for') or diag explain \%wrong;
is($boss->query('SELECT count(*) FROM sst_test_known WHERE sst2_logits(body) = logits AND sst2_label(body) = label'), 400,
	'afterwards all answers are right');
is($boss->query('SELECT bool_and(ok) FROM sst2_selftest()'), 't', 'and so is the model');
$boss->query('DROP TABLE sst_test_known');
done_testing();
