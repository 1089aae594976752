# What the TAP tests share: psql sessions, files for the server, synthetic models, the server's settings.
#
# The tests run under test/scratch: PGHOST, PGPORT and PGUSER lead to a throw-away server, which may run as another
# operating system user.

package SstTest;

use strict;
use warnings;
use Cwd qw(realpath);
use Exporter qw(import);
use File::Basename qw(basename dirname);
use File::Glob qw(bsd_glob);
use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep);

our @EXPORT = qw($ROOT $BUILD $BUILTIN $HINT $NAMED_HINT $PARALLEL read_file write_file server_dir made_folder pack_model
  made_model model_name models_folder install_bytes install_model configure server_model encoded_databases sql_text error_is);

our $ROOT = realpath(dirname(__FILE__) . '/../..');
our $BUILD = realpath($ENV{BUILD_DIR} // $ROOT);
our ($BUILTIN) = map { basename($_, '.dsst') } bsd_glob("$BUILD/host/model/*.dsst");	# the built-in model's name

# The hints of errors about the server's model, and about a model that a call names.
our $HINT = 'Set distilsst.model, by ALTER SYSTEM or in postgresql.conf, to a model that sst2_models() lists, or '
  . 'install this one with "make install" or its package if it is built in, with "make install-model", or by copying its file '
  . 'from another server.';
our $NAMED_HINT = 'sst2_models() lists the models that are installed. Install this one, under the same name, with '
  . '"make install" or its package if it is built in, with "make install-model", or by copying its file from another server.';

# Makes the planner choose parallel plans, with two workers.
our $PARALLEL = 'SET min_parallel_table_scan_size = 0; SET min_parallel_index_scan_size = 0; SET parallel_setup_cost = 0; '
  . 'SET parallel_tuple_cost = 0; SET max_parallel_workers_per_gather = 2;';

sub read_file
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or die "$path: $!";
	local $/;
	return scalar <$file>;
}

# Writes a file that the server can read. A rename makes it appear complete.
sub write_file
{
	my ($path, $bytes) = @_;
	open(my $file, '>:raw', "$path.new") or die "$path.new: $!";
	print $file $bytes;
	close $file or die "$path.new: $!";
	chmod 0644, "$path.new";
	rename "$path.new", $path or die "$path: $!";
	return $path;
}

# A folder that the server can read. It is removed when the test ends.
sub server_dir
{
	my $dir = File::Temp->newdir('sst-test.XXXXXX', DIR => '/tmp');
	chmod 0755, $dir;
	return $dir;
}

# A Hugging Face folder with random weights of this shape: see tools/support/synthetic.c.
sub made_folder
{
	my ($dir, $shape, @dtype) = @_;
	system("$BUILD/host/tools/synthetic", $dir, $shape, @dtype) == 0 or die "synthetic $dir $shape failed";
	return $dir;
}

sub pack_model
{
	my ($dir, $out, @options) = @_;
	open(my $pack, '-|', "$BUILD/distilsst-pack", $dir, $out, @options) or die "distilsst-pack: $!";
	my $said = join('', <$pack>);
	close $pack or die "distilsst-pack $dir failed";
	return $out;
}

sub made_model
{
	my ($dir, $name, $shape, @options) = @_;
	return pack_model(made_folder("$dir/$name", $shape), "$dir/$name.dsst", @options);
}

# The name and the fingerprint in a packed file's header.
sub model_name
{
	my ($file) = @_;
	return unpack('x124 Z64 Z72', read_file($file));
}

# --- The server's settings and installed models, restored when a test ends ---

my (%configured, %installed);

