# distilsst-pack: what it packs, what it refuses and how it says so. How it names and writes files is in ../pack.t.

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = server_dir();
my $json = JSON::PP->new->canonical->utf8;
my $session = SstTest::Session->new;
$session->query("LOAD 'distilsst'");

# {name}: bytes of a folder's three files
sub read_folder
{
	my ($folder) = @_;
	return map { $_ => read_file("$folder/$_") } 'config.json', 'vocab.txt', 'model.safetensors';
}

my $folders = 0;

sub write_folder
{
	my (%files) = @_;
	my $folder = "$dir/folder" . ++$folders;
	make_path($folder);
	write_file("$folder/$_", $files{$_}) for grep { defined $files{$_} } keys %files;
	return $folder;
}

# config.json with other values; undef takes a key out.
sub config
{
	my ($config, %changes) = @_;
	my $values = $json->decode($config);
	for my $key (keys %changes)
	{
		if (defined $changes{$key}) { $values->{$key} = $changes{$key} }
		else { delete $values->{$key} }
	}
	return $json->encode($values);
}

sub split_safetensors
{
	my ($bytes) = @_;
	my $length = unpack('Q<', $bytes);
	return (substr($bytes, 8, $length), substr($bytes, 8 + $length));
}

sub join_safetensors
{
	my ($header, $data) = @_;
	return pack('Q<', length $header) . $header . $data;
}

sub sql_in_model
{
	my ($model, $sql) = @_;
	$session->query("ALTER SYSTEM SET distilsst.model = '$model'");
	$session->query('SELECT pg_reload_conf()');
	sleep 0.01 until $session->query('SHOW distilsst.model') eq $model;
	return $session->query($sql);
}

# --- Number formats: a half-precision folder is packed as its values are in F32 ---

sub float_bits_of_half
{
	my ($half) = @_;
	my ($sign, $exponent, $fraction) = ($half >> 15, $half >> 10 & 31, $half & 1023);
	my $value = $exponent ? (1 + $fraction / 1024) * 2**($exponent - 15) : $fraction * 2**-24;
	return unpack('L', pack('f', $value)) | $sign << 31;
}

my $shape = '2,48,3,80,64,300,2';
my %widen = (F16 => \&float_bits_of_half, BF16 => sub { $_[0] << 16 });
my $logits = q(SELECT sst2_logits(ARRAY['a b', 'It''s good!', '']));
my %answer = (F32 => sql_in_model(made_model($dir, 'F32', $shape), $logits));
for my $dtype ('F16', 'BF16')
{
	my %files = read_folder(made_folder("$dir/$dtype", $shape, $dtype));
	my $model = pack_model("$dir/$dtype", "$dir/$dtype.dsst");
	my ($header, $data) = split_safetensors($files{'model.safetensors'});
	$header =~ s/"$dtype"/"F32"/g;
	$header =~ s/\[(\d+),(\d+)\](?=\})/'[' . 2 * $1 . ',' . 2 * $2 . ']'/ge;
	my @values = map { $widen{$dtype}->($_) } unpack('S<*', $data);
	$values[ 299 * 48 ] = unpack('L', pack('f', 1 / 3));	# of a word that no text has: so all words are packed in F32
	$data = pack('L<*', @values);
	my $wide = write_folder(%files, 'model.safetensors' => join_safetensors($header, $data));
	$answer{$dtype} = sql_in_model($model, $logits);
	is($answer{$dtype}, sql_in_model(pack_model($wide, "$wide.dsst"), $logits), "$dtype is widened exactly");
	is((-s "$wide.dsst") - (-s $model), 300 * 48 * 2, 'and its words are packed in half the bytes');
	my @exact = $answer{F32} =~ /-?[\d.]+/g;
	my @rough = $answer{$dtype} =~ /-?[\d.]+/g;
	my ($most) = sort { $b <=> $a } map { abs($exact[$_] - $rough[$_]) } 0 .. $#exact;
	diag "logits of $dtype differ from those of F32 by up to $most";
	cmp_ok($most, '<', $dtype eq 'F16' ? 0.02 : 0.2, "$dtype logits are close to those of F32");
	cmp_ok($most, '>', 0, 'but not the same');
}

# --- Odd shapes and labels ---

# BASE and the first digits of the fingerprint of a packed file.
sub full_name
{
	my ($base, $file) = @_;
	my ($digits) = read_file($file) =~ /\A.{124}\Q$base\E-[0-9a-f]{8}\0+([0-9a-f]{8})/s;
	return "$base-$digits";
}

