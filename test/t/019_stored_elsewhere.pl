# Stored answers on other hosts. What names its model has that model's answers, never another's; where the model is not
# installed, an ERROR names it. sst2_dependents() shows what follows the server's model. Also sst2_models() about bad files.

use strict;
use warnings;
use Encode qw(encode);
use FindBin;
use IPC::Run ();
use lib $FindBin::RealBin;
use POSIX qw(mkfifo);
use SstTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = server_dir();
my $file = made_model($dir, 'other', '1,32,2,64,16,300,2');
my $model = install_model($file);
my $boss = SstTest::Session->new;
my ($version) = $boss->query('SHOW server_version_num');
my $missing = qq(could not open sentiment model "$model": No such file or directory);

# One table names its model, the other follows the server's.
my $tables = <<"SQL";
CREATE EXTENSION distilsst;
CREATE TABLE named (id int PRIMARY KEY, body text, score real GENERATED ALWAYS AS (sst2_score(body, model => '$model')) STORED);
CREATE TABLE expression (id int PRIMARY KEY, body text);
CREATE INDEX expression_score ON expression (sst2_score(body, '$model'));
CREATE TABLE following (id int PRIMARY KEY, body text, score real GENERATED ALWAYS AS (sst2_score(body)) STORED);
CREATE INDEX following_score ON following (sst2_score(body));
SQL
$tables .= <<"SQL" if $version >= 140000;
CREATE FUNCTION wrapped(text) RETURNS real LANGUAGE sql IMMUTABLE RETURN sst2_score(\$1, model => '$model');
CREATE TABLE wrapping (id int PRIMARY KEY, body text);
CREATE INDEX wrapping_score ON wrapping (wrapped(body));
SQL
my @tables = ('named', 'expression', 'following', $version >= 140000 ? 'wrapping' : ());
my $rows = join "\n", map { "INSERT INTO $_ SELECT i, 'film ' || i FROM generate_series(1, 200) i;" } @tables;
my $dependents = 'SELECT object, model, installed FROM sst2_dependents() ORDER BY object';

# What sst2_dependents() must say; $installed: is the model there?
sub dependents
{
	my ($installed) = @_;
	my @rows = ("column score of table following||t", "column score of table named|$model|$installed",
		"index expression_score|$model|$installed",
		"index following_score||t");
	push @rows, "index wrapping_score|$model|$installed" if $version >= 140000;
	return join "\n", sort @rows;
}
sub sorted { return join "\n", sort split /\n/, $_[0] }

$boss->query('CREATE DATABASE sst_dumped');
my $here = SstTest::Session->new(db => 'sst_dumped');
$here->query("$tables $rows");
my $scores = 'SELECT md5(string_agg(id || \' \' || score, \',\' ORDER BY id)) FROM';
my $right = $here->query("$scores (SELECT id, sst2_score(body, '$model') AS score FROM named) s");
my $follows = $here->query("$scores following");
is($here->query("$scores named"), $right, 'a column that names its model has its answers');
isnt($follows, $right, 'a column that follows the server\'s has others');
is(sorted($here->query($dependents)), dependents('t'), 'sst2_dependents() where the model is installed');

# --- Dumped, and restored on a host that lacks the model ---

my $host = SstTest::Server->new(from => 'nothing', other_host => 1, conf => "wal_retrieve_retry_interval = 200\n");
unlink "$host->{models}/$model.dsst" or die "$model: $!";
my $there = $host->session;
is($there->query(q(SELECT setting || '/distilsst' FROM pg_config WHERE name = 'SHAREDIR')), $host->{models},
	'a host with models of its own');

sub run_command
{
	my (@command) = @_;
	my $said = '';
	local $ENV{PGPORT} = $host->{port};
	local $ENV{PGOPTIONS} = '-c client_min_messages=warning';
	IPC::Run::run(\@command, '>&', \$said);
	return $said;
}

