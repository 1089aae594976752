# The same text in databases of other encodings, and bytes that are not valid UTF-8.

use strict;
use warnings;
use Encode qw(encode);
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

# --- A model whose vocabulary has some pieces that are not ASCII ---

my $dir = server_dir();
my $folder = made_folder("$dir/words", '1,32,2,64,512,400,2');
my @lines = split /\n/, read_file("$folder/vocab.txt");
my @pieces = ('caf', "\x{20ac}", "\x{153}", "##\x{153}", "\x{df}", "##\x{df}", "\x{304b}", "##\x{304b}", "\x{6620}",
	"\x{753b}", "\x{431}", "##\x{431}", "\x{ff41}", "\x{1112}", "##\x{1162}", "##\x{11bc}");
splice @lines, -@pieces, @pieces, map { encode('UTF-8', $_) } @pieces;
write_file("$folder/vocab.txt", join('', map { "$_\n" } @lines));
my $model = pack_model($folder, "$dir/words.dsst");

# --- One database for each encoding ---

my $boss = SstTest::Session->new(model => $model);
my %session = encoded_databases(qw(UTF8 LATIN1 LATIN9 WIN1252 EUC_JP EUC_KR MULE_INTERNAL SQL_ASCII));

# What the model reads of a text and answers, in ASCII.
sub reading
{
	my ($encoding, $text) = @_;
	my $sql = sql_text(encode('UTF-8', $text), $encoding);
	return $session{$encoding}->query(
		"SELECT sst2_token_ids(t), sst2_logits(t), sst2_score(ARRAY[t]), sst2_token_count(t) FROM (SELECT $sql) x(t)");
}

my $latin = "Caf\x{e9} cr\x{e8}me \x{e0} la mode: na\x{ef}ve, \x{c0}\x{c9}\x{d6}\x{dc} gro\x{df} "
  . "\x{bf}\x{a3}5\x{a0}\x{ab}ok\x{bb} \x{b5}m";
my $euro = "Caf\x{e9} \x{20ac}5 c\x{153}ur \x{152}UVRE \x{161}\x{17d}";
my $japanese = "\x{6620}\x{753b}\x{304b}\x{3000}\x{304c}\x{30ac} \x{ff21}\x{411}, \x{431}\x{411} ok";

sub same_everywhere
{
	my ($name, $text, @encodings) = @_;
	my $right = reading('UTF8', $text);
	is(reading($_, $text), $right, "$name in $_") for @encodings, 'SQL_ASCII';
	return $right;
}

my @western = ('LATIN1', 'LATIN9', 'WIN1252');
same_everywhere('ASCII', "it's GOOD, isn't it? [MASK]", @western, 'EUC_JP', 'EUC_KR');
same_everywhere('nothing', '', @western, 'EUC_JP', 'EUC_KR');
same_everywhere('accents and signs', $latin, @western);
same_everywhere('euro and oe', $euro, 'LATIN9', 'WIN1252');
same_everywhere('Japanese', $japanese, 'EUC_JP');

# The pieces are the right ones: the tests above have not compared [UNK] with [UNK].
my %id = map { $pieces[$_] => 400 - @pieces + $_ } 0 .. $#pieces;
is($session{LATIN1}->query('SELECT sst2_token_ids(' . sql_text("caf\xc3\xa9 \xc3\x9f", 'LATIN1') . ')'),
	"{2,$id{caf},142,$id{\"\x{df}\"},3}", 'the ids of a LATIN1 text');
is($session{EUC_JP}->query('SELECT sst2_token_ids(' . sql_text(encode('UTF-8', "\x{6620}\x{753b}\x{304c}"), 'EUC_JP') . ')'),
	"{2,$id{\"\x{6620}\"},$id{\"\x{753b}\"},$id{\"\x{304b}\"},3}", 'the ids of a Japanese text');

# --- Pieces in the database's encoding ---

sub tokens
{
	my ($encoding, $text) = @_;
	my $sql = sql_text(encode('UTF-8', $text), $encoding);
	return $session{$encoding}->try("SELECT convert_to(array_to_string(sst2_tokens($sql), ' '), 'UTF8')");
}

sub hex_utf8 { return '\\x' . unpack('H*', encode('UTF-8', $_[0])) }

is(tokens('LATIN1', "caf\x{e9} gro\x{df}")->{out}, hex_utf8("[CLS] caf ##e g ##r ##o ##\x{df} [SEP]"),
	'pieces in LATIN1');
is(tokens('WIN1252', "\x{20ac} c\x{153}")->{out}, hex_utf8("[CLS] \x{20ac} c ##\x{153} [SEP]"), 'pieces in WIN1252');
is(tokens('EUC_JP', "\x{304c}\x{6620}\x{ff21}")->{out}, hex_utf8("[CLS] \x{304b} \x{6620} \x{ff41} [SEP]"),
	'pieces in EUC_JP');

# A Hangul syllable is read as its letters, which EUC_KR lacks.
my $korean = "\x{d589}";
same_everywhere('Korean', $korean, 'EUC_KR');
is(tokens('UTF8', $korean)->{out}, hex_utf8("[CLS] \x{1112} ##\x{1162} ##\x{11bc} [SEP]"), 'Korean pieces in UTF8');
is(tokens('EUC_KR', $korean)->{out}, hex_utf8('[CLS] ? ##? ##? [SEP]'), 'a piece that EUC_KR cannot say has question marks');