{
	my %files = read_folder(made_folder("$dir/odd", '3,75,5,37,33,307,3'));
	my %labels = (0 => 'meh', 1 => "tr\x{e8}s bien", 2 => 'so bad');
	$files{'config.json'} = config($files{'config.json'}, id2label => \%labels, _name_or_path => 'some/odd-one');
	my $model = pack_model(write_folder(%files), "$dir/odd.dsst");
	is(sql_in_model($model, 'SELECT name, "precision", layers, hidden, heads, vocabulary, max_tokens, bytes FROM sst2_model()'),
		join('|', full_name('odd-one', $model), 'fp32', 3, 75, 5, 307, 33, -s $model), 'sst2_model() of an odd shape');
	is($session->query('SELECT count(*), bool_and(ok) FROM sst2_selftest()'), '5|t', 'sst2_selftest() of it');
	is($session->query("SELECT sst2_logits('a b c') = sst2_logits(sst2_token_ids('a b c'))"), 't', 'it reads token ids');

	my $texts = q((SELECT n || ' ' || md5(n::text) t FROM generate_series(1, 40) n) x);
	my $rows = "SELECT sst2_logits(t), convert_to(sst2_label(t), 'UTF8'), sst2_score(t),
		convert_to((c).label, 'UTF8'), (c).score FROM (SELECT t, sst2_classify(t) c FROM $texts) y";
	my ($wrong, %seen) = (0);
	for (split /\n/, $session->query($rows))
	{
		my ($numbers, $label, $score, $class_label, $class_score) = split /\|/;
		my @e = map { exp } $numbers =~ /-?[\d.]+(?:e-\d+)?/g;
		my $sum = $e[0] + $e[1] + $e[2];
		my ($best) = sort { $e[$b] <=> $e[$a] } 0 .. 2;
		utf8::encode(my $name = $labels{$best});
		$wrong++ unless $label eq '\\x' . unpack('H*', $name) && $class_label eq $label
		  && abs($score - $e[1] / $sum) < 1e-6 && abs($class_score - $e[$best] / $sum) < 1e-6;
		$seen{$best}++;
	}
	is($wrong, 0, 'label and score follow from the logits, with the names of id2label');
	cmp_ok(scalar keys %seen, '>', 1, 'of which the texts have more than one');
	is($session->query("SELECT array_dims(sst2_logits(ARRAY['a', 'b']))"), '[1:2][1:3]', 'three logits for each text');
	my $auto = $session->query("SELECT sst2_logits(t) FROM $texts");
	is($session->query("SET distilsst.isa = 'c'; SELECT sst2_logits(t || '') FROM $texts; RESET distilsst.isa"), $auto,
		'the same with isa c');
}

my %good = read_folder(made_folder("$dir/good", '1,32,2,64,16,300,2'));
{
	my $folder = write_folder(%good, 'config.json' => config($good{'config.json'}, id2label => undef));
	my $label = sql_in_model(pack_model($folder, "$dir/unnamed.dsst"),
		q(SELECT sst2_label('a') = 'LABEL_' || CASE WHEN l[2] > l[1] THEN 1 ELSE 0 END FROM sst2_logits('a') l));
	is($label, 't', 'labels without names are LABEL_0 and LABEL_1');
}

# --- Fingerprint ---

sub fingerprint
{
	my ($precision, %sha256) = @_;
	return sha256_hex(join('', map { "$_ $sha256{$_}\n" } 'config.json', 'model.safetensors', 'vocab.txt')
		  . "precision $precision\nlayout 3\narithmetic 2\n");
}
{
	my ($official) = read_file("$ROOT/src/selftest.c") =~ /#define OFFICIAL_FP32 "(\w+)"/;
	my %sha256 = reverse read_file("$ROOT/tools/model.sha256") =~ /^(\w+)  (\S+)$/mg;
	is($official, fingerprint('fp32', %sha256), 'sst2_selftest() knows the fingerprint of the official files');
	is(sql_in_model(pack_model("$dir/good", "$dir/$_.dsst", '--precision', $_), 'SELECT fingerprint FROM sst2_model()'),
		fingerprint($_, map { $_ => sha256_hex($good{$_}) } keys %good),
		"a packed file has the fingerprint of its sources and of $_") for 'fp32', 'int8';
	rename "$dir/fp32.dsst", "$dir/good.dsst" or die $!;
}

# --- What is refused ---

