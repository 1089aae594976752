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
my ($LAYOUT, $ARITHMETIC) = read_file("$ROOT/src/core/packed.h") =~
  /#define SST_PACKED_LAYOUT (\d+).*#define SST_ARITHMETIC (\d+)/s;
my $session = SstTest::Session->new;
$session->query("LOAD 'distilsst'");

# The contents of a folder's three files, by name.
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

# config.json with other values; undef removes a key.
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

# --- Number formats: a half-precision folder answers as one with the same values in F32 ---

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
	$values[ 299 * 48 ] = unpack('L', pack('f', 1 / 3));	# needs F32; no text here has this word
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

{
	my %files = read_folder(made_folder("$dir/odd", '3,75,5,37,33,307,3'));
	my %labels = (0 => 'meh', 1 => "tr\x{e8}s bien", 2 => 'so bad');
	$files{'config.json'} = config($files{'config.json'}, id2label => \%labels, _name_or_path => 'some/odd-one');
	my $model = pack_model(write_folder(%files), "$dir/odd.dsst");
	is(sql_in_model($model, 'SELECT name, "precision", layers, hidden, heads, vocabulary, max_tokens, bytes FROM sst2_model()'),
		join('|', (model_name($model))[0], 'fp32', 3, 75, 5, 307, 33, -s $model), 'sst2_model() of an odd shape');
	like((model_name($model))[0], qr/^odd-one-/, 'of which the name is that of config.json');
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
		  . "precision $precision\nlayout $LAYOUT\narithmetic $ARITHMETIC\n");
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

refuses('no config.json', { %good, 'config.json' => undef },
	'"DIR/config.json": unable to open DIR/config.json: No such file or directory');
refuses('config.json that is no JSON', { %good, 'config.json' => "{\n\"dim\": " },
	q("DIR/config.json", line 2: unexpected token near end of file));
refuses('config.json that is a list', { %good, 'config.json' => '[]' }, '"DIR/config.json": it holds no JSON object');
refuses('a key given twice', { %good, 'config.json' => '{"dim": 1, "dim": 2}' },
	qr/"[^"]+config\.json", line 1: duplicate object key.*/);
refuses_config('another architecture',
	'"architectures" is ["BertForSequenceClassification"]; known: ["DistilBertForSequenceClassification"]',
	architectures => ['BertForSequenceClassification']);
refuses_config('no architecture', '"architectures" is missing; known: ["DistilBertForSequenceClassification"]',
	architectures => undef);
refuses_config('another model_type', '"model_type" is roberta; known: "distilbert", "bert"', model_type => 'roberta');
refuses_config("the keys of another model_type", 'what "activation" asks for is not known', model_type => 'bert',
	map { $_ => undef } 'dim', 'dropout', 'attention_dropout', 'hidden_dim', 'n_heads', 'n_layers');
refuses_config('an unknown key', 'what "num_attention_heads" asks for is not known', num_attention_heads => 2);
refuses_config('activation relu', '"activation" is "relu"; known: null, "gelu"', activation => 'relu');
refuses_config("no $_", qq("$_" is missing or no number), $_ => undef)
  for 'n_layers', 'dim', 'n_heads', 'hidden_dim', 'vocab_size', 'max_position_embeddings';
refuses_config('dim as text', '"dim" is missing or no number', dim => '32a');
refuses_config('0 layers', '"n_layers" is 0; it must be a whole number of 1 to 64', n_layers => 0);
refuses_config('half a layer', '"n_layers" is 1.5; it must be a whole number of 1 to 64', n_layers => 1.5);
refuses_config('negative dim', '"dim" is -32; it must be a whole number of 1 to 16384', dim => -32);
refuses_config('too many heads', '"dim" is not a multiple of "n_heads"', n_heads => 5);
refuses_config('one label', '"id2label" has 1 labels; it must have 2 to 1024', id2label => { 0 => 'A' });
refuses_config('a label left out', '"id2label" has no name for label 1', id2label => { 0 => 'A', 2 => 'B' });
refuses_config('another number of labels', '"num_labels" is not 2, as "id2label" has it', num_labels => 3);
refuses_config('several labels at once',
	'"problem_type" is "multi_label_classification"; known: null, "single_label_classification"',
	problem_type => 'multi_label_classification');
refuses_config('sigmoid', '"function_to_apply" is "sigmoid"; known: null, "softmax"', function_to_apply => 'sigmoid');
refuses('an adapter', { %good, 'adapter_config.json' => '{}' },
	'"DIR/adapter_config.json": adapters are not known; merge them into the model and save it');

# --- The tokenizer: see also ../transformers ---

refuses('no vocabulary', { %good, 'vocab.txt' => undef }, '"DIR/tokenizer.json" and "DIR/vocab.txt" are missing');
refuses("no [$_]", { %good, 'vocab.txt' => $good{'vocab.txt'} =~ s/^\[$_\]$/none/mr },
	qq("DIR/vocab.txt": the vocabulary has no [$_])) for 'PAD', 'UNK', 'CLS', 'SEP', 'MASK';