# --- Characters that UTF-8 lacks: each is read as U+FFFD, which the tokenizer drops ---

for my $case ([ 'WIN1252', '81' ], [ 'EUC_JP', 'a9a1' ], [ 'MULE_INTERNAL', '9af1a1a1' ])
{
	my ($encoding, $character) = @$case;
	my $read = sub {
		my ($hex) = @_;
		return $session{$encoding}->query("SELECT sst2_token_ids(t), sst2_logits(t), sst2_token_count(t) "
			  . "FROM convert_from('\\x$hex', '$encoding') t");
	};
	my ($a, $b, $space) = map { unpack 'H*', $_ } 'a', 'b', ' ';
	my $right = $read->("$a$b$space$b");
	is($read->("$a$character$b$space$b"), $right, "a character of $encoding that UTF-8 lacks");
	is($read->($character x 3 . "$a$b$space$character$b$character"), $right, 'several');
	is($read->($character x 20000 . "$a$b$space$b"), $right, 'many');
	is($session{$encoding}->query("SELECT sst2_label(ARRAY[t, 'b']) = ARRAY[sst2_label('ab b'), sst2_label('b')] "
		  . "FROM convert_from('\\x$a$character$b$space$b', '$encoding') t"),
		't', 'in an array');
}

# --- Texts longer than the first slice of 8 kB, which may end within a character ---

my @long = (
	[ 'spaces of two bytes', "\x{3000}" x 9000, 'EUC_JP' ],
	[ 'a long word of two bytes', "\x{304b}" x 9000, 'EUC_JP' ],
	[ 'a long word of two bytes in EUC_JP, three in UTF8', "\x{ff76}" x 9000, 'EUC_JP' ],
	[ 'spaces of LATIN1', "\x{a0}" x 9000, 'LATIN1' ],
	[ 'a long word of LATIN1', "\x{e9}" x 9000, 'LATIN1' ],
	[ 'words and many spaces', join("\x{a0}" x 60, ("\x{e9}") x 150), 'LATIN1' ],
);
for my $case (@long)
{
	my ($name, $text, @encodings) = @$case;
	for my $before ('', 'a', 'ab', 'abc')
	{
		my $read = same_everywhere("$name after '$before'", "$before$text b c", @encodings);
		like($read, qr/^\{2,[\d,]*135,137,3\}/, 'and its last words are read');
	}
}

# --- Bytes that are not UTF-8, in SQL_ASCII: each is read as U+FFFD, which the tokenizer drops ---

sub bytes_read
{
	my ($bytes) = @_;
	return $session{SQL_ASCII}->query('SELECT sst2_token_ids(t), sst2_logits(t), sst2_token_count(t) FROM (SELECT '
		  . sql_text($bytes, 'SQL_ASCII') . ') x(t)');
}

sub same_bytes
{
	my ($bytes, $same, $name) = @_;
	is(bytes_read($bytes), bytes_read($same), $name);
}

same_bytes("a\xffb", 'ab', 'a byte that is never UTF-8');
same_bytes("\xff\xfe\x80\xbf", '', 'nothing but such bytes');
same_bytes("a\xf0\x9f\x98b", 'ab', 'a character that is cut short');
same_bytes("a\xc0\x80\xe0\x80\xaf\xed\xa0\x80\xf4\x90\x80\x80b", 'ab', 'overlong forms, surrogates, too high');
same_bytes("good\xe9", 'good', 'a cut character at the end');
is($session{SQL_ASCII}->query(q(SELECT sst2_token_ids(E'a\\xffb'))), $session{SQL_ASCII}->query(q(SELECT sst2_token_ids('ab'))),
	'also in a literal');
same_bytes("\xff" x 9000 . ' b', 'b', 'more of it than the first slice');
same_bytes('a' . "\xe3\x80\x80" x 3000 . " b\xff", 'a b', 'a slice of SQL_ASCII that ends within a character');
same_bytes("\xff" x 8190 . "\xe6\x98\xa0 b", "\xe6\x98\xa0 b", 'or whose last character goes on behind it');

# Random fragments, against the characters among them that Table 3-7 of the Unicode standard calls well-formed.
my $character = qr/[\x00-\x7f] | [\xc2-\xdf][\x80-\xbf] | \xe0[\xa0-\xbf][\x80-\xbf] | \xed[\x80-\x9f][\x80-\xbf]
	| [\xe1-\xec\xee\xef][\x80-\xbf]{2} | \xf0[\x90-\xbf][\x80-\xbf]{2} | [\xf1-\xf3][\x80-\xbf]{3}
	| \xf4[\x80-\x8f][\x80-\xbf]{2}/x;
srand 1;
my @fragments = ('a', ' ', 'B', '.', "\xc3\xa9", "\xe6\x98\xa0", "\xf0\x9f\x98\x80", "\xc3", "\xe6", "\xe6\x98", "\xf0",
	"\xf0\x9f", "\xf0\x9f\x98", "\x80", "\xbf", "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xe0\x9f");
for my $round (1 .. 40)
{
	my $bytes = join '', map { $fragments[ rand @fragments ] } 1 .. 300;
	same_bytes($bytes, join('', $bytes =~ /$character/g), "random bytes, round $round");
}

undef %session;
$boss->query("DROP DATABASE $_") for split /\n/, $boss->query(q(SELECT datname FROM pg_database WHERE datname LIKE 'sst_test_%'));
done_testing();
