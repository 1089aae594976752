#!/usr/bin/perl
# tools/fetch-model against an HTTP server of our own, with small files.

use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use Test::More;

my $fetch_model = dirname(__FILE__) . '/../tools/fetch-model';
my $revision = '714eb0fa89d2f80546fda750413ed43d93601a13';
my $folder = "/distilbert/distilbert-base-uncased-finetuned-sst-2-english/resolve/$revision/";
my %content = (
	'config.json' => qq({"a": 1}\n),
	'model.safetensors' => join('', map { chr($_ * 7919 % 251) } 0 .. 299_999),
	'tokenizer_config.json' => "{}\n",
	'vocab.txt' => "[PAD]\n[UNK]\n",
);
my $size = length $content{'model.safetensors'};
my $tmp = tempdir(CLEANUP => 1);
my $main_pid = $$;

sub write_file
{
	my ($path, $bytes) = @_;
	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file $bytes;
	close $file or die "$path: $!";
}

sub read_file
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or return '';
	local $/;
	return scalar <$file> // '';
}

# --- The server ---

# The first part of a path says how the server behaves: /cut sends half of the
# big file, once; /altered sends other bytes; /moved redirects, as the real
# server does; /simple ignores ranges; /broken fails, once; /slow pauses in the
# middle of the big file.
# Each request adds a line to the log: behaviour, file, range, bytes sent.

sub answer
{
	my ($client, $status, $body, @headers) = @_;
	print $client join("\r\n", "HTTP/1.1 $status", 'Connection: close',
		@headers, 'Content-Length: ' . length $body, '', $body);
	return length $body;
}

