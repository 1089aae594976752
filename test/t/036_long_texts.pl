# sst2_document() and sst2_explain() beyond the built-in model: other shapes, encodings, new sessions and workers. Huge texts
# are in 006_texts.pl.

use strict;
use warnings;
use Encode qw(encode);
use FindBin;
use lib $FindBin::RealBin;
use POSIX qw(ceil floor);
use SstTest;
use Test::More;

my $dir = server_dir();
my $session = SstTest::Session->new(model => made_model($dir, 'small', '1,32,2,64,512,300,2'));

# --- Models of other shapes ---

# The made vocabulary reads each letter as one piece: "a" is 133, "##a" 134, "b" 135.
my ($CLS, $SEP) = (2, 3);
my @letters = map { ($_ * $_ + $_ / 3) % 26 } 1 .. 150;
sub text_of { return join ' ', map { chr(97 + $_) } @_ }
sub ids_of { return map { 133 + 2 * $_ } @_ }

sub logits { return $session->query("SELECT sst2_logits('{@{[join ',', @_]}}'::int[])") =~ /-?[\d.e-]+/g }

sub softmax
{
	my @power = map { exp } @_;
	my $sum = 0;
	$sum += $_ for @power;
	return map { $_ / $sum } @power;
}

# Label id, score, tokens, windows, lowest and highest score of these passes, each [ids, weight].
sub answer_of
{
	my ($tokens, @passes) = @_;
	my @logits = map { [ logits($CLS, @{ $_->[0] }, $SEP) ] } @passes;
	my (@mean, $weights);
	$weights += $_->[1] for @passes;
	for my $pass (0 .. $#passes)
	{
		$mean[$_] += $logits[$pass][$_] * $passes[$pass][1] / $weights for 0 .. $#{ $logits[$pass] };
	}
	my ($best) = sort { $mean[$b] <=> $mean[$a] } 0 .. $#mean;
	my @range = sort { $a <=> $b } map { (softmax(@$_))[$best] } @logits;
	return ("LABEL_$best", (softmax(@mean))[$best], $tokens, scalar @passes, $range[0], $range[-1]);
}

sub document_is
{
	my ($text, $method, @right) = @_;
	my @got = split /\|/, $session->query("SELECT * FROM sst2_document('$text', '$method')");
	is(join(' ', @got[ 2, 3 ]), join(' ', @right[ 2, 3 ]), "$method: tokens and windows");
	ok(!(grep { abs($got[$_] - $right[$_]) > 1e-5 } 1, 4, 5), 'score and range') or diag "@got\n@right";
	return $got[0] eq $right[0];
}

for my $case ([ 3, 2 ], [ 4, 2 ], [ 9, 3 ], [ 16, 2 ], [ 64, 3 ])
{
	my ($positions, $labels) = @$case;
	note "$positions positions, $labels labels";
	server_model(made_model($dir, "p$positions", "1,32,2,64,$positions,300,$labels"));
	my ($room, $shared, $head) = ($positions - 2, floor($positions / 8), floor($positions / 4));
	for my $n (0, 1, $room, $room + 1, 2 * $room - $shared, 2 * $room - $shared + 1, 150)
	{
		my @ids = ids_of(@letters[ 0 .. $n - 1 ]);
		my $text = text_of(@letters[ 0 .. $n - 1 ]);
		if ($n <= $room)
		{
			my $right = $session->query("SELECT label, score, tokens, 1, score, score FROM sst2_classify('$text')");
			is($session->query("SELECT * FROM sst2_document('$text', '$_')"), $right, "$n pieces by $_")
			  for 'windows', 'head', 'head+tail';
			next;
		}
		document_is($text, 'head', answer_of($positions, [ [ @ids[ 0 .. $room - 1 ] ], 1 ]));
		my @head_tail = @ids[ 0 .. $head - 1, $n - $room + $head .. $n - 1 ];
		document_is($text, 'head+tail', answer_of($positions, [ \@head_tail, 1 ]));
		my $windows = ceil(($n - $shared) / ($room - $shared));
		my @start = map { floor($_ * ($n - $shared) / $windows) } 0 .. $windows;
		document_is($text, 'windows', answer_of($n + 2, map {
			[ [ @ids[ $start[$_] .. $start[ $_ + 1 ] + $shared - 1 ] ], $start[ $_ + 1 ] - $start[$_] + ($_ ? 0 : $shared) ]
		} 0 .. $windows - 1));
	}
}
error_is($session->error(q(SELECT sst2_explain('a'))), '0A000', 'sst2_explain() needs a model of two labels',
	'This model has 3, and a weight is a share in the margin between two.', undef, 'three labels have no margin');
server_model(made_model($dir, 'p2', '1,32,2,64,2,300,2'));
is($session->query("SELECT tokens, windows, score = lowest FROM sst2_document('a b c', '$_')"), '2|1|t',
	"a model that reads no piece, by $_")
  for 'windows', 'head', 'head+tail';
is($session->query(q(SELECT count(*) FROM sst2_explain('a b c'))), 0, 'of which there is nothing to explain');
server_model("$dir/p16.dsst");
is($session->query(q(SELECT string_agg(part || length, ' ' ORDER BY start) FROM sst2_explain('a bc d e f g h i j k l m n o p'))),
	'a1 bc2 d1 e1 f1 g1 h1 i1 j1 k1 l1 m1 n1', 'only what the model reads is explained');

server_model(made_model($dir, 'p1024', '1,32,2,64,1024,300,2'));
is($session->query(q(SELECT count(*) FROM sst2_explain(repeat('a ', 512)))), 512, '512 words are explained');
error_is($session->error(q(SELECT sst2_explain(repeat('a ', 513)))), '54000', 'text has too many units to explain: 513',
	'At most 512 are explained.', q(Explain it by sentences: sst2_explain(text, 'sentence').), 'and no more');
is($session->query(q(SELECT count(*) FROM sst2_explain(repeat('a ', 400) || '. ' || repeat('b ', 400), 'sentence'))), 2,
	'but sentences');
error_is($session->error(q(SELECT sst2_explain(repeat(E'a\n', 600), 'sentence'))), '54000',
	'text has too many units to explain: 600', 'At most 512 are explained.', undef, 'of which there can be too many, too');

# --- The first statement of a session, and parallel workers ---

server_model("$dir/small.dsst");
$session->query(<<'SQL');
CREATE TABLE sst_test (id int PRIMARY KEY, body text) WITH (parallel_workers = 2);
INSERT INTO sst_test SELECT n, repeat('a b ' || chr(97 + n % 26) || ' ', n) FROM generate_series(1, 300) n;
ANALYZE sst_test;
SQL
my $all = 'SELECT sum(hashtext(sst2_document(body)::text)), max((sst2_document(body)).windows) FROM sst_test';
my $right = $session->query($all);
like($right, qr/\|2$/, 'texts of two windows');
is(SstTest::Session->new->query($all), $right, 'the first statement of a session');
like($session->query("$PARALLEL EXPLAIN $all"), qr/Workers Planned: 2/, 'a parallel plan');
is(SstTest::Session->new->query("$PARALLEL $all"), $right, 'which is the first statement of a session');
is(SstTest::Session->new->query(q(SELECT count(*), sum(length) FROM sst2_explain('ab c.'))), '3|4', 'as sst2_explain() may be');
is(SstTest::Session->new->query(q(SELECT texts FROM sst2_stats())), '0', 'and sst2_stats()');
is(SstTest::Session->new->query(q(SELECT sst2_label('a', 1))), 'NEUTRAL', 'and a label with a confidence');

# sst2_dependents() knows what is made of these answers: by the server's model where none is given, or NULL.
$session->query(<<"SQL");
CREATE INDEX sst_default ON sst_test (((sst2_document(body)).label));
CREATE INDEX sst_null ON sst_test (((sst2_document(body, 'head', NULL)).score));
CREATE INDEX sst_named ON sst_test (((sst2_document(body, model => '$BUILTIN')).score));
CREATE INDEX sst_confident ON sst_test (sst2_label(body, 0.9));
SQL
is($session->query('SELECT object, function, model FROM sst2_dependents()'), <<"ROWS" =~ s/\n\z//r, 'sst2_dependents()');
index sst_confident|sst2_label(text,real)|
index sst_default|sst2_document(text,text,text)|
index sst_named|sst2_document(text,text,text)|$BUILTIN
index sst_null|sst2_document(text,text,text)|
ROWS
$session->query('DROP TABLE sst_test');

# --- Encodings ---

my $boss = SstTest::Session->new;
my %database = encoded_databases(qw(UTF8 LATIN1 EUC_JP EUC_JIS_2004 MULE_INTERNAL SQL_ASCII));

sub in_encoding { return sql_text(encode('UTF-8', $_[1]), $_[0]) }

# The start+length of each part, and whether substr() gives the same part.
sub parts
{
	my ($encoding, $text, $unit) = @_;
	return $database{$encoding}->query("SELECT string_agg(e.start || '+' || e.length, ' ' ORDER BY e.start), "
		  . "bool_and(part = substr(t, e.start, e.length)) FROM (SELECT $text) x (t), sst2_explain(t, '$unit') e");
}
my $latin = "\x{c9}t\x{e9} \x{ab}na\x{ef}ve\x{bb}. O\x{f9}?\x{a0}L\x{e0}\x{ad}";
my $japanese = "\x{6620}\x{753b}\x{304c}ok\x{3002}\x{3000}\x{ff76}\x{ff9e} b";
is(parts($_, in_encoding($_, $latin), 'word'), '1+3 5+1 6+5 11+1 12+1 14+2 16+1 18+2|t', "words in $_") for 'UTF8', 'LATIN1';
is(parts($_, in_encoding($_, $latin), 'sentence'), '1+12 14+3 18+2|t', "sentences in $_") for 'UTF8', 'LATIN1';
is(parts($_, in_encoding($_, $japanese), 'word'), '1+1 2+1 3+3 6+1 8+2 11+1|t', "words in $_")
  for 'UTF8', 'EUC_JP', 'EUC_JIS_2004';
is(parts($_, in_encoding($_, $japanese), 'sentence'), '1+6 8+4|t', "sentences in $_") for 'UTF8', 'EUC_JP', 'EUC_JIS_2004';
is(parts('SQL_ASCII', in_encoding('SQL_ASCII', $latin), 'word'), '1+5 7+2 9+6 15+2 17+1 19+3 22+1 25+3|t',
	'SQL_ASCII counts bytes');
is(parts('EUC_JIS_2004', in_encoding('EUC_JIS_2004', "a \x{304b}\x{309a} b"), 'word'), '1+1 3+1 5+1|t',
	'one character that is two in UTF-8');
is(parts('MULE_INTERNAL', q(convert_from('\x6120 9af1a1a1 62'::bytea, 'MULE_INTERNAL')) =~ s/ (?=9a|62)//gr, 'word'), '1+1 5+1|t',
	'a character that UTF-8 lacks');

# Texts longer than a slice, which may end within a character: the same in each encoding.
my %long = (
	LATIN1 => join(' ', map { "\x{e9}" x ($_ % 5) . chr(97 + $_ % 26) . ($_ % 3 ? '.' : '[SEP]') } 1 .. 9000),
	EUC_JP => join("\x{3000}", map { "\x{6620}\x{304c}" . chr(97 + $_ % 26) . ($_ % 3 ? "\x{3002}" : '[MASK]') } 1 .. 6000));
for my $encoding (sort keys %long)
{
	for my $before ('', 'a', 'ab')
	{
		my $answer = q(SELECT a.*, b.*, sst2_token_count(t), octet_length(t) > 40000
			FROM (SELECT %s) x (t), sst2_document(t, 'head+tail') a, sst2_document(t) b);
		my $right = $database{UTF8}->query(sprintf $answer, in_encoding('UTF8', "$before$long{$encoding}"));
		my ($tokens, $count) = (split /\|/, $right)[ 8, 12 ];
		is($tokens, $count, "all $count pieces are read");
		is($database{$_}->query(sprintf $answer, in_encoding($_, "$before$long{$encoding}")), $right, "in $_ as in UTF8")
		  for $encoding, 'SQL_ASCII';
	}
}
undef %database;
$boss->query("DROP DATABASE $_") for split /\n/, $boss->query(q(SELECT datname FROM pg_database WHERE datname LIKE 'sst_test_%'));

done_testing();
