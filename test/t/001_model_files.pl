# Model files that are missing, damaged or of another kind; names that are not a model's.

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

# The session must report what is wrong with a file, survive, and work again with a good one.
sub refuses
{
	my ($path, $sqlstate, $message, $name, $hint) = @_;
	my ($shown) = $path =~ m{([^/]+)$};
	my $expected = qq(sentiment model "$shown" cannot be used: $message);
	$expected = qq(could not open sentiment model "$shown": $message) if $sqlstate =~ /58P01|42501/;

	server_model($path);
	for my $time ('first', 'second')
	{
		error_is($session->error("SELECT $text"), $sqlstate, $expected, qq(The file is "$path".), $hint // $HINT,
			"$name, the $time time");
	}
	server_model($good);
	is($session->query("SELECT $text"), $answer, "$name: the session works again");
}

sub refuses_bytes
{
	my ($bytes, $message, $name) = @_;
	(my $file = $name) =~ tr/ /_/;
	refuses(write_file("$dir/$file.dsst", $bytes), 'XX001', $message, $name);
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
refuses("$dir", 'XX001', 'it is empty or no regular file', 'directory');
refuses(write_file("$dir/empty.dsst", ''), 'XX001', 'it is empty or no regular file', 'empty file');
chmod 0, write_file("$dir/closed.dsst", $packed);
refuses("$dir/closed.dsst", '42501', 'Permission denied', 'file that the server may not read',
	"The server's operating system user must be able to read it.");
refuses_bytes("This is no model.\n" x 200, $not_packed, 'text file');
refuses_bytes(read_file("$dir/good/model.safetensors"), $not_packed, 'safetensors file');
refuses_bytes(substr($packed, 0, $_), $not_packed, "truncated to $_ bytes") for 1, 7;
refuses_bytes(substr($packed, 0, $_), $wrong_size, "truncated to $_ bytes")
  for 8, 279, 280, 281, 4096, int(length($packed) / 2), length($packed) - 1;
refuses_bytes("$packed\0", $wrong_size, 'one byte longer');
refuses_bytes(flipped(0), $not_packed, 'wrong magic');
refuses_bytes(flipped(8), $wrong_layout, 'wrong layout version');
refuses_bytes(flipped(12), $wrong_layout, 'wrong byte order');
refuses_bytes(flipped(120), $wrong_layout, 'wrong version of the arithmetic');
refuses_bytes(flipped(16), $wrong_size, 'wrong size in header');
refuses_bytes(flipped($_), $damaged, "byte $_ of header flipped") for 24, 104, 200, 250, 272;
refuses_bytes(flipped($_), $damaged, "byte $_ of tables flipped") for 280, 3000;
refuses_bytes(flipped(length($packed) - $_), $damaged, "byte $_ before the end flipped") for 1, 64, 10_000;

# A word embedding is checked when a text needs it. In the vocabulary of synthetic.c "a" has the id 133.
{
	my $weights = read_file("$dir/good/model.safetensors");
	my $row = 32 * 4;
	my $at = index($packed, substr($weights, 8 + unpack('Q<', $weights) + 133 * $row, $row));
	my $path = write_file("$dir/embedding.dsst", flipped($at + 5));
	cmp_ok($at, '>', 280, 'the embedding is found in the packed file');
	is($session->query("SELECT sst2_token_ids('a')"), '{2,133,3}', 'it is that of "a"');
	my $other = $session->query("SELECT sst2_logits('b c')");
	server_model($path);
	is($session->query("SELECT sst2_logits('b c')"), $other, 'a damaged embedding spoils no text without it');
	error_is($session->error("SELECT $text"), 'XX001',
		qq(sentiment model "embedding.dsst" cannot be used: $damaged),
		qq(The file is "$path".), $HINT, 'a damaged embedding is found when it is needed');
	is($session->query("SELECT sst2_logits('b c')"), $other, 'and the session goes on');
	is($session->query('SELECT test, got, ok FROM sst2_selftest() LIMIT 1'),
		'checksums of the packed file|weights equal, 1 word embeddings differ|f', 'sst2_selftest() finds it');
	is($session->query('SELECT error FROM sst2_models() WHERE is_default'), $damaged, 'and so does sst2_models()');
	server_model($good);
}

# --- Names ---

my $rule = 'A name has letters, digits, ".", "_" and "-", and ends with "-" and the first eight digits of the model\'s '
  . qq(fingerprint, as "$BUILTIN" does.);

# Not a name: in the setting, and in a call. The error does not show a path's folders.
for my $name ('../good-12345678', '..', '.', '', 'a/b-12345678', 'good', 'good-1234567', 'good-123456789', 'good-1234567G',
	'-12345678',
	'a b-12345678', "a\x{7f}-12345678", '.a-12345678', 'x' x 55 . '-12345678', "$BUILTIN.dsst", "$BUILTIN/")
{
	my ($shown) = $name =~ m{([^/]*)$};
	configure('distilsst.model' => $name);
	is($session->query('SHOW distilsst.model'), $name, "the server's model can be set to \"$name\"");
	error_is($session->error("SELECT $text"), 'F0000', qq("$shown" is not the name of a sentiment model), $rule,
		'Set distilsst.model, by ALTER SYSTEM or in postgresql.conf, to a model that sst2_models() lists.',
		'and is an error at use');
	error_is($session->error("SELECT sst2_score('a', model => '$name')"), '22023',
		qq("$shown" is not the name of a sentiment model),
		$rule, 'sst2_models() lists the models that are installed.', 'as in a call');
}
server_model($good);
error_is($session->error("SELECT sst2_label('a', model => '$good')"), '22023', '"good.dsst" is not the name of a sentiment model',
	$rule, 'sst2_models() lists the models that are installed.', 'a call cannot name a path');
error_is($session->error("SELECT sst2_label('a', '0.9')"), '22023', '"0.9" is not the name of a sentiment model', $rule,
	"A string names a model. Write a confidence as a number, 0.9 or '0.9'::real.", 'a confidence in quotes');
is($session->query("SELECT $text"), $answer, 'the session goes on');
{
	my $missing = 'no-such_model.1-12345678';
	my $path = models_folder() . "/$missing.dsst";
	my $message = qq(could not open sentiment model "$missing": No such file or directory);
	server_model($missing);
	error_is($session->error("SELECT $text"), '58P01', $message, qq(The file is "$path".), $HINT, 'a name that no file has');
	server_model($good);
	error_is($session->error("SELECT sst2_label('a', '$missing')"), '58P01', $message, qq(The file is "$path".), $NAMED_HINT,
		'in a call, too');
}

# --- A file that is not what its name says ---

{
	my ($name) = model_name($good);
	my $other = ($name =~ s/.$//r) . ($name =~ /0$/ ? 1 : 0);
	install_bytes($other, $packed);
	for my $form ($other, undef)
	{
		server_model($other) unless $form;
		error_is($session->error('SELECT sst2_label(\'a\'' . ($form ? ", '$form')" : ')')), 'XX001',
			qq(sentiment model "$other" cannot be used: its file holds another model, "$name"),
			'The file is "' . models_folder() . qq(/$other.dsst".), qq(Rename that file to "$name.dsst", and install "$other" )
			  . 'again, with "make install-model" or by copying its file from another server.',
			'a file under the name of another model');
	}
	install_model($good);
	server_model($name);
	is($session->query("SELECT $text"), $answer, 'under its own name it answers');
	is($session->query("SELECT sst2_logits('a b c', '$name')"), $answer, 'named in a call, too');
}

is($witness->query('SELECT pg_backend_pid()'), $witness->pid, 'no backend has crashed');
done_testing();
