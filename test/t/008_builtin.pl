# The built-in model does what its card says, and its name means one answer, bit for bit.

use strict;
use warnings;
use FindBin;
use POSIX ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $card = read_file("$ROOT/model/README.md");
my $session = SstTest::Session->new;

# --- Sentences written for this project: as many right as the card says, and it names the everyday ones that are wrong ---

# The rows of a file, [label, sentence], and those of them that come out wrong
sub judged
{
	my ($name) = @_;
	my %label = (0 => 'NEGATIVE', 1 => 'POSITIVE');
	my (undef, @rows) = map { [split /\t/] } split /\n/, read_file("$ROOT/test/$name.tsv");
	my @wrong = grep {
		my ($label, $sentence) = @$_;
		$session->query("SELECT sst2_label(\$sentence\$$sentence\$sentence\$)") ne $label{$label};
	} @rows;
	return (\@rows, \@wrong);
}

my @rows;
for (['everyday', 'everyday sentences', 100], ['tickets', 'sentences of tickets', 500])
{
	my ($name, $called, $number) = @$_;
	my ($judged, $wrong) = judged($name);
	my $right = @$judged - @$wrong;

	is(scalar(@$judged), $number, "there are $number $called");
	is(scalar(grep { $_->[0] eq '1' } @$judged), $number / 2, 'half of them positive');
	like($card, qr/\Q$called\E\S* .*?\| \d+\.\d % \(\Q$right\E of $number\) \|/, "the card says that $right of them are right");
	next if $name ne 'everyday';
	@rows = @$judged;
	like($card, qr/^\| \Q$_->[1]\E \| 0\.\d+ \|$/m, "it names \"$_->[1]\" as wrong") for @$wrong;
}

# --- One name, one answer, in every release ---

# The md5 of the logits of the everyday sentences, by the models in model/builtin. Never change a line: if one fails, an answer
# has changed; raise SST_ARITHMETIC or SST_PACKED_LAYOUT, which gives the model another name and a new line.
my %kept = (
	fp32 => ['builtin-0db860a7', 'b831eba77abec0aa14913f046ae97500'],
	int8 => ['builtin-1d581d39', '3a9419cc0bac0e8f156a90d28fae3c27'],
);
my $dir = server_dir();
my %lower = (x86_64 => ['avx2', 'avxvnni', 'avx512', 'avx512vnni'], aarch64 => ['neon', 'neondot']);
my @families = ('auto', 'c', @{ $lower{ (POSIX::uname())[4] } // [] });
for my $precision (sort keys %kept)
{
	my ($kept_name, $md5) = @{ $kept{$precision} };
	my $file = pack_model("$ROOT/model/builtin", "$dir/$precision.dsst", '--precision', $precision, '--name', 'builtin');
	my ($name) = model_name($file);
	install_model($file) if $name ne $BUILTIN;
	is($name, $kept_name, "the model in $precision has the name that it has always had");
	my $values = join ', ', map { "(\$sentence\$$_->[1]\$sentence\$)" } @rows;
	for my $isa (@families)
	{
		is($session->query("SET distilsst.isa = $isa; SELECT md5(string_agg(sst2_logits(t, model => '$name')::text, ' ')) "
			  . "FROM (VALUES $values) v(t)"),
			$md5, "$name gives the bits that it has always given, isa $isa");
	}
}
is($BUILTIN, $kept{int8}[0], 'the built-in model is that in int8');

done_testing();
