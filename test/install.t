#!/usr/bin/perl
# The Makefile: builds in odd places, what is installed, what is not, and what is left.

use strict;
use warnings;
use Cwd qw(realpath);
use File::Find qw(find);
use File::Path qw(make_path remove_tree);
use FindBin;
use IPC::Run ();
use lib "$FindBin::RealBin/t";
use SstTest;
use Test::More;

my $temporary = server_dir();	# as long as this lives
my $dir = realpath($temporary);
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
chomp(my ($share, $bin, $lib) = map { scalar `$pg_config --$_` } 'sharedir', 'bindir', 'pkglibdir');
my $models = "$share/distilsst";
my @scripts = map { s{.*/}{}r } glob "'$ROOT/sql/distilsst--*.sql'";	# of all versions
umask 022;

# make in a folder: exit status and output.
sub make_in
{
	my ($folder, @arguments) = @_;
	my $output;
	IPC::Run::run([ 'make', '-s', '-C', $folder, "PG_CONFIG=$pg_config", @arguments ], '>&', \$output);
	return ($? >> 8, $output);
}

# make in the build that is tested
sub make_here
{
	return make_in($BUILD, $BUILD eq $ROOT ? () : ('-f', "$ROOT/Makefile"), @_);
}

sub files_below
{
	my ($folder) = @_;
	my @files;
	find({ no_chdir => 1, wanted => sub { push @files, substr($_, length $folder) if !-d } }, $folder) if -d $folder;
	return [ sort @files ];
}

# A copy of the source tree without what was built in it.
sub copy_source
{
	my ($to) = @_;
	make_path($to);
	my $tar = qq(tar -C "$ROOT" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude=./host )
	  . qq(--exclude=./distilsst-pack --exclude=./results -c . | tar -C "$to" -x);
	system($tar) == 0 or die $tar;
	return $to;
}

sub everything_in
{
	my ($folder) = @_;
	my @all;
	find({ no_chdir => 1, wanted => sub { push @all, $_ } }, $folder);
	return [ sort @all ];
}

my @quick = ('-j2', 'COPT=-O0', 'HOST_OPTIMIZE=-O0');

# --- make -n ---

my $source = copy_source("$dir/source");
{
	my $before = everything_in($source);
	my ($status, $output) = make_in($source, '-n', 'install', 'install-model', "DESTDIR=$dir/none", "MODEL_DIR=$dir/none");
	is($status, 0, 'make -n') or diag $output;
	like($output, qr/core\/packed\.o/, 'says what make would do');
	is_deeply(everything_in($source), $before, 'and makes nothing');
	ok(!-e "$dir/none", 'nor installs anything');
}

# --- A build elsewhere, of a source tree that is built, for another machine ---

# The source tree has empty object files, newer than all sources: a build elsewhere must not use them.
find({ no_chdir => 1, wanted => sub { write_file(s/c$/o/r, '') if /\.c$/ } }, "$source/src");
write_file("$source/$_", '') for 'distilsst.so', 'distilsst-pack';

