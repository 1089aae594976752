#!/usr/bin/perl
# How distilsst-pack names a model and writes its file. What it packs is in t/005_pack.pl, which needs a server.

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Path qw(make_path remove_tree);
use FindBin;
use POSIX qw(:errno_h :signal_h :sys_wait_h mkfifo);
use lib "$FindBin::RealBin/t";
use SstTest;
use Test::More;

my $dir = server_dir();
my $source = made_folder("$dir/source", '1,32,2,64,16,300,2');
umask 022;

sub fingerprint
{
	my ($precision) = @_;
	return sha256_hex(join('', map { "$_ " . sha256_hex(read_file("$source/$_")) . "\n" }
				'config.json', 'model.safetensors', 'vocab.txt') . "precision $precision\nlayout 3\narithmetic 3\n");
}
my $digits = substr(fingerprint('fp32'), 0, 8);

# The exit status (or 1000 + the signal), stdout and stderr of a command. {env} is added to its environment.
sub run_command
{
	my ($option, @command) = @_;
	my $pid = fork // die "fork: $!";
	@SIG{qw(HUP INT QUIT TERM)} = ('DEFAULT') x 4 if $pid == 0;	# we may have been started with others
	if ($pid == 0)
	{
		%ENV = (%ENV, %{ $option->{env} // {} });
		umask $option->{umask} if defined $option->{umask};
		open(STDOUT, '>', "$dir/stdout");
		open(STDERR, '>', "$dir/stderr");
		exec(@command) or POSIX::_exit(127);
	}
	waitpid $pid, 0;
	return ($? & 127 ? 1000 + ($? & 127) : $? >> 8, read_file("$dir/stdout"), read_file("$dir/stderr"));
}

sub pack_it { return run_command({}, "$BUILD/distilsst-pack", @_) }

my $folders = 0;

sub new_folder
{
	my $folder = "$dir/out" . ++$folders;
	make_path($folder);
	return $folder;
}

sub files_in
{
	my ($folder) = @_;
	opendir(my $handle, $folder) or die "$folder: $!";
	return join ' ', sort grep { !/^\.\.?$/ } readdir $handle;
}

sub refuses
{
	my ($name, $message, @arguments) = @_;
	my ($status, $out, $err) = pack_it(@arguments);
	is($status, 1, "$name: exit status");
	is($err, "distilsst-pack: $message\n", "$name: message");
	return;
}

# --- The name ---

# A source folder of another _name_or_path; undef: none.
sub source_named
{
	my ($name_or_path) = @_;
	my $other = new_folder() . '/a folder';
	make_path($other);
	my $config = read_file("$source/config.json");
	my $new = defined $name_or_path ? qq("_name_or_path": "$name_or_path") : '"finetuning_task": null';
	$config =~ s/"_name_or_path": "synthetic"/$new/ or die;
	write_file("$other/config.json", $config);
	symlink "$source/$_", "$other/$_" for 'model.safetensors', 'vocab.txt';
	return $other;
}

for my $case (
	[ 'some/odd-one', 'odd-one' ],
	[ './results/checkpoint.500/', 'checkpoint.500' ],
	[ '.hidden', 'hidden' ],
	[ "caf\xc3\xa9 no 1", 'caf---no-1' ],
	[ 'x' x 70, 'x' x 54 ],
	[ '', 'a-folder' ],
	[ '///', 'a-folder' ],
	[ '---', 'a-folder' ],
	[ undef, 'a-folder' ])
{
	my ($name_or_path, $base) = @$case;
	my $out = new_folder();
	my ($status, undef, $err) = pack_it(source_named($name_or_path), $out);
	is($status, 0, 'packs a model of _name_or_path ' . ($name_or_path // 'nothing')) or diag $err;
	like(files_in($out), qr/^\Q$base\E-[0-9a-f]{8}\.dsst$/, 'and calls it so');
}

{
	my $out = new_folder();
	my ($status, $said) = pack_it($source, $out, '--name', 'A.b_c-9' . 'x' x 47);
	my $name = 'A.b_c-9' . 'x' x 47 . "-$digits";
	is(length $name, 63, 'a base of 54 bytes');
	is(files_in($out), "$name.dsst", 'names the file, with the first digits of the fingerprint');
	my $fingerprint = fingerprint('fp32');
	like($said, qr{^\Q$out/$name.dsst\E: $name, fp32, \d+\.\d MB, fingerprint $fingerprint\n\z}, 'which are shown');
	like(read_file("$out/$name.dsst"), qr/\0$name\0+$fingerprint\0/, 'and in the file');

	pack_it($source, $out, '--name', 'int8', '--precision', 'int8');
	my $int8 = "$out/int8-" . substr(fingerprint('int8'), 0, 8) . '.dsst';
	ok(-f $int8, 'int8 is another model');
	my ($fp32_size, $int8_size) = map { sprintf '%.1f MB', (-s $_) / 1e6 } "$out/$name.dsst", $int8;
	for my $case ([ 'fp32', 'int8', $fp32_size, $int8_size ], [ 'int8', 'fp32', $int8_size, $fp32_size ])
	{
		my ($precision, $other, $size, $other_size) = @$case;
		(undef, $said) = pack_it($source, $out, '--name', 'c', '--precision', $precision, '--compare');
		my $beside = qr{In $other: $other_size instead of $size, \d+\.\d times as fast here, another label for [0-4] of};
		like($said, qr{\A\S+: c-\w{8}, $precision, .*\n$beside},
			"$precision is compared with $other");
	}
}

my $wrong_name = '--name has 1 to 54 letters, digits, ".", "_" and "-", of ASCII, and begins with a letter or digit';
for my $name ("\xff", "caf\xc3\xa9", 'x y', '', '.a', '-a', '_a', 'a/b', '../a', "a\n", 'x' x 55)
{
	my $out = new_folder();
	refuses('--name ' . ($name =~ s{[^ -~]}{sprintf '\\x%02x', ord $&}ger), $wrong_name, $source, $out, "--name=$name");
	is(files_in($out), '', 'nothing is written');
}

# --- A file of a given name ---

{
	my $out = new_folder();
	my ($status) = pack_it($source, "$out/free.dsst", '--name', 'm');
	is($status, 0, 'a file may have any name');
	is((pack_it($source, "$out/m-$digits.dsst", '--name', 'm'))[0], 0, "or its model's");
	is(read_file("$out/m-$digits.dsst") eq read_file("$out/free.dsst"), 1, 'with the same contents');
	refuses("but not another model's: $_", qq("$out/$_" is another model's name: this one is "m-$digits"),
		$source, "$out/$_", '--name', 'm') for 'm-00000000.dsst', "n-$digits.dsst", "-$digits.dsst";
	is(files_in($out), "free.dsst m-$digits.dsst", 'of these nothing is written');
	is((pack_it($source, "$out/m-0000000.dsst"))[0], 0, 'seven digits name no model');
}

# --- A name means one content ---

{
	my $out = new_folder();
	my $file = "$out/m-$digits.dsst";
	pack_it($source, $out, '--name', 'm');
	my @before = (stat $file)[ 1, 9 ];
	my ($status, $said) = pack_it($source, $out, '--name', 'm');
	is($status, 0, 'packing a model again succeeds');
	like($said, qr/, already there$/, 'and says so');
	is_deeply([ (stat $file)[ 1, 9 ] ], \@before, 'the file is left as it was');
	my $old = read_file($file);
	write_file($file, 'other');
	refuses('other contents', qq("$file" exists with other contents, and a model is never replaced),
		$source, $out, '--name', 'm');
	is(read_file($file), 'other', 'which stay');
	write_file($file, $old);
	write_file("$out/short.dsst", substr($old, 0, -1));
	refuses('a truncated file', qq("$out/short.dsst" exists with other contents, and a model is never replaced),
		$source, "$out/short.dsst", '--name', 'm');
	is(read_file($file) eq $old, 1, 'the file is still as it was');
	is(files_in($out), "m-$digits.dsst short.dsst", 'and nothing else is there');
}

{
	my $out = new_folder();
	my @pids = map {
		my $pid = fork // die "fork: $!";
		exec("'$BUILD/distilsst-pack' $source $out >$dir/said$_ 2>&1") if $pid == 0;
		$pid
	} 1 .. 8;
	my $failed = grep { waitpid($_, 0); $? } @pids;
	is($failed, 0, 'eight at once succeed') or diag map { read_file("$dir/said$_") } 1 .. 8;
	is((grep { read_file("$dir/said$_") !~ /already there/ } 1 .. 8), 1, 'of which one has written the file');
	is(files_in($out), "synthetic-$digits.dsst", 'and nothing else');
}

# A name means the same bytes, logits of the self-test included, in every release and on every machine. A change of them
# raises SST_PACKED_LAYOUT or SST_ARITHMETIC, which changes the name.
{
	my $odd = made_folder("$dir/odd", '3,75,5,37,33,307,3');
	my %name_and_sha256 = (
		fp32 => 'synthetic-dc2eb517.dsst d6cce9a4579925c75e205c3e2b152eca8f3ff4010fa7eeaa7e1c59132236f755',
		int8 => 'synthetic-1034ce31.dsst 9363ea36f39e4b1e328a0d3a79035590fa3a8440f3f82b82eb741fb619e212a0');
	for my $precision (sort keys %name_and_sha256)
	{
		my $out = new_folder();
		pack_it($odd, $out, '--precision', $precision);
		my $file = files_in($out);
		is("$file " . sha256_hex(read_file("$out/$file")), $name_and_sha256{$precision}, "the bytes of $precision");
	}
}

# --- What is no regular file, and links ---

{
	my $out = new_folder();
	# links of our own: a packer that did not refuse them would replace those of /dev
	my %link = ('link-to-pipe' => 'pipe', 'link-to-device' => '/dev/null', 'stdout' => '/proc/self/fd/1',
		'dangling' => 'nowhere');
	mkfifo("$out/pipe", 0644) or die "mkfifo: $!";
	symlink $link{$_}, "$out/$_" for keys %link;
	my $files = files_in($out);
	refuses($_, qq("$out/$_" exists and is no regular file), $source, "$out/$_")
	  for 'pipe', grep { $_ ne 'stdout' } sort keys %link;
	my (undef, undef, $err) = run_command({}, 'sh', '-c', "'$BUILD/distilsst-pack' $source $out/stdout | cat");
	is($err, qq(distilsst-pack: "$out/stdout" exists and is no regular file\n), 'so is a standard output that is a pipe');
	is(files_in($out), $files, 'nothing is written');
	is(readlink "$out/$_", $link{$_}, "$_ is the link that it was") for sort keys %link;
}

{
	my $out = new_folder();
	pack_it($source, "$out/real.dsst");
	symlink 'real.dsst', "$out/link.dsst";
	is((pack_it($source, "$out/link.dsst"))[0], 0, 'a link to the same model is followed');
	refuses('a link to another', qq("$out/link.dsst" exists with other contents, and a model is never replaced),
		$source, "$out/link.dsst", '--precision', 'int8');
	is(readlink "$out/link.dsst", 'real.dsst', 'the link is as it was');
	my $folder = new_folder();
	symlink $folder, "$out/link-to-folder";
	is((pack_it($source, "$out/link-to-folder"))[0], 0, 'a link to a folder is followed');
	is(files_in($folder), "synthetic-$digits.dsst", 'where the file gets its name');
	refuses('no such folder', qq(could not create a file in "$out/none/": No such file or directory),
		$source, "$out/none/model.dsst");
}

# --- Who may read it ---

for my $case ([ 022, 0644, '' ], [ 002, 0664, '' ], [ 077, 0600, 'said' ], [ 027, 0640, 'said' ])
{
	my ($umask, $mode, $said) = @$case;
	my $file = new_folder() . '/model.dsst';
	my ($status, undef, $err) = run_command({ umask => $umask }, "$BUILD/distilsst-pack", $source, $file);
	is($status, 0, sprintf 'with umask %03o', $umask);
	is((stat $file)[2] & 07777, $mode, 'the file has the mode that it asks for');
	is($err, $said && qq(distilsst-pack: by your umask not all users may read "$file"; the server's user must\n),
		'which is said where the server may suffer from it');
}

# --- Interrupted, killed, and out of space ---

my $packed = do { my $out = new_folder(); pack_it($source, "$out/model.dsst"); read_file("$out/model.dsst") };
# LD_PRELOAD cannot have a path with spaces.
my $fault = write_file("$dir/fault.so", read_file("$BUILD/host/test/fault.so"));

# Packs with a fault at that step; afterwards OUT must be absent or whole.
sub pack_with_fault
{
	my ($out, %env) = @_;
	my ($status, undef, $err) = run_command({ env => { LD_PRELOAD => $fault, %env } },
		"$BUILD/distilsst-pack", $source, "$out/model.dsst");
	my $whole = !-e "$out/model.dsst" || read_file("$out/model.dsst") eq $packed;
	return ($status, $whole, $err);
}

for my $signal (SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGKILL)
{
	my ($steps, $halves, $left, $stays) = (0, 0, 0, 0);
	while ($steps < 100)
	{
		my $out = new_folder();
		my ($status, $whole) = pack_with_fault($out, FAULT_AT => $steps + 1, FAULT_SIGNAL => $signal);
		last if $status == 0;
		$steps++;
		die "status $status at step $steps" if $status != 1000 + $signal;
		$halves++ unless $whole;
		$left++ if files_in($out) =~ /^\./;
		pack_it($source, "$out/other.dsst", '--name', 'other');
		$stays++ if files_in($out) !~ /^(?:model\.dsst )?other\.dsst$/;
	}
	cmp_ok($steps, '>=', 12, "signal $signal at each of $steps steps");
	is($halves, 0, 'leaves the file complete or none');
	if ($signal == SIGKILL) { cmp_ok($left, '>', 5, "of killed packers $left leave a temporary file") }
	else { is($left, 0, 'and no temporary file') }
	is($stays, 0, 'which the next packer in that folder removes');
}

{
	my ($out, $failed) = (new_folder(), 0);
	for my $step (1 .. 20)
	{
		my ($status, $whole, $err) = pack_with_fault($out, FAULT_AT => $step, FAULT_ERRNO => ENOSPC);
		last if $status == 0;
		$failed++;
		is($status, 1, "no space at step $step: exit status");
		like($err, qr/^distilsst-pack: could not .*: No space left on device$/, 'message');
		is(files_in($out), '', 'no file');
	}
	cmp_ok($failed, '>=', 5, "no space at $failed steps");
}

# One process must not tidy away the file that another is still writing.
{
	my $out = new_folder();
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		@ENV{ 'LD_PRELOAD', 'FAULT_AT', 'FAULT_SIGNAL' } = ($fault, 4, SIGSTOP);
		open(STDOUT, '>', '/dev/null');
		exec("$BUILD/distilsst-pack", $source, "$out/slow.dsst") or POSIX::_exit(127);
	}
	waitpid $pid, WUNTRACED;
	like(files_in($out), qr/^\.distilsst-pack\.\w{6}$/, 'a packer has stopped in the middle of its file');
	pack_it($source, "$out/quick.dsst");
	kill 'CONT', $pid;
	waitpid $pid, 0;
	is($?, 0, 'another does not disturb it');
	is(files_in($out), 'quick.dsst slow.dsst', 'and both files are there');
	is(read_file("$out/slow.dsst") eq $packed, 1, 'whole');
}

SKIP:
{
	my $out = new_folder();
	my $pack = "'$BUILD/distilsst-pack' $source $out --name";
	my $room = int(1.5 * length($packed) / 1024);
	my @unshare = ('unshare', $> ? '-rm' : '-m', 'sh', '-c');
	skip 'no file systems of our own here', 3
	  if (run_command({}, @unshare, "mount -t tmpfs -o size=${room}k tmpfs $out"))[0] != 0;
	my ($status, $said, $err) = run_command({}, @unshare,
		"mount -t tmpfs -o size=${room}k tmpfs $out && $pack first >/dev/null && { $pack second; ls -A $out; cat $out/first*; }");
	like($err, qr/^distilsst-pack: could not write "\S+": No space left on device$/, 'a full file system');
	like($said, qr/\Afirst-\w{8}\.dsst\n/, 'keeps the model that was there');
	# the first 280 bytes are the header, with the name
	is(substr($said, 280 - length $packed) eq substr($packed, 280), 1, 'as it was');
}

done_testing();
