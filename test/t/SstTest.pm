# What the TAP tests share: psql sessions, files for the server, made models.
#
# The tests run under test/scratch: PGHOST and its like name a throw-away server
# that may run as another user than we do.

package SstTest;

use strict;
use warnings;
use Cwd qw(realpath);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp ();
use IPC::Open3 qw(open3);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw($ROOT $BUILD $HINT median read_file write_file server_dir made_folder pack_model made_model
  error_is show_figure);

our $ROOT = realpath(dirname(__FILE__) . '/../..');
our $BUILD = realpath($ENV{BUILD_DIR} // $ROOT);

# Goes with every error about a model file.
our $HINT = 'Run "make install-model" in the source tree of distilsst to install the official model, '
  . 'or set distilsst.model to a packed model.';

sub median
{
	return (sort { $a <=> $b } @_)[ $#_ / 2 ];
}

sub read_file
{
	my ($path) = @_;
	open(my $file, '<:raw', $path) or die "$path: $!";
	local $/;
	return scalar <$file>;
}

# The file appears complete, by rename, readable for the server.
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

# A folder that the server can read, gone when the test ends.
sub server_dir
{
	my $dir = File::Temp->newdir('sst-test.XXXXXX', DIR => '/tmp');
	chmod 0755, $dir;
	return $dir;
}

# A Hugging Face folder of made weights: see test/synthetic.c.
sub made_folder
{
	my ($dir, $shape, @dtype) = @_;
	system("$BUILD/host/test/synthetic", $dir, $shape, @dtype) == 0 or die "synthetic $dir $shape failed";
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

# Checks all four parts of an error; undef: not there.
sub error_is
{
	my ($error, $sqlstate, $message, $detail, $hint, $name) = @_;
	my $wanted = { sqlstate => $sqlstate, message => $message, detail => $detail, hint => $hint };
	is_deeply($error, $wanted, $name) or diag explain $error;
}

# Shows a figure and judges nothing: machines differ, and are busy.
sub show_figure
{
	my ($name, $unit, $measure) = @_;
	diag sprintf('%s: %.1f %s', $name, $measure->(), $unit);
	return;
}

# --- A session: one psql that stays ---

package SstTest::Session;

use strict;
use warnings;
use IO::Select;
use IPC::Open3 qw(open3);
use Symbol qw(gensym);
use Time::HiRes qw(time);

# Options: db, user, and model, which the session sets first.
sub new
{
	my ($class, %option) = @_;
	my $self = bless { count => 0, out => '', err => '' }, $class;
	my @command = ('psql', '-X', '-q', '-A', '-t', '-v', 'VERBOSITY=verbose');
	push @command, '-d', $option{db} if $option{db};
	push @command, '-U', $option{user} if $option{user};
	$self->{stderr} = gensym;
	$self->{psql} = open3($self->{stdin}, $self->{stdout}, $self->{stderr}, @command);
	$self->{pid} = $self->query('SELECT pg_backend_pid()');
	$self->query("SET distilsst.model = '$option{model}'") if $option{model};
	return $self;
}

sub pid { return $_[0]{pid} }

# Reads what psql has to say until done->() is true or psql ends.
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
	$self->{out} = $self->{err} = '';
	syswrite($self->{stdin}, "$sql\n;\n\\echo $mark\n\\warn $mark\n");
}

# Waits until the query has raised a message like this.
sub wait_for
{
	my ($self, $pattern) = @_;
	$self->read_until(sub { $self->{err} =~ $pattern });
}

# {out}: what the query gave; {notices}: texts, warnings among them; {error}: the first error's parts; {alive}
sub finish
{
	my ($self) = @_;
	my $mark = $self->{mark};
	$self->read_until(sub { $self->{out} =~ /^\Q$mark\E\n/m && $self->{err} =~ /^\Q$mark\E\n/m });
	my %result = (notices => [], alive => $self->{out} =~ s/^\Q$mark\E\n//m);
	$self->{err} =~ s/^\Q$mark\E\n//m;
	($result{out} = $self->{out}) =~ s/\n\z//;
	while ($self->{err} =~ /^(?:psql:\S+ )?(NOTICE|WARNING|ERROR|FATAL):  (?:(\w{5}): )?(.*)\n((?:(?!NOTICE|WARNING|ERROR|FATAL)[A-Z ]+:  .*\n)*)/mg)
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

# What a query gives; an error ends the test.
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

# Seconds that a query takes, as we see it.
sub seconds
{
	my ($self, $sql) = @_;
	my $from = time;
	$self->query($sql);
	return time - $from;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	close $self->{stdin};
	waitpid $self->{psql}, 0 if $self->{psql};
}

1;
