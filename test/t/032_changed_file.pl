# A model's file changes under sessions that use it. Each kind of statement gives the right answer or an ERROR that says so,
# never a wrong answer, a lost session or a crash.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use POSIX ();
use SstTest;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = server_dir();
my $folder = '6,256,4,1024,512,300,2';
my $model = made_model($dir, 'changed', $folder);
my $other = made_model($dir, 'other', '6,256,4,1024,512,400,2');
my $name = install_model($model);
server_model($name);
my $boss = SstTest::Session->new;
my ($path) = $boss->query("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'") . "/distilsst/$name.dsst";
my $bytes = read_file($model);
my $wrong_bytes = read_file($other);

# --- What may happen to a file ---

sub overwrite
{
	my ($new) = @_;
	open(my $file, '+<:raw', $path) or die "$path: $!";
	print $file $new;
	truncate $file, length $new;
	close $file or die "$path: $!";
}

sub restore
{
	rmdir $path if -d $path;
	write_file($path, $bytes);
}

my $flipped = $bytes;
substr($flipped, $_ * 4096 + 5, 1) ^= "\x55" for 1 .. length($bytes) / 4096 - 1;

# A name, what is done, and whether that changes the mapped file itself.
my @damages = (
	[ 'cut to a page', 1, sub { truncate $path, 4096 } ],
	[ 'cut by a byte', 1, sub { truncate $path, length($bytes) - 1 } ],
	[ 'emptied', 1, sub { truncate $path, 0 } ],
	[ 'overwritten by as many bytes', 1, sub { overwrite($flipped) } ],
	[ 'overwritten by another model', 1, sub { overwrite($wrong_bytes) } ],
	[ 'overwritten by zeros', 1, sub { overwrite("\0" x length $bytes) } ],
	[ 'deleted', 0, sub { unlink $path } ],
	[ 'replaced by rename', 0, sub { write_file($path, $wrong_bytes) } ],
	[ 'replaced by a directory', 0, sub { unlink $path; mkdir $path } ],
	[ 'made unreadable', 0, sub { chmod 0, $path } ],
);