my %dump = (
	'pg_restore' => [ '-Fc' ],
	'pg_restore of -C' => [ '-Fc', '-C' ],
	'psql' => [],
	'psql of -C' => ['-C'],
);
for my $how (sort keys %dump)
{
	my @options = @{ $dump{$how} };
	my $create = grep { $_ eq '-C' } @options;
	is(do { IPC::Run::run([ 'pg_dump', @options, '-f', "$dir/dump", 'sst_dumped' ], '>&', \my $said); $said }, '',
		"$how: dumped");
	my $restore = sub {
		$there->query('DROP DATABASE IF EXISTS sst_dumped');
		$there->query('CREATE DATABASE sst_dumped TEMPLATE template0') if !$create;
		return run_command('pg_restore', $create ? ('-C', '-d', 'postgres') : ('-d', 'sst_dumped'), "$dir/dump")
		  if $how =~ /pg_restore/;
		return run_command('psql', '-X', '-q', '-o', '/dev/null', '-d', $create ? 'postgres' : 'sst_dumped', '-f', "$dir/dump");
	};
	my $said = $restore->();
	is(scalar(() = $said =~ /\Q$missing\E/g), @tables - 1, "$how: one ERROR for each table that needs the model") or diag $said;
	is(scalar(() = $said =~ /ERROR: /g), @tables - 1, 'and no other') or diag $said;
	my $restored = $host->session(db => 'sst_dumped');
	is($restored->query('SELECT count(*), count(score) FROM named'), '0|0', 'no row has another answer');
	is($restored->query(q(SELECT count(*) FROM pg_class WHERE relname IN ('expression_score', 'wrapping_score'))), 0,
		'no index has one');
	is($restored->query("$scores following"), $follows, 'what follows the server is there');
	is($restored->error("INSERT INTO named VALUES (1, 'a')")->{message}, $missing, 'no row can be added');
	my @not = grep { !/^index (?:expression|wrapping)/ } split /\n/, dependents('f');
	is(sorted($restored->query($dependents)), join("\n", @not), 'sst2_dependents() says what lacks its model');
	undef $restored;

	SstTest::write_file("$host->{models}/$model.dsst", read_file($file));
	is($restore->(), '', "$how with the model installed: not a word");
	$restored = $host->session(db => 'sst_dumped');
	is($restored->query("$scores named"), $right, 'the same answers as on the first host');
	is($restored->query('SET enable_seqscan = off; SET enable_sort = off; SELECT array_agg(id) '
			. "FROM (SELECT id FROM expression ORDER BY sst2_score(body, '$model')) s"),
		$here->query("SELECT array_agg(id ORDER BY sst2_score(body, '$model'), id) FROM expression"), 'the index is right');
	is(sorted($restored->query($dependents)), dependents('t'), 'sst2_dependents() says that all is there');
	undef $restored;
	unlink "$host->{models}/$model.dsst";
}