refuses('a line too few', { %good, 'vocab.txt' => $good{'vocab.txt'} =~ s/.*\n\z//r },
	'"DIR/vocab.txt" has 299 pieces, but config.json says vocab_size 300');
refuses('a line too many', { %good, 'vocab.txt' => "$good{'vocab.txt'}more\n" },
	'"DIR/vocab.txt" has 301 pieces, but config.json says vocab_size 300');
refuses('empty vocab.txt', { %good, 'vocab.txt' => '' }, '"DIR/vocab.txt": the vocabulary is empty');
refuses('a blank behind a piece', { %good, 'vocab.txt' => $good{'vocab.txt'} =~ s/\A((?:.*\n){20}.*)/$1 /r },
	qr/"[^"]+vocab\.txt": piece \d+ of the vocabulary has a blank at its end, or a carriage return/);

sub refuses_tokenizer
{
	my ($name, $message, $file, $contents) = @_;
	refuses($name, { %good, $file => $contents }, qq("DIR/$file"$message));
}

refuses_tokenizer('a tokenizer_config.json that is no JSON', q(, line 2: '}' expected near end of file),
	'tokenizer_config.json', qq({"do_lower_case": true\n));
refuses_tokenizer('a limit of 1', ': "model_max_length" is not a whole number of at least 2',
	'tokenizer_config.json', '{"model_max_length": 1}');
refuses_tokenizer('another tokenizer', ': "tokenizer_class" is "BertJapaneseTokenizer"; known: null, "DistilBertTokenizer", '
	  . '"DistilBertTokenizerFast", "BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend"',
	'tokenizer_config.json', '{"tokenizer_class": "BertJapaneseTokenizer"}');
refuses_tokenizer('an unknown setting', ': what "lower" asks for is not known', 'tokenizer_config.json', '{"lower": 1}');
refuses_tokenizer('a mask token of another name', ': "mask_token" is <mask>; known: "[MASK]"',
	'special_tokens_map.json', '{"mask_token": "<mask>"}');
refuses_tokenizer('an added token', ': what "[ENT]" asks for is not known', 'added_tokens.json', '{"[ENT]": 300}');
refuses_tokenizer('a tokenizer.json of nothing', ': "version" is missing; known: "1.0"', 'tokenizer.json', '{}');

# tokenizer.json as transformers 5 writes it, with the pieces of vocab.txt
sub tokenizer_json
{
	my (%normalizer) = @_;
	my %id;
	my @pieces = split /\n/, $good{'vocab.txt'};
	utf8::decode($_) for @pieces;
	@id{@pieces} = 0 .. $#pieces;
	return $json->encode({
		version => '1.0', truncation => undef, padding => undef, decoder => undef,
		added_tokens => [ map { { id => $id{$_}, content => $_, normalized => JSON::PP::false, special => JSON::PP::true } }
				'[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]' ],
		normalizer => { type => 'BertNormalizer', clean_text => JSON::PP::true, handle_chinese_chars => JSON::PP::true,
			strip_accents => undef, lowercase => JSON::PP::true, %normalizer },
		pre_tokenizer => { type => 'BertPreTokenizer' },
		post_processor => { type => 'BertProcessing', sep => [ '[SEP]', $id{'[SEP]'} ], cls => [ '[CLS]', $id{'[CLS]'} ] },
		model => { type => 'WordPiece', unk_token => '[UNK]', continuing_subword_prefix => '##', max_input_chars_per_word => 100,
			vocab => \%id } });
}

refuses_tokenizer('small letters in tokenizer.json alone', ': "normalizer.lowercase" comes to false, but "do_lower_case" in '
	  . 'tokenizer_config.json, or its default, to true', 'tokenizer.json', tokenizer_json(lowercase => JSON::PP::false));
refuses('another vocab.txt',
	{ %good, 'tokenizer.json' => tokenizer_json(), 'vocab.txt' => $good{'vocab.txt'} =~ s/^\[MASK\]\n(.*)\n/$1\n[MASK]\n/mr },
	qr/"[^"]+vocab\.txt" has ".*" for piece \d+, but tokenizer\.json "\[MASK\]"/);

sub fingerprint_with
{
	my (%changes) = @_;
	my $model = pack_model(write_folder(%good, %changes), "$dir/with" . ++$folders . '.dsst');
	return (model_name($model))[1];
}

{
	my $fingerprint = fingerprint_with();
	my %limit = ('tokenizer_config.json' => '{"model_max_length": 1000000000000000019884624838656}');
	is(fingerprint_with(%limit), $fingerprint, 'no limit is the limit of the positions');
	is(fingerprint_with('tokenizer.json' => tokenizer_json()), $fingerprint, 'tokenizer.json beside vocab.txt is the same model');
	is(fingerprint_with('tokenizer.json' => tokenizer_json(), 'vocab.txt' => undef), $fingerprint, 'and alone');
	my @others = map { fingerprint_with('tokenizer_config.json' => $_) } '{"do_lower_case": false}', '{"strip_accents": false}',
	  '{"tokenize_chinese_chars": false}', '{"model_max_length": 9}';
	my %all = map { $_ => 1 } $fingerprint, @others;
	is(keys %all, 5, 'what changes the reading of texts makes another model');
	is($others[3], sha256_hex(join('', map { "$_ " . sha256_hex($good{$_}) . "\n" }
				'config.json', 'model.safetensors', 'vocab.txt')
			. "model_max_length 9\nprecision fp32\nlayout $LAYOUT\narithmetic $ARITHMETIC\n"), 'of a fingerprint that says so');
	is(sql_in_model(pack_model(write_folder(%good, 'tokenizer_config.json' => '{"model_max_length": 9}'), "$dir/nine.dsst"),
		q(SELECT array_length(sst2_token_ids('a b c d e f g h i j k'), 1), max_tokens FROM sst2_model())),
		'9|9', 'and is obeyed');
}

# --- Weights ---

{
	my $folder = write_folder(%good,
		'config.json' => config($good{'config.json'}, dim => 16384, hidden_dim => 16384, n_layers => 64));
	my $said;
	IPC::Run::run([ 'sh', '-c', "ulimit -v 400000; exec '$BUILD/distilsst-pack' $folder $folder/out.dsst" ], '2>', \$said);
	is($said, qq(distilsst-pack: "$folder/model.safetensors": tensor "distilbert.embeddings.word_embeddings.weight" )
		  . "has shape [300,32], not [300,16384] as config.json says\n", 'a shape is looked at before memory is taken for it');
}

# The same weights in two files with an index.
{
	my ($header, $data) = split_safetensors($good{'model.safetensors'});
	my $tensors = $json->decode($header);
	my (%map, %shard);
	for my $name (grep { $_ ne '__metadata__' } sort keys %$tensors)
	{
		my ($from, $to) = @{ $tensors->{$name}{data_offsets} };
		my $shard = $shard{ $map{$name} = keys(%map) % 2 ? 'b.safetensors' : 'a.safetensors' } //= { header => {}, data => '' };
		my $at = length $shard->{data};
		$shard->{header}{$name} = { %{ $tensors->{$name} }, data_offsets => [ $at, $at + $to - $from ] };
		$shard->{data} .= substr($data, $from, $to - $from);
	}
	my %sharded = (%good, 'model.safetensors' => undef, 'model.safetensors.index.json' => $json->encode({ weight_map => \%map }),
		map { $_ => join_safetensors($json->encode($shard{$_}{header}), $shard{$_}{data}) } keys %shard);
	my $model = pack_model(write_folder(%sharded), "$dir/sharded.dsst");
	is(sql_in_model($model, $logits), sql_in_model("$dir/good.dsst", $logits), 'sharded weights are read');
	is((model_name($model))[1], sha256_hex(join('', map { "$_ " . sha256_hex($sharded{$_}) . "\n" } 'config.json',
			'model.safetensors.index.json', 'a.safetensors', 'b.safetensors', 'vocab.txt')
			. "precision fp32\nlayout $LAYOUT\narithmetic $ARITHMETIC\n"), 'and stand in the fingerprint');
	refuses('a tensor in two files', { %sharded, 'b.safetensors' => $good{'model.safetensors'} },
		qr{"[^"]+/a\.safetensors" and "[^"]+/b\.safetensors" both have the tensor "\S+"});
	refuses('a file that is missing', { %sharded, 'b.safetensors' => undef },
		'could not open "DIR/b.safetensors": No such file or directory');
	refuses('a file elsewhere', { %sharded, 'model.safetensors.index.json' => '{"weight_map": {"x": "../a.safetensors"}}' },
		'"DIR/model.safetensors.index.json": "weight_map" names no file of this folder for "x"');
	refuses('an index of nothing', { %sharded, 'model.safetensors.index.json' => '{}' },
		'"DIR/model.safetensors.index.json": "weight_map" is empty or no JSON object');
}

sub refuses_weights
{
	my ($name, $bytes, $message) = @_;
	refuses($name, { %good, 'model.safetensors' => $bytes }, qq("DIR/model.safetensors"$message));
}

my ($header, $data) = split_safetensors($good{'model.safetensors'});
my $bias = 'distilbert.transformer.layer.0.ffn.lin1.bias';

# $change alters the tensors of the header: a hash by name.
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

# Unknown tensors are ignored.
{
	my $tensors = $json->decode($header);
	$tensors->{extra} = { dtype => 'I64', shape => [1], data_offsets => [ $size, $size + 8 ] };
	my $folder = write_folder(%good, 'model.safetensors' => join_safetensors($json->encode($tensors), $data . "\0" x 8));
	is(sql_in_model(pack_model($folder, "$dir/extra.dsst"), $logits), sql_in_model("$dir/good.dsst", $logits),
		'a tensor too many, and another order in the header, change nothing');
}

$session->query($_) for 'ALTER SYSTEM RESET distilsst.model', 'SELECT pg_reload_conf()';
done_testing();
