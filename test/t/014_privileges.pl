# A plain role sees nothing but its own texts and public facts about the model, as SECURITY.md promises.

use strict;
use warnings;
use FindBin;
use IO::Socket::UNIX;
use lib $FindBin::RealBin;
use POSIX qw(mkfifo);
use SstTest;
use Test::More;

my $dir = server_dir();
my $good = made_model($dir, 'good', '1,32,2,64,16,300,2', '--name', 'good');
my $packed = read_file($good);
my $installed = install_model($good);
my $boss = SstTest::Session->new;
my ($version) = $boss->query('SHOW server_version_num');
my %refused = (sqlstate => '55P02', message => 'parameter "distilsst.model" cannot be changed now', detail => undef,
	hint => undef);

sub plain { return SstTest::Session->new(user => 'sst_test_plain') }

$boss->query('DROP ROLE IF EXISTS sst_test_plain; CREATE ROLE sst_test_plain LOGIN; SELECT sst2_model()');

# --- Who may choose the server's model ---

{
	my $plain = plain();
	is($plain->query("SELECT sst2_label('I love it')"), 'POSITIVE', 'a plain role classifies');
	is($plain->query("SELECT sst2_fingerprint(model => '$installed')"), (model_name($good))[1], 'by any installed model');
	is_deeply($plain->error($_), \%refused, "no session sets the server's model: $_")
	  for "SET distilsst.model = '$installed'", "SELECT set_config('distilsst.model', '$installed', false)",
	  "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql SET distilsst.model = '$installed' AS 'SELECT 1'";
	is($plain->error("ALTER ROLE sst_test_plain SET distilsst.model = '$installed'")->{sqlstate}, '55P02', 'nor for the next');
	is($plain->error("ALTER SYSTEM SET distilsst.model = '$installed'")->{sqlstate}, '42501', 'a plain role alters no system');
	is($plain->query('SELECT name FROM sst2_model()'), $BUILTIN, 'it stays what it is');
	is_deeply($boss->error("SET distilsst.model = '$installed'"), \%refused, 'nor does a superuser');

	SKIP:
	{
		skip 'parameters are granted since PostgreSQL 15', 3 if $version < 150000;
		$boss->query('GRANT SET, ALTER SYSTEM ON PARAMETER distilsst.model TO sst_test_plain');
		$plain = plain();
		$plain->query("SELECT sst2_label('a')");
		is_deeply($plain->error("SET distilsst.model = '$installed'"), \%refused, 'nor who is granted it');
		$plain->query("ALTER SYSTEM SET distilsst.model = '$installed'");
		configure(work_mem => undef);
		is($plain->query('SELECT name FROM sst2_model()'), $installed, 'who is granted ALTER SYSTEM chooses for the server');
		is($plain->error('SHOW distilsst.model')->{sqlstate}, '42501', 'and does not see it in SHOW');
		$boss->query('REVOKE SET, ALTER SYSTEM ON PARAMETER distilsst.model FROM sst_test_plain');
		configure('distilsst.model' => undef);
	}
}

# --- What the setting shows ---

{
	server_model($good);
	my $plain = plain();
	$plain->query("SELECT sst2_label('a')");
	is($plain->error($_)->{sqlstate}, '42501', "$_ is not for a plain role")
	  for 'SHOW distilsst.model', q(SELECT current_setting('distilsst.model'));
	is($plain->query(q(SELECT count(*) FROM pg_settings WHERE name = 'distilsst.model')), 0, 'nor is it in pg_settings');
	unlike($plain->query('SHOW ALL'), qr/distilsst\.model/, 'nor in SHOW ALL');
	is($plain->query('SELECT name, file IS NULL FROM sst2_model()'), "$installed|t", 'nor the path in sst2_model()');
	unlike($plain->query('SELECT * FROM sst2_models()'), qr{/}, 'nor a path in sst2_models()');
	is($boss->query('SELECT file FROM sst2_model()'), $good, 'which a superuser sees');

	# Until the library is loaded this is an ordinary custom setting; session_preload_libraries closes the gap.
	is(plain()->query('SHOW distilsst.model'), $good, 'before the library is loaded PostgreSQL shows it to everyone');
	$boss->query("ALTER ROLE sst_test_plain SET session_preload_libraries = 'distilsst'");
	$plain = plain();
	is($plain->error('SHOW distilsst.model')->{sqlstate}, '42501',
		'with session_preload_libraries nobody sees it from the start');
	is($plain->error("SET distilsst.model = '$installed'")->{sqlstate}, '55P02', 'nor sets it');
	$boss->query('ALTER ROLE sst_test_plain RESET session_preload_libraries');
}