sub refuses
{
	my ($name, $files, $message, @options) = @_;
	my $folder = write_folder(%$files);
	my ($said, $printed);
	write_file("$folder/old.dsst", 'old');
	my $new = "$folder/new.dsst";
	for my $out ($new, "$folder/old.dsst")
	{
		IPC::Run::run([ "$BUILD/distilsst-pack", $folder, $out, @options ], '>', \$printed, '2>', \$said);
		is($? >> 8, 1, "$name: exit status 1");
		if (ref $message) { like($said, qr/\Adistilsst-pack: $message\n\z/, "$name: message") }
		else { is($said, "distilsst-pack: $message\n" =~ s/\bDIR\b/$folder/gr, "$name: message") }
	}
	is_deeply([ sort map { s/.*\///r } glob "$folder/*" ], [ sort 'old.dsst', grep { defined $files->{$_} } keys %$files ],
		"$name: no new file");
	is(read_file("$folder/old.dsst"), 'old', "$name: the old one is as it was");
}

sub refuses_config
{
	my ($name, $message, %changes) = @_;
	refuses($name, { %good, 'config.json' => config($good{'config.json'}, %changes) }, qq("DIR/config.json": $message));
}

my $known = 'only DistilBertForSequenceClassification is known';
refuses('no config.json', { %good, 'config.json' => undef },
	'"DIR/config.json": unable to open DIR/config.json: No such file or directory');
refuses('config.json that is no JSON', { %good, 'config.json' => '{"dim": ' },
	q("DIR/config.json": unexpected token near end of file));
refuses_config('another architecture', "the architecture is BertForSequenceClassification; $known",
	architectures => ['BertForSequenceClassification']);
refuses_config('no architecture', "the architecture is not given; $known", architectures => undef);
refuses('wrong model_type', { %good, 'config.json' => config($good{'config.json'}, model_type => 'bert') },
	qr/"[^"]+config\.json": .*(?:model_type|architecture).*/);
refuses_config('activation relu', '"activation" is not "gelu"', activation => 'relu');
refuses_config("no $_", qq("$_" is missing or not a whole number), $_ => undef)
  for 'n_layers', 'dim', 'n_heads', 'hidden_dim', 'vocab_size', 'max_position_embeddings';
refuses_config('dim as text', '"dim" is missing or not a whole number', dim => '32a');
refuses_config('0 layers', '"n_layers" is 0; it must be 1 to 64', n_layers => 0);
refuses_config('negative dim', '"dim" is -32; it must be 1 to 16384', dim => -32);
refuses_config('too many heads', '"dim" is not a multiple of "n_heads"', n_heads => 5);
refuses_config('one label', '"id2label" has 1 labels; it must have 2 to 1024', id2label => { 0 => 'A' });
refuses_config('a label left out', '"id2label" has no name for label 1', id2label => { 0 => 'A', 2 => 'B' });
refuses_config('several labels at once', '"problem_type" is not single-label classification',
	problem_type => 'multi_label_classification');
refuses('a cased tokenizer', { %good, 'tokenizer_config.json' => '{"do_lower_case": false}' },
	'"DIR/config.json": tokenizer_config.json beside it asks for a cased tokenizer, or one that keeps accents or does '
	  . 'not split Chinese characters; only that of bert-base-uncased is known');

refuses('no vocab.txt', { %good, 'vocab.txt' => undef }, '"DIR/vocab.txt": the vocabulary cannot be opened');
refuses("no [$_]", { %good, 'vocab.txt' => $good{'vocab.txt'} =~ s/^\[$_\]$/none/mr },
	qq("DIR/vocab.txt": the vocabulary has no [$_])) for 'PAD', 'UNK', 'CLS', 'SEP', 'MASK';
refuses('a line too few', { %good, 'vocab.txt' => $good{'vocab.txt'} =~ s/.*\n\z//r },
	'"DIR/vocab.txt" has 299 lines, but config.json says vocab_size 300');
refuses('a line too many', { %good, 'vocab.txt' => "$good{'vocab.txt'}more\n" },
	'"DIR/vocab.txt" has 301 lines, but config.json says vocab_size 300');
refuses('empty vocab.txt', { %good, 'vocab.txt' => '' }, '"DIR/vocab.txt": the vocabulary is empty');

sub refuses_weights
{
	my ($name, $bytes, $message) = @_;
	refuses($name, { %good, 'model.safetensors' => $bytes }, qq("DIR/model.safetensors"$message));
}

my ($header, $data) = split_safetensors($good{'model.safetensors'});
my $bias = 'distilbert.transformer.layer.0.ffn.lin1.bias';

# The header with the tensor $bias, or another, changed.
sub refuses_tensor
{
	my ($name, $message, $change, $new_data) = @_;
	my $tensors = $json->decode($header);
	$change->($tensors);
	refuses_weights($name, join_safetensors($json->encode($tensors), $new_data // $data), ": $message");
}

sub offsets
{
	my (@offsets) = @_;
	return sub { $_[0]{$bias}{data_offsets} = [@offsets] };
}

my ($begin, $end) = @{ $json->decode($header)->{$bias}{data_offsets} };
my $size = length $data;
my $no_offsets = qq(tensor "$bias" has no valid data_offsets);
my $otherwise = 'bytes, but its shape and dtype say otherwise';

refuses('no model.safetensors', { %good, 'model.safetensors' => undef },
	'could not open "DIR/model.safetensors": No such file or directory');
refuses_weights('empty model.safetensors', '', ' is empty');
refuses_weights('7 bytes', "\1" x 7, ': the file is too short for a safetensors header');
for my $length (length($header) + $size + 1, 2**63 + 1, 2**64 - 1)
{
	refuses_weights("header of $length bytes", pack('Q<', $length) . $header . $data,
		sprintf ": the header's length is %u bytes, but the file has %u", $length, 8 + length($header) + $size);
}
refuses_weights('a header that is no JSON', join_safetensors('not JSON', $data),
	q(: the header is not a JSON object: '[' or '{' expected near 'not'));
refuses_weights('a header that is a list', join_safetensors('[]', $data), ': the header is not a JSON object: another type');
refuses('a tensor given twice',
	{ %good, 'model.safetensors' => join_safetensors($header =~ s/\}\s*\z/,"$bias":{}}/r, $data) },
	qr/"[^"]+model\.safetensors": .*duplicate object key.*/);
refuses_tensor('data_offsets past the end', qq(tensor "$bias" ends at byte @{[ $size + 4 ]} of the data, which has only $size),
	offsets($size + 4 - ($end - $begin), $size + 4));
refuses_tensor('negative data_offsets', $no_offsets, offsets(-256, 0));
refuses_tensor('begin behind end', $no_offsets, offsets($end, $begin));
refuses_tensor('one offset', $no_offsets, offsets($begin));
refuses_tensor('offsets that are no numbers', $no_offsets, offsets("$begin", "$end"));
refuses_tensor('too few bytes', qq(tensor "$bias" has 252 $otherwise), offsets($begin, $end - 4));
refuses_tensor('a missing tensor', qq(tensor "$bias" is missing), sub { delete $_[0]{$bias} });
refuses_tensor('a wrong shape', qq(tensor "$bias" has shape [2,32], not [64] as config.json says),
	sub { $_[0]{$bias}{shape} = [ 2, 32 ] });
refuses_tensor('a negative shape', qq(tensor "$bias" has 256 $otherwise), sub { $_[0]{$bias}{shape} = [ -8, -8 ] });
refuses_tensor('a shape that overflows', qq(tensor "$bias" has 256 $otherwise),
	sub { $_[0]{$bias}{shape} = [ 2**32, 2**32, 1 ] });
refuses_tensor('a transposed matrix',
	'tensor "distilbert.transformer.layer.0.ffn.lin1.weight" has shape [32,64], not [64,32] as config.json says',
	sub { $_[0]{'distilbert.transformer.layer.0.ffn.lin1.weight'}{shape} = [ 32, 64 ] });
refuses_tensor('integers', qq(tensor "$bias" has dtype I32; only F32, F16 and BF16 are read),
	sub { $_[0]{$bias}{dtype} = 'I32' });
refuses_tensor('bytes', qq(tensor "$bias" has dtype I8; only F32, F16 and BF16 are read),
	sub { $_[0]{$bias}{dtype} = 'I8'; $_[0]{$bias}{data_offsets} = [ $begin, $begin + 64 ] });
refuses_tensor('overlapping tensors',
	qq(tensors "distilbert.transformer.layer.0.ffn.lin1.weight" and "$bias" overlap), offsets($begin - 4, $end - 4));
for my $value ([ 'NaN', 0x7fc00000 ], [ 'infinity', 0x7f800000 ], [ 'minus infinity', 0xff800000 ])
{
	my $broken = $data;
	substr($broken, $begin + 4 * 7, 4) = pack('L<', $value->[1]);
	refuses_tensor($value->[0], qq(tensor "$bias" has a value that is not finite at index 7), sub { }, $broken);
}
refuses('an unknown precision', {%good}, qr/--precision is .*, not "fp8"/, '--precision', 'fp8');

# What is not asked for may be there.
{
	my $tensors = $json->decode($header);
	$tensors->{extra} = { dtype => 'I64', shape => [1], data_offsets => [ $size, $size + 8 ] };
	my $folder = write_folder(%good, 'model.safetensors' => join_safetensors($json->encode($tensors), $data . "\0" x 8));
	is(sql_in_model(pack_model($folder, "$dir/extra.dsst"), $logits), sql_in_model("$dir/good.dsst", $logits),
		'a tensor too many, and another order in the header, change nothing');
}

$session->query($_) for 'ALTER SYSTEM RESET distilsst.model', 'SELECT pg_reload_conf()';
done_testing();