# Sets server settings by ALTER SYSTEM; undef resets one. Every session has them from its next statement on: when a new
# session sees them, the postmaster has already signalled the others.
sub configure
{
	my (%settings) = @_;
	my $boss = SstTest::Session->new;
	my $loaded = $boss->query('SELECT pg_conf_load_time()');
	my $change = join '', map {
		(my $value = $settings{$_} // '') =~ s/'/''/g;
		defined $settings{$_} ? "ALTER SYSTEM SET $_ = '$value';\n" : "ALTER SYSTEM RESET $_;\n";
	} sort keys %settings;
	$boss->query("LOAD 'distilsst';\n$change");
	$boss->query('SELECT pg_reload_conf()');
	sleep 0.01 until SstTest::Session->new->query('SELECT pg_conf_load_time()') ne $loaded;
	@configured{ keys %settings } = values %settings;
	return;
}

# Makes this name or absolute path the server's model; undef restores the first one.
sub server_model
{
	my ($model) = @_;
	my $now = $configured{'distilsst.model'};
	configure('distilsst.model' => $model) unless defined $model ? defined $now && $now eq $model : !defined $now;
	return;
}

sub models_folder
{
	return SstTest::Session->new->query("SELECT setting || '/distilsst' FROM pg_config WHERE name = 'SHAREDIR'");
}

# Writes any bytes to where the server looks for the model of this name.
sub install_bytes
{
	my ($name, $bytes) = @_;
	my $path = models_folder() . "/$name.dsst";
	$installed{$path} = 1 unless -e $path;	# to be removed at the end
	return write_file($path, $bytes);
}

# Installs a packed file under its own name, which it returns.
sub install_model
{
	my ($file) = @_;
	my ($name) = model_name($file);
	install_bytes($name, read_file($file));
	return $name;
}

END
{
	local ($?, $@);
	unlink keys %installed;
	my %set = map { $_ => undef } grep { defined $configured{$_} } keys %configured;
	eval { configure(%set); 1 } or warn $@ if %set;
}

# --- Databases of other encodings ---

# Makes a database with the extension for each encoding. Returns a session in each, by encoding.
sub encoded_databases
{
	my (@encodings) = @_;
	my $boss = SstTest::Session->new;
	my %session;
	for my $encoding (@encodings)
	{
		my $db = 'sst_test_' . lc $encoding;
		$boss->query("CREATE DATABASE $db ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
		$session{$encoding} = SstTest::Session->new(db => $db);
		$session{$encoding}->query('CREATE EXTENSION distilsst');
	}
	return %session;
}

# UTF-8 bytes as a text in a database of this encoding: SQL_ASCII has them as they are.
sub sql_text
{
	my ($bytes, $encoding) = @_;
	return sprintf "convert_from('\\x%s', '%s')", unpack('H*', $bytes), $encoding eq 'SQL_ASCII' ? $encoding : 'UTF8';
}

# Checks all four parts of an error; undef means absent.
sub error_is
{
	my ($error, $sqlstate, $message, $detail, $hint, $name) = @_;
	my $wanted = { sqlstate => $sqlstate, message => $message, detail => $detail, hint => $hint };
	is_deeply($error, $wanted, $name) or diag explain $error;
}

# --- Another server, beside that of test/scratch ---

package SstTest::Server;

use strict;
use warnings;

my $last_port = 5432;
my @running;

# Options: from => 'backup' copies the scratch server, 'nothing' makes a new one; conf => lines for its postgresql.conf;
# arguments => for its command line; other_host => 1 gives it an installation and models of its own.
sub new
{
	my ($class, %option) = @_;
	my $self = bless { dir => SstTest::server_dir(), port => ++$last_port, arguments => $option{arguments} // '' }, $class;
	my $scratch = SstTest::Session->new;
	my ($tree, $bindir) = $scratch->query("SELECT setting FROM pg_config WHERE name = 'BINDIR'") =~ m{^(.*/tree)(/.*)$};
	my ($share) = SstTest::models_folder() =~ m{^\Q$tree\E(/.*)};
	@$self{qw(uid gid)} = (stat $scratch->query('SHOW data_directory'))[ 4, 5 ];
	if ($option{other_host})
	{
		system('cp', '-a', $tree, "$self->{dir}/tree") == 0 or die 'cp failed';
		$tree = "$self->{dir}/tree";
	}
	@$self{qw(bindir models data)} = ("$tree$bindir", "$tree$share", "$self->{dir}/data");
	chown @$self{qw(uid gid dir)};
	if ($option{from} eq 'backup')
	{
		$self->as_server('pg_basebackup', '-h', $ENV{PGHOST}, '-p', $ENV{PGPORT}, '-U', $ENV{PGUSER}, '-D', $self->{data}, '-R',
			'-X', 'stream', '-c', 'fast', '--no-sync') or die 'pg_basebackup failed';
	}
	else
	{
		$self->as_server("$self->{bindir}/initdb", '-D', $self->{data}, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8',
			'--no-sync') or die 'initdb failed';
	}
	open(my $conf, '>>', "$self->{data}/postgresql.auto.conf") or die "postgresql.auto.conf: $!";
	print $conf "listen_addresses = ''\nunix_socket_directories = '$ENV{PGHOST}'\nfsync = off\n", $option{conf} // '';
	close $conf;
	$self->start;
	return $self;
}

# Runs a command as the server's user, in /: that user may not enter our folder.
sub as_server
{
	my ($self, @command) = @_;
	unshift @command, 'setpriv', "--reuid=$self->{uid}", "--regid=$self->{gid}", '--clear-groups', '--' if $> != $self->{uid};
	return system('sh', '-c', 'cd / && exec "$@" >/dev/null', 'sh', @command) == 0;
}

sub start
{
	my ($self) = @_;
	push @running, $self;
	$self->as_server("$self->{bindir}/pg_ctl", '-s', '-w', '-D', $self->{data}, '-l', "$self->{dir}/log", '-o',
		"-p $self->{port} $self->{arguments}", 'start')
	  or die "the other server does not start\n" . SstTest::read_file("$self->{dir}/log");
	return;
}

sub stop
{
	my ($self, $mode) = @_;
	@running = grep { $_ != $self } @running;
	return $self->as_server("$self->{bindir}/pg_ctl", '-s', '-w', '-D', $self->{data}, '-m', $mode // 'fast', 'stop');
}

sub session
{
	my ($self, %option) = @_;
	local $ENV{PGPORT} = $self->{port};
	return SstTest::Session->new(%option);
}

sub log { return SstTest::read_file("$_[0]{dir}/log") }

END
{
	local $?;
	$_->stop('immediate') for @running;
}

# --- A session: a psql that stays connected ---

package SstTest::Session;

use strict;
use warnings;
use IO::Select;
use IPC::Open3 qw(open3);
use Symbol qw(gensym);
use Time::HiRes qw(sleep time);

# Options: db; user; model => name or path, which becomes the server's.
sub new
{
	my ($class, %option) = @_;
	SstTest::server_model($option{model}) if $option{model};
	my $self = bless { count => 0, out => '', err => '' }, $class;
	my @command = ('psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose');
	push @command, '-d', $option{db} if $option{db};
	push @command, '-U', $option{user} if $option{user};
	$self->{stderr} = gensym;
	$self->{psql} = open3($self->{stdin}, $self->{stdout}, $self->{stderr}, @command);
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

sub pid { return $_[0]{pid} }

# Reads psql's output until done->() is true or psql ends.
sub read_until
{
	my ($self, $done) = @_;
	my $select = IO::Select->new($self->{stdout}, $self->{stderr});
	my $deadline = time + 180;
	while (!$done->() && $select->count)
	{
		my @ready = $select->can_read($deadline - time) or die "psql is silent";
		for my $handle (@ready)
		{
			my $into = $handle == $self->{stdout} ? \$self->{out} : \$self->{err};
			$select->remove($handle) unless sysread($handle, $$into, 65536, length $$into);
		}
	}
}

# Starts a query; finish() waits for its end.
sub start
{
	my ($self, $sql) = @_;
	my $mark = $self->{mark} = 'end of query ' . ++$self->{count};
	local $SIG{PIPE} = 'IGNORE';
	$self->{sql} = $sql;
	$self->{out} = $self->{err} = '';
	syswrite($self->{stdin}, "$sql\n;\n\\echo $mark\n\\warn $mark\n");
}

# Waits until the server has begun the query, one statement and not the same as the last: a cancel before that is lost.
sub wait_until_begun
{
	my ($self) = @_;
	my $other = SstTest::Session->new;
	my $begin = substr($self->{sql}, 0, 1000);
	my $has_begun = "SELECT starts_with(query, \$sql\$$begin\$sql\$) FROM pg_stat_activity WHERE pid = $self->{pid}";
	sleep 0.01 until $other->query($has_begun) eq 't';
	return;
}

# Waits until the query has raised a message like this.
sub wait_for
{
	my ($self, $pattern) = @_;
	$self->read_until(sub { $self->{err} =~ $pattern });
}

# Returns {out}: the query's output; {notices}: the texts of notices and warnings; {error}: the parts of the first error;
# {said}: all of stderr; {alive}: does psql go on?
sub finish
{
	my ($self) = @_;
	my $mark = $self->{mark};
	$self->read_until(sub { $self->{out} =~ /^\Q$mark\E\n/m && $self->{err} =~ /^\Q$mark\E\n/m });
	my %result = (notices => [], alive => $self->{out} =~ s/^\Q$mark\E\n//m);
	$self->{err} =~ s/^\Q$mark\E\n//m;
	($result{out} = $self->{out}) =~ s/\n\z//;
	my $severities = qr/NOTICE|WARNING|ERROR|FATAL/;
	while ($self->{err} =~ /^(?:psql:\S+ )?($severities):  (?:(\w{5}): )?(.*)\n((?:(?!$severities)[A-Z ]+:  .*\n)*)/mg)
	{
		my ($severity, $sqlstate, $message, $rest) = ($1, $2, $3, $4);
		push @{ $result{notices} }, $message if $severity =~ /NOTICE|WARNING/;
		$result{error} //= {
			sqlstate => $sqlstate,
			message => $message,
			detail => scalar(($rest =~ /^DETAIL:  (.*)/m)[0]),
			hint => scalar(($rest =~ /^HINT:  (.*)/m)[0]),
		} if $severity =~ /ERROR|FATAL/;
	}
	$result{said} = $self->{err};
	return \%result;
}

sub try
{
	my ($self, $sql) = @_;
	$self->start($sql);
	return $self->finish;
}

# The output of a query; an error ends the test.
sub query
{
	my ($self, $sql) = @_;
	my $result = $self->try($sql);
	die "$sql\n$result->{said}" if $result->{error} || !$result->{alive};
	return $result->{out};
}

# The error of a query that must fail.
sub error
{
	my ($self, $sql) = @_;
	return $self->try($sql)->{error};
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close $self->{stdin};
	waitpid $self->{psql}, 0 if $self->{psql};
}

1;
