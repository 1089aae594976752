#!/usr/bin/perl
# The packages name the version of distilsst.control and the model that the build has packed.

use strict;
use warnings;
use FindBin;
use JSON::PP ();
use lib "$FindBin::RealBin/t";
use SstTest;
use Test::More;

my ($version) = read_file("$ROOT/distilsst.control") =~ /^default_version = '([0-9.]+)'$/m;
my $release = join '.', (split(/\./, $version), 0)[ 0 .. 2 ];	# PGXN and Debian want three numbers

# --- The version ---

my $script = "sql/distilsst--$version.sql";
ok(-e "$ROOT/$script" || glob("$ROOT/sql/distilsst--*--$version.sql"), 'there is a script that makes this version');
like(read_file("$ROOT/CHANGELOG.md"), qr/\A## \Q$version\E \(/, 'CHANGELOG.md begins with it');
like(read_file("$ROOT/debian/changelog"), qr/\Adistilsst \(\Q$release\E-\d+\) /, 'so does debian/changelog');

my $spec = read_file("$ROOT/rpm/distilsst.spec");
like($spec, qr/^Version:\s+\Q$release\E$/m, 'so does rpm/distilsst.spec');

my $meta = JSON::PP->new->decode(read_file("$ROOT/META.json"));
is($meta->{version}, $release, 'META.json: the distribution');
is($meta->{provides}{distilsst}{version}, $release, 'META.json: the extension');
is(join(' ', grep { !defined $meta->{$_} } qw(name abstract maintainer license provides meta-spec)), '',
	'has what PGXN requires');
is(join(' ', grep { !-e "$ROOT/$meta->{provides}{distilsst}{$_}" } qw(file docfile)), '', 'and names files that exist');

# --- The model ---

# debian/control is what pg_buildext makes of control.in.
for my $file ('debian/control.in', 'debian/control')
{
	my %named = map { $_ => 1 } read_file("$ROOT/$file") =~ /distilsst-model-([\w.-]*\w)/g;
	is(join(' ', sort keys %named), $BUILTIN, "$file names the built-in model")
	  or diag "run debian/rules name-model MODEL=$BUILTIN";
}

is(($spec =~ /^%global model (\S+)$/m)[0], $BUILTIN, 'rpm/distilsst.spec names it, too');

done_testing();