# How often a session has the model's file open and mapped.
sub open_files
{
	my ($session) = @_;
	my $pid = $session->pid;
	my $mapped = () = read_file("/proc/$pid/maps") =~ /\Q$name\E/g;
	my $open = grep { (readlink $_ // '') =~ /\Q$name\E/ } glob "/proc/$pid/fd/*";
	return "$open $mapped";
}

# --- Between two calls of a session ---

my $call = "SELECT sst2_logits('a b c', '%1\$s'), sst2_label('x %2\$s', '%1\$s'), sst2_score(ARRAY['y %2\$s'], '%1\$s')";
my $changed = qr/^(?:the file of sentiment model "\Q$name\E" has been changed|could not read sentiment model "\Q$name\E")$/;

for my $damage (@damages)
{
	my ($what, $in_place, $do) = @$damage;
	restore();
	my $session = SstTest::Session->new;
	my $right = $session->query(sprintf $call, $name, 'k');
	$do->();
	my $said = $session->try(sprintf $call, $name, 'k');
	if ($in_place)
	{
		like($said->{error}{message}, $changed, "$what: the next call says so");
		like($said->{error}{sqlstate}, qr/^(?:58030|XX001)$/, 'by its SQLSTATE');
		ok($said->{error}{hint}, 'with a hint');
		like($session->error(sprintf $call, $name, 'k')->{message}, qr/sentiment model "\Q$name\E"/,
			'the call after that does not use it either');
	}
	else
	{
		is($said->{out}, $right, "$what: the session keeps the file that it has");
		my $new = SstTest::Session->new;
		like($new->error(sprintf $call, $name, 'k')->{message}, qr/sentiment model "\Q$name\E"/, 'which a new one does not find');
	}
	restore();
	is($session->query(sprintf $call, $name, 'k'), $right, 'restored, the session answers again');
	is(open_files($session), '1 1', 'with one file open and mapped');
}

# --- While a statement runs ---

restore();
$boss->query("CREATE TABLE texts WITH (parallel_workers = 2) AS
	SELECT i AS id, string_agg(chr(97 + (i * j) % 26), ' ') AS body FROM generate_series(1, 800) i, generate_series(1, 40) j
	GROUP BY i");
my %statement = (
	'a plain SELECT' => "SET distilsst.batch_size = 1; SELECT md5(string_agg(sst2_logits(body, '$name')::text, ' ' ORDER BY id)) "
	  . "FROM texts",
	'SstBatch' => "SELECT md5(string_agg(l::text, ' ' ORDER BY id)) FROM (SELECT id, sst2_logits(body, '$name') l FROM texts "
	  . "OFFSET 0) s",
	'a parallel plan' => "$PARALLEL SELECT sum(sst2_score(body, '$name')::numeric) FROM texts",
	'an index build' => "BEGIN; CREATE INDEX changed_index ON texts (sst2_score(body, '$name'));
		SET enable_seqscan = off; SELECT md5(string_agg(id::text, ' ' ORDER BY sst2_score(body, '$name'), id)) FROM texts;
		ROLLBACK",
	'an array' => "SELECT md5(sst2_logits(array_agg(body ORDER BY id), '$name')::text) FROM texts",
	'sst2_models()' => "SELECT count(*), bool_and(is_default OR error IS NULL) FROM generate_series(1, 30), "
	  . "LATERAL (SELECT * FROM sst2_models() OFFSET 0) m WHERE name = '$name'",
	'a self-test' => "DO \$\$ BEGIN FOR i IN 1 .. 40 LOOP PERFORM bool_and(ok) FROM sst2_selftest(); END LOOP; END \$\$; "
	  . "SELECT 'done'",
	'first uses' => "DO \$\$ BEGIN FOR i IN 1 .. 400 LOOP BEGIN PERFORM sst2_label('a b c ' || i, '$name');
		EXCEPTION WHEN data_corrupted OR io_error OR undefined_file OR insufficient_privilege OR wrong_object_type THEN NULL;
		END; END LOOP; END \$\$;
		SELECT 'done'",
);

sub run_statements
{
	my ($what, $do, %right) = @_;
	my %said;
	my %session = map { $_ => SstTest::Session->new } keys %statement;
	$session{$_}->start($statement{$_}) for keys %statement;
	sleep 0.2;
	$do->() if $do;
	%said = map { $_ => $session{$_}->finish } keys %statement;
	return map { $_ => $said{$_}{out} } keys %said if !%right;
	for my $kind (sort keys %statement)
	{
		my $error = $said{$kind}{error};
		my $fits = $error
		  ? $error->{message} =~ /sentiment model "\Q$name\E"/ && $error->{sqlstate} =~ /^(?:58030|XX001|58P01|42501)$/
		  : $said{$kind}{out} eq $right{$kind} || $kind eq 'sst2_models()';
		ok($said{$kind}{alive} && $fits, "$what under $kind") or diag explain $said{$kind};
	}
	restore();
	# a session whose statement ended before the change learns of it now
	$_->try("ROLLBACK; SELECT sst2_label('a b c', '$name')") for values %session;
	is(join(' ', map { $session{$_}->query("SELECT sst2_label('a b c', '$name')") } sort keys %session),
		join(' ', (SstTest::Session->new->query("SELECT sst2_label('a b c', '$name')")) x keys %session),
		'and all sessions go on');
}

my %right = run_statements('nothing');
run_statements($_->[0], $_->[2], %right) for @damages;

# --- Written to all the time, at any moment of an opening ---

my $logits = $boss->query("SELECT sst2_logits('a b c', '$name')");
my $writer = fork // die "fork: $!";
if (!$writer)
{
	$SIG{TERM} = sub { POSIX::_exit(0) };
	for (my $i = 0; ; $i++) { overwrite($i % 2 ? $bytes : $wrong_bytes); sleep rand 0.02 }
}
my @sessions = map { SstTest::Session->new } 1 .. 3;
$_->start("DO \$\$ DECLARE said real[]; BEGIN FOR i IN 1 .. 300 LOOP BEGIN
		said := sst2_logits('a b c', '$name');
		IF said <> '$logits' THEN RAISE 'a wrong answer: %', said; END IF;
	EXCEPTION WHEN data_corrupted OR io_error THEN NULL; END; END LOOP; END \$\$") for @sessions;
for (@sessions)
{
	my $said = $_->finish;
	ok($said->{alive} && !$said->{error}, 'written to all the time: no wrong answer, and no other error') or diag explain $said;
}
kill TERM => $writer;
waitpid $writer, 0;
restore();

is($boss->query('SELECT count(*) FROM pg_stat_activity WHERE pid = pg_backend_pid()'), 1, 'no session was lost');
rmdir $path;
$boss->query('DROP TABLE texts');
done_testing();