# A dump does not carry the server's model: the new host's model answers where none is named.
{
	my $own = SstTest::Server->new(from => 'nothing', conf => "wal_level = logical\n", arguments => "-c distilsst.model=$model");
	my $session = $own->session;
	$session->query('CREATE DATABASE sst_dumped TEMPLATE template0');
	local $ENV{PGPORT} = $own->{port};
	IPC::Run::run([ 'psql', '-X', '-q', '-o', '/dev/null', '-d', 'sst_dumped', '-f', "$dir/dump" ], '>&', \my $said);
	my $restored = $own->session(db => 'sst_dumped');
	is($restored->query("$scores named"), $right, 'on a server with another model, what names its model has that one\'s answers');
	is($restored->query("$scores following"), $right, 'and what follows the server has the server\'s');
	is(sorted($restored->query($dependents)), dependents('t'), 'as sst2_dependents() says on any host');
	undef $restored;

	# --- A subscriber on the host that lacks the model ---

	$session->query('CREATE TABLE named (id int PRIMARY KEY, body text);
		INSERT INTO named SELECT i, \'film \' || i FROM generate_series(1, 100) i;
		CREATE PUBLICATION p FOR TABLE named');
	$there->query('DROP DATABASE IF EXISTS sst_dumped; CREATE EXTENSION IF NOT EXISTS distilsst');
	$there->query("CREATE TABLE named (id int PRIMARY KEY, body text, score real GENERATED ALWAYS "
		  . "AS (sst2_score(body, model => '$model')) STORED)");
	$there->query("CREATE SUBSCRIPTION s CONNECTION 'host=$ENV{PGHOST} port=$own->{port} user=postgres dbname=postgres' "
		  . "PUBLICATION p");
	my $failures = sub { return scalar(() = $host->log =~ /\Q$missing\E/g) };
	my $wait = sub {
		my ($done) = @_;
		my $deadline = time + 120;
		sleep 0.1 until $done->() || time > $deadline;
		return $done->();
	};
	my $before = $failures->();
	ok($wait->(sub { $failures->() >= $before + 2 }), 'a subscriber fails, again and again, by an ERROR that names the model');
	is($there->query('SELECT count(*) FROM named'), 0, 'and has no rows');
	SstTest::write_file("$host->{models}/$model.dsst", read_file($file));
	ok($wait->(sub { $there->query('SELECT count(*) FROM named') == 100 }), 'until the model is there');
	unlink "$host->{models}/$model.dsst";
	$session->query('INSERT INTO named SELECT i, \'film \' || i FROM generate_series(101, 200) i');
	# An apply worker that still has the model open applies the rows; a new one fails until the file is back.
	SstTest::write_file("$host->{models}/$model.dsst", read_file($file));
	ok($wait->(sub { $there->query('SELECT count(*) FROM named') == 200 }), 'and then goes on');
	is($there->query("$scores named"), $right, 'with the model\'s answers');
	$there->query('DROP SUBSCRIPTION s');
	undef $session;
	$own->stop;
}
undef $there;
$host->stop;

# --- A standby on a host that lacks the models ---

{
	server_model($model);
	$here->query('UPDATE following SET body = body; REINDEX TABLE following');
	is($here->query("$scores following"), $right, 'the server has another model');
	my $standby = SstTest::Server->new(from => 'backup', other_host => 1);
	unlink "$standby->{models}/$model.dsst" or die "$model: $!";
	my $session = $standby->session(db => 'sst_dumped');
	is($session->query("$scores named; $scores following"), "$right\n$right", 'a standby has what is stored');
	error_is($session->error('SELECT sst2_score(body) FROM following'), '58P01', $missing,
		qq(The file is "$standby->{models}/$model.dsst".), $HINT,
		'the server\'s model raises an ERROR that names it');
	error_is($session->error("SELECT sst2_score('a', model => '$model')"), '58P01', $missing,
		qq(The file is "$standby->{models}/$model.dsst".), $NAMED_HINT,
		'and so does a model by name');
	is($session->query('SET enable_seqscan = off; SELECT count(*) FROM (SELECT FROM following WHERE sst2_score(body) > 0) s'),
		200, 'an index needs no model');
	is(sorted($session->query($dependents)), sorted(dependents('f') =~ s/\|\|t/||f/gr),
		'sst2_dependents() says what lacks its model');
	is($session->query('SELECT name, error FROM sst2_models() WHERE is_default'), "$model|No such file or directory",
		'as does sst2_models()');
	$here->query("INSERT INTO named VALUES (1000, 'and on it goes')");
	my $deadline = time + 120;
	sleep 0.1 until $session->query('SELECT count(*) FROM named WHERE id = 1000') || time > $deadline;
	is($session->query('SELECT score FROM named WHERE id = 1000'), $here->query(q(SELECT sst2_score('and on it goes'))),
		'replication goes on');
	SstTest::write_file("$standby->{models}/$model.dsst", read_file($file));
	is($session->query("$scores (SELECT id, sst2_score(body) AS score FROM following) s"), $right,
		'with the file, the standby answers');
	$standby->stop;
	server_model(undef);
}
undef $here;
$boss->query('DROP DATABASE sst_dumped');

# --- Unusable files: sst2_models() has a row for each ---

{
	my $packed = read_file($file);
	my $folder = models_folder();
	my %row;
	my $add = sub {
		my ($name, $bytes, $error) = @_;
		install_bytes($name, $bytes);
		$row{$name} = $error;
	};
	$add->('a-truncated-00000000', substr($packed, 0, -1), 'its size is not what its header says; it may be truncated');
	$add->('b-damaged-00000000', substr($packed, 0, -1) . chr(1 ^ ord substr $packed, -1),
		'a checksum does not match; its contents have changed since it was packed');
	$add->('c-empty-00000000', '', 'it is empty or no regular file');
	$add->('d-text-00000000', "This is no model.\n" x 200, 'it is not a packed model');
	$add->('e-misnamed-00000000', $packed, qq(its file holds another model, "$model"));
	my $no_name = 'this is not the name of a model';
	$add->('f-unnamed', $packed, $no_name);
	$add->('g-closed-00000000', $packed, 'Permission denied');
	chmod 0, "$folder/g-closed-00000000.dsst";
	mkdir "$folder/h-folder-00000000.dsst";
	$row{'h-folder-00000000'} = 'it is empty or no regular file';
	mkfifo("$folder/i-pipe-00000000.dsst", 0644);
	$row{'i-pipe-00000000'} = 'it is empty or no regular file';
	symlink 'nowhere', "$folder/j-dangling-00000000.dsst";
	$row{'j-dangling-00000000'} = 'No such file or directory';
	symlink 'k-loop-00000000.dsst', "$folder/k-loop-00000000.dsst";
	$row{'k-loop-00000000'} = 'Too many levels of symbolic links';
	$add->(encode('UTF-8', "l-caf\x{e9}"), 'x', $no_name);
	$row{'l-caf??'} = delete $row{ encode('UTF-8', "l-caf\x{e9}") };
	$add->("m-\xff\n'", 'x', $no_name);
	$row{"m-??'"} = delete $row{"m-\xff\n'"};
	write_file("$folder/n-other-00000000.txt", $packed);
	my @good = sort $BUILTIN, $model;

	$boss->query('DROP ROLE IF EXISTS sst_test_plain; CREATE ROLE sst_test_plain LOGIN');
	for my $database ('postgres', 'sst_test_latin1')
	{
		$boss->query("CREATE DATABASE sst_test_latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
		  if $database =~ /latin/;
		SstTest::Session->new(db => $database)->query('CREATE EXTENSION IF NOT EXISTS distilsst');
		my $session = SstTest::Session->new(db => $database, user => 'sst_test_plain');
		is($session->query('SELECT name, error FROM sst2_models() WHERE error IS NOT NULL ORDER BY name COLLATE "C"'),
			join("\n", map { "$_|$row{$_}" } sort keys %row),
			"$database: each bad file is a row with its error");
		is($session->query('SELECT name, is_default FROM sst2_models() WHERE error IS NULL ORDER BY name COLLATE "C"'),
			join("\n", map { "$_|" . ($_ eq $BUILTIN ? 't' : 'f') } @good), 'and each good one a row');
		is($session->query('SELECT count(*) FROM sst2_models() WHERE error IS NOT NULL '
			  . 'AND num_nonnulls(fingerprint, "precision", layers, hidden, vocabulary, max_tokens, labels, bytes) > 0'),
			0, 'of a bad one nothing is believed');
		is($session->query("SELECT sst2_fingerprint('$model')"), (model_name($file))[1], 'the session goes on');
	}
	# The server's own, by path.
	chmod 0755, $dir;
	server_model($file);
	is($boss->query('SELECT name, fingerprint, error FROM sst2_models() WHERE is_default'),
		"$model|" . (model_name($file))[1] . '|', 'the server\'s model by path is a row, too');
	server_model("$dir/none.dsst");
	is($boss->query('SELECT name, fingerprint, error FROM sst2_models() WHERE is_default'),
		'none.dsst||No such file or directory', 'also where there is none');
	server_model('no name');
	is($boss->query('SELECT name, fingerprint, error FROM sst2_models() WHERE is_default'), "no name||$no_name", 'or is no name');
	server_model(undef);
	rmdir "$folder/h-folder-00000000.dsst";
	unlink map { "$folder/$_" } 'i-pipe-00000000.dsst', 'j-dangling-00000000.dsst', 'k-loop-00000000.dsst',
		'n-other-00000000.txt';
	$boss->query($_) for 'DROP DATABASE sst_test_latin1', 'DROP ROLE sst_test_plain';
}
done_testing();
