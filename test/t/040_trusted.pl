# A database's owner creates and drops the extension without being superuser, and gains nothing else by it.

use strict;
use warnings;
use FindBin;
use lib $FindBin::RealBin;
use SstTest;
use Test::More;

my $boss = SstTest::Session->new;
$boss->query("DROP ROLE IF EXISTS $_; CREATE ROLE $_ LOGIN") for 'sst_test_owner', 'sst_test_plain';
$boss->query('CREATE DATABASE sst_test_owned TEMPLATE template0 OWNER sst_test_owner');

sub session
{
	my ($user) = @_;
	return SstTest::Session->new(user => $user, db => 'sst_test_owned');
}

my $owner = session('sst_test_owner');
my $plain = session('sst_test_plain');

# --- Who may ---

is($plain->error('CREATE EXTENSION distilsst')->{sqlstate}, '42501', 'a role that may not create in the database is refused');
$owner->query('CREATE EXTENSION distilsst');
is($owner->query("SELECT sst2_label('I love it')"), 'POSITIVE', "the database's owner creates it");
is($plain->query("SELECT sst2_label('I love it')"), 'POSITIVE', 'for everyone');
is($plain->error('DROP EXTENSION distilsst')->{sqlstate}, '42501', 'who may not drop it');

# --- What the owner has not gained ---

my $members = q(FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_extension e ON e.oid = d.refobjid
	WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass
		AND extname = 'distilsst');
is($owner->query("SELECT bool_and(proowner = 10) $members"), 't', "the functions are the first superuser's");
is($owner->query("SELECT count(*) $members AND prosecdef"), 0, 'none runs with its rights');
for my $statement (
	q(CREATE OR REPLACE FUNCTION sst2_label(text) RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$),
	'ALTER FUNCTION sst2_label(text) COST 1', 'ALTER FUNCTION sst2_label(text) OWNER TO sst_test_owner',
	'DROP FUNCTION sst2_label(text)',
	q(CREATE FUNCTION mine(text) RETURNS text AS '$libdir/distilsst', 'sst2_label' LANGUAGE C),
	'CREATE SCHEMA other; ALTER EXTENSION distilsst SET SCHEMA other',
	"ALTER SYSTEM SET distilsst.model = '$BUILTIN'")
{
	my $error = $owner->error($statement);
	like($error && $error->{sqlstate}, qr/^(42501|2BP01)$/, "the owner is refused: $statement");
}

$owner->query('REVOKE EXECUTE ON FUNCTION sst2_label(text) FROM PUBLIC');
is($plain->query("SELECT sst2_label('I love it')"), 'POSITIVE', 'and takes no privilege from anyone');

# --- Dropped, and created elsewhere ---

$owner->query('DROP EXTENSION distilsst');
is($owner->query(q(SELECT count(*) FROM pg_proc WHERE proname ~ '^sst2_')), 0, 'dropped, and nothing is left');
$owner->query('CREATE EXTENSION distilsst SCHEMA other');
is($owner->query("SELECT other.sst2_label('I love it')"), 'POSITIVE', 'created in another schema');
$owner->query('DROP EXTENSION distilsst');

# --- A schema that is laid out as a trap ---

# The script runs as superuser with this schema in its search_path. It must not call any function or operator of this schema,
# though their types fit better than pg_catalog's.
$owner->query(<<'SQL');
CREATE SCHEMA trap;
CREATE DOMAIN trap.text AS int; CREATE DOMAIN trap.real AS int; CREATE DOMAIN trap.float4 AS int;
CREATE DOMAIN trap.bool AS int; CREATE DOMAIN trap.int4 AS int; CREATE DOMAIN trap.record AS int;
DO $$
DECLARE
    types text[] = '{bool,int2,int4,int8,float4,float8,numeric,text,name,oid,interval,timestamptz}';
    l text;
    r text;
    o text;
BEGIN
    FOREACH l IN ARRAY types LOOP
        FOREACH r IN ARRAY types LOOP
            EXECUTE format('CREATE FUNCTION trap.arithmetic(%s, %s) RETURNS float8 LANGUAGE sql AS ''SELECT 1.0::float8''', l, r);
            EXECUTE format('CREATE FUNCTION trap.comparison(%s, %s) RETURNS bool LANGUAGE sql AS ''SELECT true''', l, r);
            FOREACH o IN ARRAY '{+,-,*,/,||}'::text[] LOOP
                EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.arithmetic)', o, l, r);
            END LOOP;
            FOREACH o IN ARRAY '{=,<>,<,>,<=,>=}'::text[] LOOP
                EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.comparison)', o, l, r);
            END LOOP;
        END LOOP;
    END LOOP;
END $$;
SQL
$owner->query('CREATE EXTENSION distilsst SCHEMA trap');
is($owner->query(<<'SQL'), '', "nothing in the extension is made of what lay in the schema");
SELECT DISTINCT pg_describe_object(classid, objid, 0) || ' uses ' || pg_describe_object(refclassid, refobjid, 0)
FROM pg_depend d
WHERE (refclassid = 'pg_operator'::regclass AND refobjid IN (SELECT oid FROM pg_operator
        WHERE oprnamespace = 'trap'::regnamespace)
    OR refclassid = 'pg_proc'::regclass AND refobjid IN (SELECT oid FROM pg_proc
        WHERE pronamespace = 'trap'::regnamespace AND proname IN ('arithmetic', 'comparison')))
    AND classid <> 'pg_operator'::regclass
    OR refclassid = 'pg_type'::regclass AND refobjid IN (SELECT oid FROM pg_type WHERE typnamespace = 'trap'::regnamespace
        AND typtype = 'd')
    AND classid <> 'pg_type'::regclass
SQL
my ($right) = $boss->query(q(SELECT sst2_classify('a fine film'), sst2_logits('a fine film')));
is($owner->query(q(SET search_path = trap; SELECT sst2_classify('a fine film'), sst2_logits('a fine film'))),
	$right, 'and the answers are right with it in front');
$owner->query('RESET search_path; DROP EXTENSION distilsst');

$owner->query(q(CREATE FUNCTION trap.sst2_score(text) RETURNS real LANGUAGE sql IMMUTABLE AS 'SELECT 1.0::real'));
is($owner->error('CREATE EXTENSION distilsst SCHEMA trap')->{sqlstate}, '42723',
	'a function that is there already is not taken over');
is($owner->query(q(SELECT count(*) FROM pg_proc WHERE proname ~ '^sst2_')), 1, 'and nothing was created');

undef $_ for $owner, $plain;
$boss->query('DROP DATABASE sst_test_owned WITH (FORCE)');
$boss->query('DROP ROLE sst_test_owner, sst_test_plain');
done_testing();
