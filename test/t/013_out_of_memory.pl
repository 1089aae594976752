# A session runs out of memory: whatever it needs the memory for, it raises an ERROR and goes on.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

plan skip_all => 'needs /proc and prlimit' if !-r '/proc/self/status' || system('prlimit --version >/dev/null 2>&1') != 0;

my $dir = server_dir();
# Only four models stay open, so after these the large one has to be opened anew.
my @small = map { install_model(made_model($dir, "small$_", "1,32,2,6$_,16,300,2")) } 1 .. 4;
# Its workspace is over 32 MB, which malloc() always takes by mmap().
my $large = install_model(made_model($dir, 'large', '1,512,4,1024,8192,2000,2'));
my $session = SstTest::Session->new(model => $small[0]);
my $use_small = 'SELECT ' . join(', ', map { "sst2_logits('a b c', model => '$_')" } @small);
my $use_large = "SELECT sst2_logits('a b c', model => '$large'), sst2_label(ARRAY['good', 'bad', 'a'], model => '$large')";
my $right_small = $session->query($use_small);
my $right = $session->query($use_large);

# Limits the session's address space, in kB. A child of the backend does so, as the server's user.
sub limit
{
	my ($kb) = @_;
	my $bytes = $kb ? $kb * 1024 : 'unlimited';
	$session->query("COPY (SELECT WHERE false) TO PROGRAM 'prlimit --pid \$PPID --as=$bytes:'");
}

sub address_space
{
	my ($kb) = read_file('/proc/' . $session->pid . '/status') =~ /^VmSize:\s+(\d+) kB/m;
	return $kb;
}

# From the small models to the large one, with ever more memory, until it suffices three times.
my (%seen, %wrong);
my $enough = 0;
my $tried = 0;
while ($enough < 3 && $tried < 300)
{
	$session->query($use_small);
	limit(address_space() + 1024 * ++$tried);
	my $said = $session->try($use_large);
	if (my $error = $said->{error})
	{
		$seen{ $error->{message} }++;
		$wrong{ $error->{sqlstate} }++ if $error->{sqlstate} ne '53200';
		$wrong{'session lost'}++ if !$said->{alive};
		$enough = 0;
	}
	else
	{
		$wrong{$_}++ for grep { $_ ne $right } $said->{out};
		$enough++;
	}
	last if !$said->{alive};
	limit();
	$wrong{'the small ones afterwards'}++ if $session->query($use_small) ne $right_small;
	$wrong{'the large one afterwards'}++ if $session->query($use_large) ne $right;
}

diag "$tried limits: ", join(', ', map { "\"$_\" $seen{$_} times" } sort keys %seen);
is_deeply(\%wrong, {}, 'an error with SQLSTATE 53200 or the right answer, and the right answer afterwards')
  or diag explain \%wrong;
is($enough, 3, 'with enough memory the large model is used');
ok($seen{qq(could not open sentiment model "$large": Cannot allocate memory)}, 'one error is that of mapping the model');
ok($seen{'out of memory'}, 'another that of the memory to work in');
is($session->query("SELECT pg_backend_pid()"), $session->pid, 'the session is still the same');
done_testing();
