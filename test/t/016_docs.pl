# README.md and docs/*.md: every example runs and prints what they show; every name of a model is right.
#
# SST_DOCS=write puts what the examples print into the files instead. A block after the comment <!-- shown only --> is not
# run: its figures differ from run to run.

use strict;
use warnings;
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $boss = SstTest::Session->new;
my $builtin = $boss->query('SELECT name FROM sst2_model()');

# Runs statements by one psql in a new database. Returns what each prints, output before errors.
sub run_statements
{
	my ($database, @statements) = @_;
	my $script = join '', map { "$_\n\\echo \@\@\n\\warn \@\@\n" } @statements;
	my @command = ('psql', '-X', '-q', '-d', $database, '-P', 'footer=off', '-v', 'VERBOSITY=default');
	IPC::Run::run(\@command, '<', \$script, '>', \my $out, '2>', \my $err);
	my @out = split /^\@\@\n/m, $out, -1;
	my @err = split /^\@\@\n/m, $err =~ s/^psql:\S+ //gmr, -1;
	return map { ($out[$_] // '') . ($err[$_] // '') } 0 .. $#statements;
}

# Drops empty lines and trailing spaces, and writes one path for the folder of models.
sub tidy
{
	my ($said) = @_;
	$said =~ s{"/[^"]*/distilsst/}{"/usr/share/postgresql/15/distilsst/}g;
	return join '', map { s/\s+$//r . "\n" } grep { /\S/ } split /\n/, $said;
}

sub check_file
{
	my ($path) = @_;
	my $name = $path =~ s/^\Q$ROOT\E\///r;
	my $text = read_file($path);
	$text =~ s/\bbuiltin-[0-9a-f]{8}\b/$builtin/g if $ENV{SST_DOCS};
	my $database = 'sst_test_docs';
	$boss->query("CREATE DATABASE $database");
	run_statements($database, 'CREATE EXTENSION distilsst;');
	$boss->query("ALTER DATABASE $database SET client_min_messages = warning");
	if ($text !~ /CREATE TABLE reviews/)
	{
		run_statements($database, 'CREATE TABLE reviews (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, review text NOT NULL);',
			q(INSERT INTO reviews (review) VALUES ('I love this kettle, it works very well.'), ('The staff were not friendly.'),
				('Not bad at all!');));
	}
	my $new = '';
	my $blocks = 0;
	while ($text =~ /\G(.*?)^```(sql|)\n(.*?)^```\n/gcms)
	{
		my ($before, $language, $block) = ($1, $2, $3);
		my $shown_only = $before =~ /<!-- shown only -->\s*\z/;
		if (!$shown_only && $language eq 'sql')
		{
			my ($said) = run_statements($database, $block);
			unlike($said, qr/ERROR|FATAL/, "$name: block $blocks runs") or diag $said;
		}
		elsif (!$shown_only && $block =~ /^=# /)
		{
			my @examples = $block =~ /^=# (.*?;\n.*?)(?=^=# |\z)/gms;
			my @statements = map { /\A(.*?;)\n/s } @examples;
			my @shown = map { s/\A.*?;\n//sr } @examples;
			my @got = run_statements($database, @statements);
			is(tidy($got[$_]), tidy($shown[$_]), "$name: $statements[$_]") for $ENV{SST_DOCS} ? () : (0 .. $#got);
			$block = join "\n", map { "=# $statements[$_]\n" . tidy($got[$_]) } 0 .. $#got;
		}
		$blocks++;
		$new .= "$before```$language\n$block```\n";
	}
	$new .= substr $text, pos($text) // 0;
	write_file($path, $new) if ($ENV{SST_DOCS} // '') eq 'write';
	is($_, $builtin, "$name names the model that ships") for $text =~ /\b(builtin-[0-9a-f]{8})\b/g;
	$boss->query($_) for "DROP DATABASE $database", 'ALTER SYSTEM RESET ALL', 'SELECT pg_reload_conf()';
}

check_file($_) for "$ROOT/README.md", glob "$ROOT/docs/*.md";
my ($official) = read_file("$ROOT/src/selftest.c") =~ /OFFICIAL_FP32 "([0-9a-f]{8})/;
is($_, $official, 'the official model by its name')
  for map { read_file($_) =~ /\bsst2-([0-9a-f]{8})\b/g } "$ROOT/README.md", glob "$ROOT/docs/*.md";
done_testing();
