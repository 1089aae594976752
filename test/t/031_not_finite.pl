# Well-formed but absurd weights: a text without finite logits is an error, other texts have answers.

use strict;
use warnings;
use FindBin;
use JSON::PP ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $dir = server_dir();
my $hidden = 32;
my $folder = made_folder("$dir/huge", "2,$hidden,2,64,64,300,2");

# The word embedding of the piece "z" becomes the largest float, which makes the embeddings' norm overflow. No text of the
# self-test has this piece.
my ($z) = grep { (split /\n/, read_file("$folder/vocab.txt"))[$_] eq 'z' } 0 .. 299;
my $bytes = read_file("$folder/model.safetensors");
my $length = unpack('Q<', $bytes);
my $words = JSON::PP->new->decode(substr($bytes, 8, $length))->{'distilbert.embeddings.word_embeddings.weight'};
substr($bytes, 8 + $length + $words->{data_offsets}[0] + $z * $hidden * 4, $hidden * 4) = pack('L<', 0x7f7fffff) x $hidden;
write_file("$folder/model.safetensors", $bytes);

my $hint = 'Its weights are broken or too large; pack and install another model.';

for my $precision ('fp32', 'int8')
{
	my $model = pack_model($folder, "$dir/huge-$precision.dsst", '--precision', $precision);
	my $right;
	for my $isa ('c', 'avx2', 'avx512', 'auto')
	{
		my $name = "$precision, $isa";
		my $message = "sentiment model \"huge-$precision.dsst\" gives no finite answer for this text";
		my $session = SstTest::Session->new(model => $model);
		$session->query("SET distilsst.isa = $isa");
		my $good = $session->query(q(SELECT sst2_logits('good'), sst2_score('bad')));
		$right //= $good;
		is($good, $right, "$name: a text without it");
		for my $sql (q(sst2_label('a z')), q(sst2_score(ARRAY['good', 'z', 'bad'])), "sst2_logits(ARRAY[2, $z, 3])")
		{
			error_is($session->error("SELECT $sql"), '22P01', $message, undef, $hint, "$name: $sql");
		}
		is($session->query(q(SELECT sst2_logits('good'), sst2_score('bad'))), $right, "$name: the session goes on");
	}
}
done_testing();