# --- What errors show ---

my $secret = "root:x:0:0:TOPSECRET\n" x 200;
mkfifo("$dir/pipe.dsst", 0644) or die "mkfifo: $!";
my $socket = IO::Socket::UNIX->new(Local => "$dir/socket.dsst", Listen => 1) or die "socket: $!";
chmod 0666, "$dir/socket.dsst";
chmod 0, write_file("$dir/closed.dsst", $packed);
symlink "$dir/loop.dsst", "$dir/loop.dsst";
symlink "$dir/nowhere.dsst", "$dir/dangling.dsst";
my $damaged = $packed;
substr($damaged, -64, 1) ^= "\1";
my %sqlstate = (
	"$dir/missing.dsst" => '58P01',
	"$dir/missing/model.dsst" => '58P01',
	"$dir/dangling.dsst" => '58P01',
	"$good/model.dsst" => '42809',
	"$dir/loop.dsst" => 'XX000',
	"$dir/socket.dsst" => 'XX000',
	$dir => 'XX001',
	"$dir/pipe.dsst" => 'XX001',
	'/dev/null' => 'XX001',
	"$dir/closed.dsst" => '42501',
	'/etc/passwd' => 'XX001',
	write_file("$dir/empty.dsst", '') => 'XX001',
	write_file("$dir/secret.dsst", $secret) => 'XX001',
	write_file("$dir/magic.dsst", substr($packed, 0, 8) . $secret) => 'XX001',
	write_file("$dir/header.dsst", substr($packed, 0, 24) . $secret . substr($packed, 24 + length $secret)) => 'XX001',
	write_file("$dir/damaged.dsst", $damaged) => 'XX001',
	write_file("$dir/truncated.dsst", substr($packed, 0, -1)) => 'XX001',
);
my @calls = map { "SELECT $_;\n" } q(sst2_label('my text')), q(sst2_score('my text')), q(sst2_classify('my text')),
  q(sst2_logits('my text')), q(sst2_label(ARRAY['my text'])), q(sst2_score(ARRAY['my text'])), q(sst2_logits(ARRAY['my text'])),
  'sst2_logits(ARRAY[1, 2])', q(sst2_tokens('my text')), q(sst2_token_ids('my text')), q(sst2_token_count('my text')),
  q(sst2_label('my text', 0.5)), q(sst2_document('my text')), q(sst2_explain('my text')), 'sst2_model()', 'sst2_selftest()',
  'sst2_fingerprint()';

for my $path (sort keys %sqlstate)
{
	server_model($path);
	my $said = plain()->try(join '', @calls)->{said};
	my ($name) = $path =~ m{([^/]+)$};
	is(join(' ', $said =~ /ERROR:  (\w+)/g), join(' ', ($sqlstate{$path}) x @calls), "$name: every call is refused");
	is(scalar(() = $said =~ /sentiment model "\Q$name\E"/g), scalar @calls, 'by the name of the model');
	unlike($said, qr{/|DETAIL|CONTEXT|TOPSECRET|my text}, 'and nothing else');
}

