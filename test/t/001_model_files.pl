# Model files that are missing, damaged or foreign; who may choose a model; and the notice.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my $good = made_model($dir, 'good', '1,32,2,64,16,300,2');
my $packed = read_file($good);
my $text = q(sst2_logits('a b c'));

# A backend that crashes takes all sessions with it.
my $witness = SstTest::Session->new;
my $session = SstTest::Session->new(model => $good);
my $answer = $session->query("SELECT $text");
like($answer, qr/^\{-?[\d.]+(e-\d+)?,-?[\d.]+(e-\d+)?\}$/, 'a made model answers');

# The session must say what is wrong with a file, live, and work again with a good one.
sub refuses
{
	my ($path, $sqlstate, $message, $name) = @_;
	my ($shown) = $path =~ m{([^/]+)$};
	my $expected = qq(sentiment model "$shown" $message);
	$expected = qq(could not open sentiment model "$shown": $message) if $sqlstate =~ /58P01|42501/;

	$session->query("SET distilsst.model = '$path'");
	for my $time ('first', 'second')
	{
		error_is($session->error("SELECT $text"), $sqlstate, $expected, qq(The file is "$path".), $HINT,
			"$name, the $time time");
	}
	$session->query("SET distilsst.model = '$good'");
	is($session->query("SELECT $text"), $answer, "$name: the session works again");
}

sub refuses_bytes
{
	my ($bytes, $message, $name) = @_;
	(my $file = $name) =~ tr/ /_/;
	refuses(write_file("$dir/$file.dsst", $bytes), 'XX001', "cannot be used: $message", $name);
}

sub flipped
{
	my ($at) = @_;
	my $bytes = $packed;
	substr($bytes, $at, 1) ^= "\x01";
	return $bytes;
}

my $not_packed = 'it is not a packed model';
my $wrong_layout = 'it was packed for another version of distilsst or another byte order';
my $wrong_size = 'its size is not what its header says; it may be truncated';
my $damaged = 'a checksum does not match; its contents have changed since it was packed';

refuses("$dir/missing.dsst", '58P01', 'No such file or directory', 'missing file');
refuses("$dir", '42809', 'is empty or no regular file', 'directory');
refuses(write_file("$dir/empty.dsst", ''), '42809', 'is empty or no regular file', 'empty file');
chmod 0, write_file("$dir/closed.dsst", $packed);
refuses("$dir/closed.dsst", '42501', 'Permission denied', 'file that the server may not read');
refuses_bytes("This is no model.\n" x 200, $not_packed, 'text file');
refuses_bytes(read_file("$dir/good/model.safetensors"), $not_packed, 'safetensors file');
refuses_bytes(substr($packed, 0, $_), $not_packed, "truncated to $_ bytes") for 1, 7;
refuses_bytes(substr($packed, 0, $_), $wrong_size, "truncated to $_ bytes")
  for 8, 1023, 1024, 1025, 4096, int(length($packed) / 2), length($packed) - 1;
refuses_bytes("$packed\0", $wrong_size, 'one byte longer');
refuses_bytes(flipped(0), $not_packed, 'wrong magic');
refuses_bytes(flipped(8), $wrong_layout, 'wrong layout version');
refuses_bytes(flipped(12), $wrong_layout, 'wrong byte order');
refuses_bytes(flipped(16), $wrong_size, 'wrong size in header');
refuses_bytes(flipped($_), $damaged, "byte $_ of header flipped") for 24, 100, 200, 1000, 1016;
refuses_bytes(flipped($_), $damaged, "byte $_ of tables flipped") for 1024, 3000;
refuses_bytes(flipped(length($packed) - $_), $damaged, "byte $_ before the end flipped") for 1, 64, 10_000;

# A word embedding is checked when a text needs it; those of synthetic.c give "a" the id 133.
{
	my $weights = read_file("$dir/good/model.safetensors");
	my $row = 32 * 4;
	my $at = index($packed, substr($weights, 8 + unpack('Q<', $weights) + 133 * $row, $row));
	my $path = write_file("$dir/embedding.dsst", flipped($at + 5));
	cmp_ok($at, '>', 1024, 'the embedding is found in the packed file');
	is($session->query("SELECT sst2_token_ids('a')"), '{2,133,3}', 'it is that of "a"');
	my $other = $session->query("SELECT sst2_logits('b c')");
	$session->query("SET distilsst.model = '$path'");
	is($session->query("SELECT sst2_logits('b c')"), $other, 'a damaged embedding spoils no text without it');
	error_is($session->error("SELECT $text"), 'XX001',
		qq(sentiment model "embedding.dsst" cannot be used: $damaged),
		qq(The file is "$path".), $HINT, 'a damaged embedding is found when it is needed');
	is($session->query("SELECT sst2_logits('b c')"), $other, 'and the session goes on');
	is($session->query('SELECT test, got, ok FROM sst2_selftest() LIMIT 1'),
		'checksums of the packed file|weights equal, 1 word embeddings differ|f', 'sst2_selftest() finds it');
	$session->query("SET distilsst.model = '$good'");
}

# --- Names ---

for my $name ('../good', '..', '.', '', 'a/b', 'sub/../good', 'good.dsst/', 'a b', "a\x{7f}")
{
	error_is($session->error("SET distilsst.model = '$name'"), '22023',
		qq(invalid value for parameter "distilsst.model": "$name"),
		'A model is an absolute path, or a name of letters, digits, "_", "-" and ".".',
		undef, qq(name "$name" is refused));
}
is($session->query('SHOW distilsst.model'), $good, 'and the setting stays');
{
	my $error = do {
		$session->query("SET distilsst.model = 'no-such_model.1'");
		$session->error("SELECT $text");
	};
	my ($share) = $witness->query('SELECT file FROM sst2_model()') =~ m{^(/.*)/default\.dsst$};
	error_is($error, '58P01', 'could not open sentiment model "no-such_model.1": No such file or directory',
		qq(The file is "$share/no-such_model.1.dsst".), $HINT, 'a name that no file has');
	$session->query("SET distilsst.model = '$good'");
}

# --- The notice ---

{
	(my $notice = read_file("$ROOT/model/notice.txt")) =~ s/\s+\z//;
	my $new = SstTest::Session->new;
	is_deeply($new->try("SELECT sst2_label('I love it')")->{notices}, [$notice], 'the first use of the starter is noticed');
	is_deeply($new->try('SELECT name FROM sst2_model()')->{notices}, [], 'the second is not');
	is_deeply($new->try("SET distilsst.model = '$good'; SELECT $text; RESET distilsst.model; SELECT $text")->{notices},
		[], 'nor is coming back to it');
	$new = SstTest::Session->new(model => 'starter');
	is_deeply($new->try("SELECT sst2_label('I love it')")->{notices}, [], 'nor is the starter asked for by name');
	$new = SstTest::Session->new(model => made_model($dir, 'noted', '1,16,2,16,8,200,2', '--notice', 'Take care.'));
	is_deeply($new->try("SELECT sst2_label('a')")->{notices}, [], 'nor another model asked for by path');
}

is($witness->query('SELECT pg_backend_pid()'), $witness->pid, 'no backend has crashed');
done_testing();
