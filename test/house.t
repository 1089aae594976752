#!/usr/bin/perl
# The house is in order: who may include whom, who may need the tests, how long files and lines are.

use strict;
use warnings;
use File::Basename;
use FindBin;
use Test::More;

chdir "$FindBin::RealBin/..";
binmode(Test::More->builder->failure_output, ':encoding(UTF-8)');

# The files below these folders that people write: known by their endings, or scripts without one.
sub files
{
	my @entries = map { glob "$_/*" } @_;
	my @folders = grep { -d } @entries;
	my @files = grep { -f && (m{\.(?:[cht]|p[lm]|sh|py|js|mjs|sql|md|mk)$} || !/\./ && -x) } @entries;
	return (@files, @folders ? files(@folders) : ());
}

# Passes if $wrong->(FILE) is false for each line, $_, of the files.
sub none
{
	my ($name, $wrong, @files) = @_;
	my @found;
	for my $file (@files)
	{
		open(my $in, '<:encoding(UTF-8)', $file) or die "$file: $!";
		while (<$in>)
		{
			push @found, "$file:$.: $_" if $wrong->($file);
		}
	}
	ok(@files && !@found, $name) or diag(@files ? @found : 'no files');
}

# --- The rooms of src ---

# What each file or folder may include, beside itself. Files that are not listed are at the top: they may include all.
my %below = (
	'core/kernels' => ['core/sst'],
	core => ['core/kernels'],
	compat => [],
	rows => [],
	mapping => [],
	settings => ['compat'],
	models => ['core', 'mapping', 'settings'],
	text => ['core', 'compat', 'models'],
	answer => ['text'],
	classifier => ['models', 'text'],
	batch => ['answer', 'classifier', 'compat', 'settings']);

my @source = grep { /\.[ch]$/ } files('src');
my @core = grep { m{^src/core/} } @source;

# The path below src, without ".h", of the header of ours that the line in $_ includes.
sub included
{
	my ($file) = @_;
	my ($header) = /^#\s*include "(.*)\.h"/ or return;
	my ($found) = grep { -f "src/$_.h" } dirname($file) =~ s{^src/?}{}r . "/$header", $header or return;
	1 while $found =~ s{[^/.]+/\.\./}{};
	return $found =~ s{^/|^\./}{}r;
}

sub room
{
	my ($path) = @_;
	return (grep { $path eq $_ || $path =~ m{^\Q$_\E/} } sort { length $b <=> length $a } keys %below)[0];
}

none('dependencies in src point one way', sub {
	my ($file) = @_;
	my $what = included($file) // return 0;
	my $room = room($file =~ s{^src/|\.[ch]$}{}gr) // return 0;
	my $other = room($what) // return 1;
	return $other ne $room && !grep { $_ eq $what || $_ eq $other } @{ $below{$room} };
}, @source);
none('the core does without PostgreSQL', sub { /^#\s*include "(?:postgres|c)\.h"|\b(?:palloc|pfree|ereport|elog)\b/ }, @core);
none('it neither allocates nor prints', sub { /^#\s*include <(?:stdio|stdlib|malloc)\.h>|\b(?:[mc]alloc|f?printf)\(/ }, @core);
none('tools and benchmarks know of our headers the core\'s only',
	sub { /^#\s*include "(.*\.h)"/ && -f "src/$1" && $1 !~ m{^core/} }, grep { /\.[ch]$/ } files('tools', 'bench', 'test'));

# --- Nothing needs the tests ---

none('tools and benchmarks need nothing of test but test/scratch',
	sub { !m{^\s*(?:#(?!include)|//|/?\*)} && m{\btest/(?!scratch\b)} }, grep { !/\.m[dk]$/ } files('tools', 'bench'));

# --- Names ---

# The types that a C file defines.
sub types
{
	my ($file) = @_;
	open(my $in, '<', $file) or die "$file: $!";
	my $text = do { local $/; <$in> };
	my @braced = $text =~ /^typedef (?:struct|enum|union)\b[^;{]*\{.*?^\} (\w+);/msg;
	return (@braced, $text =~ /^typedef [^;{}()]*?\b(\w+);/mg, $text =~ /^typedef [^;{}()]*\(\*(\w+)\)/mg);
}

my %type = map { $_ => 1 } map { types($_) } grep { /\.[ch]$/ } files('src', 'tools', 'test', 'bench');
open(my $list, '<', 'tools/typedefs.list') or die "tools/typedefs.list: $!";
is_deeply([ map { s/\n//r } <$list> ], [ sort keys %type ], 'tools/typedefs.list has all our types, in order');

# --- Files and lines ---

none('C files have at most 500 lines', sub { $. == 501 }, grep { /\.[ch]$/ } files('src', 'tools', 'test', 'bench'));

sub columns
{
	my ($line) = @_;
	1 while $line =~ s/^([^\t]*)\t/$1 . ' ' x (4 - length($1) % 4)/e;
	return length $line;
}

my @written = ('Makefile', glob('*.md .ci/* .github/workflows/*'),
	files('src', 'sql', 'tools', 'test', 'bench', 'docs', 'model'));
my $fenced = 0;
none('lines have at most 130 columns, but for tables, links and a server\'s words in Markdown', sub {
	my ($file) = @_;
	chomp(my $line = $_);
	$fenced = 0 if $. == 1;
	$fenced = !$fenced if $file =~ /\.md$/ && $line =~ /^```/;
	my $exempt = $file =~ /\.md$/ && ($line =~ /^\|/ || $line !~ / / || $fenced && $line =~ /^[A-Z]+:  /);
	return !$exempt && columns($line) > 130;
}, @written);
none('nothing is left of a merge', sub { /^(?:<{7}|>{7}) / }, @written);

done_testing();