sub serve_one
{
	my ($client, $seen) = @_;
	my ($behaviour, $path) = (<$client> // '') =~ m{^GET /(\w+)(/\S*)} or return;
	my ($start) = (0);
	while ((my $line = <$client> // '') =~ /\S/)
	{
		$start = $1 if $line =~ /^Range: bytes=(\d+)-/i;
	}
	my ($name) = $path =~ m{^\Q$folder\E([\w.]+)$};
	my $first = !$seen->{"$behaviour $path"}++;
	my $body = $content{ $name // '' };
	my $sent;
	if (!defined $body || $behaviour eq 'empty')
	{
		$sent = answer($client, '404 Not Found', 'no such file');
	}
	elsif ($behaviour eq 'moved')
	{
		$sent = answer($client, '302 Found', '', "Location: /plain$path");
	}
	elsif ($behaviour eq 'broken' && $first)
	{
		$sent = answer($client, '503 Service Unavailable', 'later');
	}
	elsif ($behaviour eq 'cut' && $first && $name eq 'model.safetensors')
	{
		print $client "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: $size\r\n\r\n",
			substr($body, 0, $sent = $size / 2);
	}
	elsif ($behaviour eq 'slow' && $name eq 'model.safetensors')
	{
		$client->autoflush(1);
		print $client "HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n", substr($body, 0, $size / 2);
		sleep 1;
		print $client substr($body, $size / 2);
		$sent = $size;
	}
	elsif ($start > 0 && $behaviour ne 'simple')
	{
		$sent = $start < length $body
			? answer($client, '206 Partial Content', substr($body, $start),
				"Content-Range: bytes $start-" . (length($body) - 1) . '/' . length $body)
			: answer($client, '416 Range Not Satisfiable', '');
	}
	else
	{
		$body = reverse $body if $behaviour eq 'altered' && $name eq 'vocab.txt';
		$sent = answer($client, '200 OK', $body);
	}
	open(my $log, '>>', "$tmp/log") or die;
	print $log join(' ', $behaviour, $name // '?', $start, $sent), "\n";
	close $log;
}

my $listener = IO::Socket::INET->new(
	LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5, ReuseAddr => 1)
	or die "cannot listen: $!";
my $port = $listener->sockport;
my $server_pid = fork // die "fork: $!";
if ($server_pid == 0)
{
	$SIG{PIPE} = 'IGNORE';
	my %seen;
	while (my $client = $listener->accept)
	{
		serve_one($client, \%seen);
		close $client;
	}
	exit;
}
close $listener;
END
{
	# The exit status is Test::More's, not waitpid's.
	my $status = $?;
	if ($$ == $main_pid && $server_pid) { kill 'KILL', $server_pid; waitpid $server_pid, 0; }
	$? = $status;
}

# --- The tests ---

# Starts fetch-model into folder DIR, with its output in a file; returns its process.
sub start_fetch
{
	my ($behaviour, $dir, $output, $hub) = @_;
	my $pid = fork // die "fork: $!";
	if ($pid == 0)
	{
		delete @ENV{ grep { /_proxy$/i } keys %ENV };
		$ENV{CURL_HOME} = $tmp;
		$ENV{DISTILSST_HUB} = $hub // "http://127.0.0.1:$port/$behaviour";
		$ENV{DISTILSST_SHA256} = "$tmp/table";
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', $output);
		open(STDERR, '>&', \*STDOUT);
		exec($fetch_model, $dir) or exit 127;
	}
	return $pid;
}

# Waits for its end; returns its exit status.
sub finish_fetch
{
	my ($pid) = @_;
	waitpid $pid, 0;
	return $? >> 8;
}

# Runs fetch-model into folder DIR; returns its exit status, its output and
# the requests that the server saw, "file start bytes" each.
sub fetch
{
	my ($behaviour, $dir, $hub) = @_;
	unlink "$tmp/log";
	my $status = finish_fetch(start_fetch($behaviour, $dir, "$tmp/output", $hub));
	my @requests = map { s/^\w+ //r } split /\n/, read_file("$tmp/log");
	return ($status, read_file("$tmp/output"), @requests);
}

sub new_folder
{
	my ($part) = @_;
	remove_tree("$tmp/model");
	make_path("$tmp/model");
	write_file("$tmp/model/model.safetensors.part", $part) if defined $part;
	return "$tmp/model";
}

sub files_in
{
	my ($dir) = @_;
	return join ' ', map { s{.*/}{}r } sort glob "$dir/*";
}

# Is all there, byte for byte, and nothing else?
sub is_complete
{
	my ($dir, $name) = @_;
	is(files_in($dir), join(' ', sort keys %content), "$name: these files");
	is(sha256_hex(read_file("$dir/$_")), sha256_hex($content{$_}), "$name: $_") for sort keys %content;
}

write_file("$tmp/table", join '', map { sha256_hex($content{$_}) . "  $_\n" } sort keys %content);
my @whole = map { "$_ 0 " . length $content{$_} } sort keys %content;
my @others = grep { !/^model/ } @whole;

my $dir = new_folder();
my ($status, $output, @requests) = fetch('plain', $dir);
is($status, 0, 'download: exit status') or diag $output;
is_complete($dir, 'download');
is_deeply(\@requests, \@whole, 'download: each file asked for once');

($status, $output, @requests) = fetch('plain', $dir);
is($status, 0, 'complete: exit status') or diag $output;
is_deeply(\@requests, [], 'complete: no request');

my $half = $size / 2;
$dir = new_folder(substr $content{'model.safetensors'}, 0, $half);
($status, $output, @requests) = fetch('plain', $dir);
is($status, 0, 'resume: exit status') or diag $output;
is_complete($dir, 'resume');
is_deeply([ grep { /^model/ } @requests ], ["model.safetensors $half $half"], 'resume: only the rest was sent');

$dir = new_folder();
($status, $output, @requests) = fetch('cut', $dir);
is($status, 0, 'cut: exit status') or diag $output;
is_complete($dir, 'cut');
is_deeply([ grep { /^model/ } @requests ],
	[ "model.safetensors 0 $half", "model.safetensors $half $half" ],
	'cut: goes on where it stopped');

$dir = new_folder($content{'model.safetensors'});
($status, $output, @requests) = fetch('plain', $dir);
is($status, 0, 'whole part: exit status') or diag $output;
is_complete($dir, 'whole part');
is_deeply(\@requests, \@others, 'whole part: not asked for again');

$dir = new_folder('x' x $size);
($status, $output, @requests) = fetch('plain', $dir);
is($status, 0, 'foreign part: exit status') or diag $output;
is_complete($dir, 'foreign part');

$dir = new_folder(substr $content{'model.safetensors'}, 0, $half);
($status, $output, @requests) = fetch('simple', $dir);
is($status, 0, 'no ranges: exit status') or diag $output;
is_complete($dir, 'no ranges');

$dir = new_folder();
($status, $output, @requests) = fetch('moved', $dir);
is($status, 0, 'redirect: exit status') or diag $output;
is_complete($dir, 'redirect');

$dir = new_folder();
($status, $output, @requests) = fetch('broken', $dir);
is($status, 0, 'busy server: exit status') or diag $output;
is_complete($dir, 'busy server');

$dir = new_folder();
($status, $output, @requests) = fetch('altered', $dir);
is($status, 1, 'wrong hash: exit status');
my $found = sha256_hex(scalar reverse $content{'vocab.txt'});
my $wanted = sha256_hex($content{'vocab.txt'});
like($output, qr{^fetch-model: \S+/vocab\.txt is not the file expected \(sha256 $found, not $wanted\); the download is deleted$}m,
	'wrong hash: message');
is(files_in($dir), 'config.json model.safetensors tokenizer_config.json', 'wrong hash: the file is not kept');

$dir = new_folder();
($status, $output, @requests) = fetch('empty', $dir);
is($status, 1, '404: exit status');
like($output, qr{^fetch-model: http://127\.0\.0\.1:$port/empty${folder}config\.json: the server answered 404$}m, '404: message');
is_deeply(\@requests, ['config.json 0 12'], '404: asked once');
is(files_in($dir), '', '404: no file');

# A port on which nothing listens: a socket was bound to it and closed.
my $closed = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)->sockport;
($status, $output, @requests) = fetch('plain', new_folder(), "http://127.0.0.1:$closed");
is($status, 1, 'refused connection: exit status');
like($output, qr{^fetch-model: http://127\.0\.0\.1:$closed/\S+config\.json: the download failed}m, 'refused connection: message');

write_file("$tmp/.curlrc", "-i\n");
$dir = new_folder();
($status, $output, @requests) = fetch('plain', $dir);
unlink "$tmp/.curlrc";
is($status, 0, 'a .curlrc that asks for headers: exit status') or diag $output;
is_complete($dir, 'a .curlrc that asks for headers');

for my $name ('vocab.txt', 'vocab.txt.part')
{
	$dir = new_folder();
	make_path("$dir/$name");
	($status, $output, @requests) = fetch('plain', $dir);
	is($status, 1, "a folder $name: exit status");
	like($output, qr{^fetch-model: \Q$dir/$name\E is there and is no file$}m, "a folder $name: message");
	is(files_in("$dir/$name"), '', "a folder $name: nothing in it");
}

{
	$dir = new_folder();
	my @pids = map { start_fetch('slow', $dir, "$tmp/output$_") } 1, 2;
	my @status = map { finish_fetch($_) } @pids;
	is_deeply(\@status, [ 0, 0 ], 'two at once: exit status of both') or diag map { read_file("$tmp/output$_") } 1, 2;
	is_complete($dir, 'two at once');
}

done_testing();
