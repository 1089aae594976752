# Texts of any size: where they are cut, what memory they take, and how reading one is stopped.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = server_dir();
my $model = made_model($dir, 'small', '1,32,2,64,512,300,2');
my $session = SstTest::Session->new(model => $model);

# --- Where a text is cut ---

# The made vocabulary reads each letter as one piece. A model of 512 positions reads 510 of them.
for my $pieces (0, 1, 509, 510, 511, 512, 5000)
{
	my $read = ($pieces < 510 ? $pieces : 510) + 2;
	my $cut = $pieces > 510 ? 't' : 'f';
	is($session->query(
			qq(SELECT (sst2_classify(t)).tokens, (sst2_classify(t)).truncated, sst2_token_count(t),
				cardinality(sst2_token_ids(t)), cardinality(sst2_tokens(t)) FROM repeat('a ', $pieces) t)),
		join('|', $read, $cut, $pieces + 2, $read, $read), "$pieces pieces");
}
is($session->query(q(SELECT (sst2_classify(repeat('a ', 510) || repeat(' ', 20000))).truncated)), 'f',
	'spaces behind the last piece are no more pieces');
is($session->query(q(SELECT (sst2_classify(repeat('a ', 510) || repeat(' ', 20000) || '!')).truncated)), 't',
	'a piece behind them is');
is($session->query(
		q(SELECT count(*), bool_and(sst2_token_count(t) = cardinality(sst2_token_ids(t)))
			FROM generate_series(1, 500) n, concat_ws(' ', md5(n::text), n, 'Not BAD, isn''t it?') t)),
	'500|t', 'sst2_token_count() counts what sst2_token_ids() gives');

# --- Only the beginning of a large text counts ---

# 10 kB of words, 10,000 times over.
$session->query(<<'SQL');
CREATE TABLE sst_test_large (name text, t text);
ALTER TABLE sst_test_large ALTER t SET STORAGE EXTERNAL;
INSERT INTO sst_test_large
	SELECT 'external', repeat(left(string_agg(('{the,film,was,not,a,good,bad,story}'::text[])
		[1 + hashint4(n) & 7], ' '), 9999) || ' ', 10000) FROM generate_series(1, 4000) n;
INSERT INTO sst_test_large SELECT 'small', left(t, 10000) FROM sst_test_large;
ALTER TABLE sst_test_large ALTER t SET STORAGE EXTENDED;
INSERT INTO sst_test_large SELECT 'compressed', t || '' FROM sst_test_large WHERE name = 'external';
SQL
is($session->query(
		q(SELECT name, octet_length(t), pg_column_size(t) < octet_length(t) / 2 FROM sst_test_large ORDER BY name)),
	"compressed|100000000|t\nexternal|100000000|f\nsmall|10000|f", 'texts of 100 MB are stored');
my $score = q(SELECT count(*), count(DISTINCT sst2_score(t)), count(DISTINCT sst2_logits(t)) FROM sst_test_large);
is($session->query($score), '3|1|1', 'a text of 100 MB is answered as its first 10 kB');

$session->query('DROP TABLE sst_test_large');

# --- Odd texts ---

is($session->query(q(SELECT sst2_token_ids(repeat('a', 10000000)), sst2_token_count(repeat('a', 10000000)))), '{2,1,3}|3',
	'a word of 10 MB is [UNK]');
is($session->query(q(SELECT sst2_token_ids(repeat(' ', 10000000)), sst2_token_count(repeat(' ', 10000000)))), '{2,3}|2',
	'10 MB of spaces are nothing');
is($session->query(q(SELECT sst2_score(repeat(' ', 10000000)) = sst2_score(''))), 't', 'and have the score of nothing');
is($session->query(q(SELECT sst2_token_count(repeat('great movie ', 1000000)))), 10_000_002, '12 MB are counted to the end');

# --- Documents ---

my $boss = SstTest::Session->new;

# The largest address space that a session has had, in kB. Its jit is off: LLVM takes memory, too.
sub peak_kb { return read_file('/proc/' . $_[0]->pid . '/status') =~ /^VmPeak:\s+(\d+) kB/m && $1 }

$session->query(<<'SQL');
CREATE TABLE sst_test_document (body text);
ALTER TABLE sst_test_document ALTER body SET STORAGE EXTERNAL;
INSERT INTO sst_test_document SELECT repeat('a good b ', 11000000) || repeat('c d ', 100);
SQL
{
	my $reader = SstTest::Session->new;
	$reader->query(q(SET jit = off; SELECT * FROM sst2_document(repeat('a good b ', 20000))));
	my $before = peak_kb($reader);
	is($reader->query(q(SELECT sst2_document(body, 'head+tail') =
			sst2_document(repeat('a good b ', 1000) || repeat('c d ', 100), 'head+tail') FROM sst_test_document)),
		't', 'the head and tail of a document of 100 MB are those of its beginning and its end');
	is($reader->error(q(SET LOCAL statement_timeout = 1500\; SELECT sst2_document(body) FROM sst_test_document))->{sqlstate},
		'57014', 'its windows are stopped');
	cmp_ok(peak_kb($reader) - $before, '<', 16 * 1024, 'in kB of memory that do not grow with it');
	is($reader->query(q(SELECT windows FROM sst2_document('a'))), 1, 'the session goes on');
}

# It is stopped while it counts pieces, and in the model. The windows all differ: the memo answers none of them.
$session->query(q(INSERT INTO sst_test_document SELECT string_agg(md5(i::text), ' ') FROM generate_series(1, 200000) i));
for my $size ('> 50000000', '< 50000000')
{
	$session->start("SELECT sst2_document(body) FROM sst_test_document WHERE length(body) $size");
	$session->wait_until_begun;
	sleep 1;
	$boss->query('SELECT pg_cancel_backend(' . $session->pid . ')');
	is($session->finish->{error}{sqlstate}, '57014', 'a cancel stops it');
}
$session->query('DROP TABLE sst_test_document');

# --- Near the limit of 1 GB ---

my $huge = "repeat('great movie ', 89000000)";
is($session->query("SELECT sst2_score($huge) = sst2_score(repeat('great movie ', 1000))"), 't', 'a text of 1 GB has a score');

# A count of 300 MB, which takes seconds, is stopped by a cancel and by a timeout.
for my $timeout (0, 500)
{
	$session->start("SET LOCAL statement_timeout = $timeout\\; " . q(DO $$ DECLARE t text := repeat('great movie ', 25000000);
		BEGIN RAISE NOTICE 'counting'; PERFORM sst2_token_count(t); END $$));
	if (!$timeout)
	{
		$session->wait_for(qr/counting/);
		sleep 0.2;
		$boss->query('SELECT pg_cancel_backend(' . $session->pid . ')');
	}
	is($session->finish->{error}{message},
		'canceling statement due to ' . ($timeout ? 'statement timeout' : 'user request'), 'a count is stopped');
}
is($session->query(q(SELECT sst2_token_count('a b'))), 4, 'the session goes on');

done_testing();
