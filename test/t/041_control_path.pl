# make install prefix=... puts the extension and its models outside of the server's folders, where PostgreSQL 18 finds them by
# extension_control_path and dynamic_library_path.

use strict;
use warnings;
use File::Copy qw(copy);
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my ($version) = SstTest::Session->new->query('SHOW server_version_num');
plan skip_all => 'extension_control_path is there since PostgreSQL 18' if $version < 180000;

my $dir = server_dir();
umask 022;
my @make = ('make', '-s', '-C', $BUILD, '-f', "$ROOT/Makefile", 'PG_CONFIG=' . ($ENV{PG_CONFIG} // 'pg_config'));
system(@make, 'install', "prefix=$dir/prefix") == 0 or die 'make install failed';
my $models = "$dir/prefix/share/postgresql/distilsst";
ok(-e "$models/$BUILTIN.dsst", 'make install prefix=... installs the model beside the extension');

# A server whose own folders have nothing of distilsst.
my $server = SstTest::Server->new(from => 'nothing', other_host => 1, conf => <<"END");
extension_control_path = '\$system:$dir/prefix/share/postgresql'
dynamic_library_path = '\$libdir:$dir/prefix/lib/postgresql'
END
system('find', "$server->{dir}/tree", '-name', 'distilsst*', '-prune', '-exec', 'rm', '-r', '{}', '+') == 0 or die 'rm failed';

my $session = $server->session;
$session->query('CREATE EXTENSION distilsst');
# the planner cannot compute it
my $answer = q(SELECT sst2_label(t), sst2_score(t) FROM (SELECT 'I love it' || repeat('', i) FROM generate_series(1, 1) i) s (t));
my $right = SstTest::Session->new->query($answer);
is($session->query($answer), $right, 'the model answers');
is($session->query('SELECT file FROM sst2_model()'), "$models/$BUILTIN.dsst", 'and lies there');
my $listed = 'SELECT name, is_default, error IS NULL FROM sst2_models()';
is($session->query($listed), "$BUILTIN|t|t", 'sst2_models() lists it');
$session->query('SET debug_parallel_query = on');
like($session->query("EXPLAIN $answer"), qr/^Gather/, 'a plan for a worker');
is($session->query($answer), $right, 'who finds it, too');
$session->query(q(CREATE ROLE sst_test_plain LOGIN));
is($server->session(user => 'sst_test_plain')->error("SET extension_control_path = '$dir'")->{sqlstate}, '42501',
	'no plain role has it look elsewhere');

# The model is in both folders; the server's own has one more.
mkdir $server->{models} or die "$server->{models}: $!";
copy("$models/$BUILTIN.dsst", "$server->{models}/$BUILTIN.dsst") or die "copy: $!";
my $made = made_model($dir, 'made', '1,32,2,64,16,300,2');
my ($name) = model_name($made);
copy($made, "$server->{models}/$name.dsst") or die "copy: $!";
$session = $server->session;
is($session->query($listed), join("\n", sort "$BUILTIN|t|t", "$name|f|t"), 'a model that two folders have is listed once');
is($session->query($answer), $right, 'and answers as ever');
is($session->query('SELECT file FROM sst2_model()'), "$server->{models}/$BUILTIN.dsst", "from the server's own folder");
is($session->query("SELECT sst2_fingerprint(model => '$name')"), (model_name($made))[1], 'a call names one of the other folder');

# The model is in neither.
unlink "$models/$BUILTIN.dsst", "$server->{models}/$BUILTIN.dsst";
error_is($server->session->error($answer), '58P01', qq(could not open sentiment model "$BUILTIN": No such file or directory),
	qq(The file is "$server->{models}/$BUILTIN.dsst".), $HINT, 'where no folder has it the error says where it should be');

done_testing();