# A compiler whose programs do not run here.
my $ran = "$dir/ran";
my $foreign = write_file("$dir/foreign-cc", <<"END");
#!/bin/bash
gcc "\$@" || exit
case " \$* " in *' -c '*|*' -shared '*|*' -dumpmachine '*) exit ;; esac
while [ "\$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho "\$0" >>%s\\nexit 99\\n' '$ran' >"\$2"
END
chmod 0755, $foreign;

my $build = "$dir/build";
my @cross = ('-f', "$source/Makefile", "CC=$foreign", 'HOST_CC=gcc', @quick);
make_path($build);
{
	my ($status, $output) = make_in($build, @cross, 'all');
	is($status, 0, 'make all, with another compiler for this machine, elsewhere than in a built source tree') or diag $output;
	cmp_ok(-s "$build/distilsst.so", '>', 100_000, 'builds the extension');
	is(-s "$source/distilsst.so", 0, 'and leaves that of the source tree');
	like(read_file("$build/distilsst-pack"), qr/exit 99/, 'the packer that will be installed is for the other machine');
	ok(!-e $ran, 'and has not run here');
	my ($name) = read_file("$build/host/builtin_model.h") =~ /\A#define SST_BUILTIN_MODEL "(builtin-[0-9a-f]{8})"\n\z/;
	is_deeply(files_below("$build/host/model"), ["/$name.dsst"], 'the built-in model is packed under its name');
	($status, $output) = make_in($build, @cross, '-q', 'all');
	is($status, 0, 'then there is nothing left to build');
	($status, $output) = make_in($build, @cross, 'install', "DESTDIR=$dir/stage");
	is($status, 0, 'make install') or diag $output;
	is_deeply(files_below("$dir/stage"), [ sort "$lib/distilsst.so", "$bin/distilsst-pack", "$models/$name.dsst",
			map { "$share/extension/$_" } 'distilsst.control', @scripts ], 'installs these files');
	ok(!-e $ran, 'and runs nothing');
	is(read_file("$dir/stage$models/$name.dsst") eq read_file("$build/host/model/$name.dsst"), 1, 'the model is a copy');
}

# --- The official model gets the name sst2 ---

{
	my $made = made_folder("$dir/made", '1,32,2,64,16,300,2');
	write_file("$source/tools/install-packages", "#!/bin/sh\n");
	write_file("$source/tools/fetch-model", qq(#!/bin/sh\nmkdir -p "\${1%/*}" && cp -r $made "\$1"\n));
	chmod 0755, map { "$source/tools/$_" } 'install-packages', 'fetch-model';
	my ($status, $output) = make_in($build, @cross, 'install-model', "DESTDIR=$dir/official");
	is($status, 0, 'make install-model') or diag $output;
	my ($file) = @{ files_below("$dir/official") };
	like($file, qr{^\Q$models\E/sst2-[0-9a-f]{8}\.dsst$}, 'calls the official model sst2');
	ok(!-e $ran, 'and runs nothing of another machine');
}

# --- A space in the path ---

{
	my $spaced = copy_source("$dir/a source");
	my ($status, $output) = make_in($spaced, @quick, 'all');
	is($status, 0, 'make in a folder with a space in its name') or diag $output;
	cmp_ok(-s "$spaced/distilsst.so", '>', 100_000, 'builds the extension');
	($status, $output) = make_in($spaced, @quick, 'install', "DESTDIR=$dir/a stage");
	is($status, 0, 'make install there') or diag $output;
	is(scalar @{ files_below("$dir/a stage") }, 4 + @scripts, 'installs all');
	remove_tree($build);
	make_path($build);
	($status, $output) = make_in($build, '-f', "$spaced/Makefile", 'all');
	is($status, 2, 'a build elsewhere of such a folder');
	is($output =~ s{\A\Q$spaced\E/Makefile:\d+: }{}r, '*** distilsst can be built in another folder only where the source '
		  . "folder's path has no spaces.  Stop.\n", 'is refused in one sentence');
	is_deeply(everything_in($build), [$build], 'and makes nothing');
}

# --- make install: what is there is never replaced ---

my $stage = "$dir/here";
my ($builtin) = map { m{^/(.+)\.dsst$} } @{ files_below("$BUILD/host/model") };
my $installed = "$stage$models/$builtin.dsst";
{
	my ($status, $output) = make_here('install', "DESTDIR=$stage");
	is($status, 0, 'make install') or diag $output;
	is((stat $installed)[2] & 07777, 0644, 'all may read the model');
	my $inode = (stat $installed)[1];
	($status, $output) = make_here('install', "DESTDIR=$stage");
	is($status, 0, 'a second one succeeds') or diag $output;
	is((stat $installed)[1], $inode, 'and leaves the file, which a server may have mapped');
	write_file($installed, 'other contents');
	($status, $output) = make_here('install', "DESTDIR=$stage");
	is($status, 2, 'a file of that name with other contents is refused');
	like($output, qr/^"\Q$installed\E" exists with other contents, and a model is never replaced$/m, 'which is said');
	is(read_file($installed), 'other contents', 'the file is as it was');
	unlink $installed;
	make_here('install', "DESTDIR=$stage");
}

# --- make install-model ---

my $folder = made_folder("$dir/own", '1,32,2,64,16,300,2');
my @own = ("MODEL_DIR=$folder", "DESTDIR=$stage");

sub instructions
{
	my ($name) = @_;
	return "To make it the model of a server, as its superuser:\n    LOAD 'distilsst';\n"
	  . "    ALTER SYSTEM SET distilsst.model = '$name';\n    SELECT pg_reload_conf();\n"
	  . "To name it in a call: sst2_label(review, model => '$name')\n";	# and a line on the other precision
}

{
	my @before = @{ files_below($stage) };
	umask 077;
	my ($status, $output) = make_here('install-model', @own);
	umask 022;
	is($status, 0, 'make install-model MODEL_DIR=...') or diag $output;
	my ($name) = $output =~ /\A\S+: (synthetic-[0-9a-f]{8}), fp32, /;
	is($output =~ s/\A.*\n//r =~ s/.*\n\z//r, instructions($name), 'says how to use the model');
	like($output, qr/^In int8: 0\.\d MB instead of 0\.\d MB, .*\n\z/m, 'and what int8 would bring');
	is_deeply(files_below($stage), [ sort @before, "$models/$name.dsst" ], 'adds that file, and changes no default');
	is((stat "$stage$models/$name.dsst")[2] & 07777, 0644, 'which all may read, whatever the umask');
	is((make_here('install-model', @own))[0], 0, 'a second time it succeeds');

	($status, $output) = make_here('install-model', @own, 'MODEL_NAME=default', 'PRECISION=int8');
	is($status, 0, 'make install-model MODEL_NAME=default PRECISION=int8') or diag $output;
	like($output, qr/\A\S+: default-[0-9a-f]{8}, int8, /, 'is a name like any other');

	@before = @{ files_below($stage) };
	write_file("$folder/vocab.txt", "[PAD]\n");
	isnt((make_here('install-model', @own))[0], 0, 'a broken folder is refused');
	is_deeply(files_below($stage), \@before, 'and nothing is installed');
}

for my $wrong ('MODEL_NAME=x y', 'MODEL_NAME=../up', "MODEL_NAME=it's", 'MODEL_NAME=-', 'PRECISION=fp8')
{
	my ($status, $output) = make_here('install-model', "MODEL_DIR=$folder", "DESTDIR=$dir/nothing", $wrong);
	is($status, 2, "make install-model $wrong");
	like($output, qr/^distilsst-pack: --(?:name|precision) /m, 'is refused');
	ok(!-e "$dir/nothing", 'before anything is written');
}

# --- make uninstall ---

{
	my @left = map { "$stage$_" } grep { /\.dsst$/ && !/\Q$builtin\E/ } @{ files_below($stage) };
	write_file("$stage$models/.distilsst-pack.abcdef", 'left by a packer that was killed');
	my ($status, $output) = make_here('uninstall', "DESTDIR=$stage");
	is($status, 0, 'make uninstall') or diag $output;
	is_deeply([ map { "$stage$_" } @{ files_below($stage) } ], \@left, 'leaves the models that others may need');
	is($output, "These models are left. To remove one that no column or index is made with "
		  . "(sst2_dependents() in each database):\n"
		  . join('', map { "    rm '$_'\n" } @left), 'and names them');
	unlink @left;
	($status, $output) = make_here('uninstall', "DESTDIR=$stage");
	is("$status$output", '0', 'where none is left it says nothing');
	ok(!-e "$stage$models", 'and the folder is gone');
}

done_testing();
