# The starter model and what is said of it: its card, its notice.

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

# --- SST-2 dev, whose texts are not in the project: one figure everywhere ---

my ($figure) = $card =~ /^\| SST-2 dev \| \d+ of 872 \| ([\d.]+ %) \|$/m;
like(read_file("$ROOT/model/notice.txt"), qr/labels \Q$figure\E of the SST-2 dev sentences right/,
	'the notice says what the card says');

done_testing();
