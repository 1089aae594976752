# The starter model and what is said of it: its card; and that its name means one answer, bit for bit.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $card = read_file("$ROOT/model/README.md");
my $session = SstTest::Session->new;

# --- The everyday sentences: as many right as the card says, and it names those that are wrong ---

my %label = (0 => 'NEGATIVE', 1 => 'POSITIVE');
my (undef, @rows) = map { [split /\t/] } split /\n/, read_file("$ROOT/test/everyday.tsv");
my @wrong = grep {
	my ($label, $sentence) = @$_;
	$session->query("SELECT sst2_label(\$sentence\$$sentence\$sentence\$)") ne $label{$label};
} @rows;
my $right = @rows - @wrong;

is(scalar(@rows), 100, 'there are 100 everyday sentences');
is(scalar(grep { $_->[0] eq '1' } @rows), 50, 'half of them positive');
like($card, qr/everyday sentences\S* .*\| \Q$right\E of 100 \|/, "the card says that $right of them are right");
like($card, qr/^\| \Q$_->[1]\E \| 0\.\d+ \|$/m, "it names \"$_->[1]\" as wrong") for @wrong;

# --- One name, one answer, in every release ---

# The md5 of the logits of the everyday sentences, by the models that lie here. Never change a line: where one fails, an
# answer has changed, and SST_ARITHMETIC or SST_PACKED_LAYOUT must be raised, which gives the model another name and a new line.
my %kept = (
	'starter-9abd989b' => '76bfee98dd80ad3d111c0b360360d943',	# fp32
	'starter-b2432f73' => '953dca14087fe405e0cf5c1f6249fa86',	# int8
	'starter-862c8700' => '76bfee98dd80ad3d111c0b360360d943',	# fp32, layout 3, arithmetic 2
	'starter-65d7c2a8' => 'a042252f4d6f8a72c7b3dbe8e24a2cdd',	# int8
);
my $dir = server_dir();
for my $precision ('fp32', 'int8')
{
	my $name = install_model(pack_model("$ROOT/model/starter", "$dir/$precision.dsst", '--precision', $precision,
		'--name', 'starter'));
	my $values = join ', ', map { "(\$sentence\$$_->[1]\$sentence\$)" } @rows;
	for my $isa ('auto', 'c')
	{
		is($session->query("SET distilsst.isa = $isa; SELECT md5(string_agg(sst2_logits(t, model => '$name')::text, ' ')) "
			  . "FROM (VALUES $values) v(t)"),
			$kept{$name}, "$name gives the bits that it has always given, isa $isa");
	}
}
is($BUILTIN, 'starter-862c8700', 'the built-in model is that in fp32');

done_testing();