# A call may name a model of the folder, but learns nothing else about the folder.
{
	my $plain = plain();
	server_model(undef);
	install_bytes('secret-12345678', $secret);
	chmod 0, install_bytes('closed-12345678', $packed);
	symlink '/etc/passwd', my $link = models_folder() . '/link-12345678.dsst';
	my %sqlstate = ('secret-12345678' => 'XX001', 'closed-12345678' => '42501', 'link-12345678' => 'XX001',
		'none-12345678' => '58P01',
		'../link-12345678' => '22023', '/etc/passwd' => '22023', $good => '22023');
	my @named = map { s/('my text'[^)]*)\)/$1, model => 'NAME')/r }
	  grep { !/token|selftest|sst2_model|fingerprint/ && /my text/ } @calls;
	push @named, "SELECT sst2_fingerprint('NAME');\n";
	is(scalar(@named), 11, 'eleven functions name a model');
	for my $name (sort keys %sqlstate)
	{
		my $said = $plain->try(join '', map { s/NAME/$name/r } @named)->{said};
		my ($shown) = $name =~ m{([^/]+)$};
		is(join(' ', $said =~ /ERROR:  (\w+)/g), join(' ', ($sqlstate{$name}) x @named),
			"$name: every call that names it is refused");
		is(scalar(() = $said =~ /^[A-Z]+:  .*"\Q$shown\E"/mg), scalar @named, 'by the name of the model');
		unlike($said =~ s/^DETAIL:  A name has .*//mgr, qr{/|DETAIL|CONTEXT|TOPSECRET|root:|my text}, 'and nothing else');
	}
	unlike($plain->query('SELECT * FROM sst2_models()'), qr{/|TOPSECRET|root:}, 'sst2_models() says no more');
	is($plain->query("SELECT sst2_label('a', model => '$installed') = sst2_label('a', '$installed')"), 't',
		'the session goes on');
	unlink $link;
}

{
	server_model("$dir/secret.dsst");
	my $plain = plain();
	my $not_packed = 'sentiment model "secret.dsst" cannot be used: it is not a packed model';
	error_is($boss->error(q(SELECT sst2_label('a'))), 'XX001', $not_packed, qq(The file is "$dir/secret.dsst".), $HINT,
		'a superuser sees the path');
	like($boss->query(q(SELECT pg_read_file(current_setting('data_directory') || '/../log'))),
		qr/sst_test_plain|DETAIL:  The file is "\Q$dir\E\/missing\.dsst"/, 'and so does who reads the log');
	error_is($boss->error(q(SET ROLE sst_test_plain; SELECT sst2_label('a'))), 'XX001', $not_packed, undef, $HINT,
		'a superuser who has become a plain role does not');
	$boss->query('RESET ROLE');

	# A SECURITY DEFINER function shows nothing that its owner or its caller may not see.
	$boss->query(<<'SQL');
CREATE SCHEMA sst_test AUTHORIZATION sst_test_plain;
GRANT USAGE ON SCHEMA sst_test TO PUBLIC;
CREATE FUNCTION sst_test.of_boss() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
	$$ BEGIN RETURN sst2_label('a'); END $$;
SET ROLE sst_test_plain;
CREATE FUNCTION sst_test.of_plain() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
	$$ DECLARE detail text; BEGIN RETURN sst2_label('a');
	EXCEPTION WHEN data_corrupted THEN GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL; RETURN 'detail: ' || detail; END $$;
RESET ROLE;
SQL
	error_is($plain->error('SELECT sst_test.of_boss()'), 'XX001', $not_packed, undef, $HINT,
		'a plain role that calls the function of a superuser');
	is($boss->query('SELECT sst_test.of_plain()'), 'detail: ', 'a superuser who calls the function of a plain role');
	$boss->query('DROP SCHEMA sst_test CASCADE');
	server_model(undef);
}

# --- The extension itself ---

is($boss->query(<<'SQL'),
SELECT count(*), bool_or(prosecdef), bool_or(proleakproof), count(proacl) FROM pg_proc
WHERE oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_proc'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'distilsst'))
SQL
	'34|f|f|0', 'functions run with the rights of their caller, who may be anyone');

$boss->query('DROP ROLE sst_test_plain');
done_testing();
