/*
 * progress.c - the row of a backfill in sst2_backfills, which sst2_progress shows.
 *
 * Nobody has rights on that table: its owner writes here for the caller, and nothing runs meanwhile but our own statements. So no
 * role can lead another's backfill astray.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "backfill.h"

#define TABLE "sst2_backfills"

/* ---- statements as the owner ----------------------------------------------------------------- */

/* Every statement's first three parameters name its row; up to six more follow. */
#define MINE "relation = $1 AND role = $2 AND columns = $3"

typedef struct Parameters
{
    int         count;
    Oid         type[9];
    Datum       value[9];
    char        null[9];        /* 'n' or ' ' */
} Parameters;

static void
add_parameter(Parameters *p, Oid type, Datum value, bool is_null)
{
    p->type[p->count] = type;
    p->value[p->count] = value;
    p->null[p->count++] = is_null ? 'n' : ' ';
}

static Parameters
parameters_of(const Progress *progress)
{
    Parameters  p = {0};
    Datum       columns[4];

    for (int i = 0; i < 4; i++)
        columns[i] = Int16GetDatum(progress->columns[i]);
    add_parameter(&p, OIDOID, ObjectIdGetDatum(progress->relation), false);
    add_parameter(&p, OIDOID, ObjectIdGetDatum(progress->role), false);
    add_parameter(&p, INT2ARRAYOID,
                  PointerGetDatum(construct_array(columns, 4, INT2OID, sizeof(int16), true, TYPALIGN_SHORT)), false);
    return p;
}

static Oid
owner_of(Oid relation)
{
    HeapTuple   tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
    Oid         owner;

    if (!HeapTupleIsValid(tuple))
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_TABLE),
                 errmsg("table \"%s\" of extension distilsst does not exist", TABLE)));
    owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
    ReleaseSysCache(tuple);
    return owner;
}

/* format has one %s, for the table's name. An error sets user and settings back by itself. */
static void
execute_as_owner(const Progress *progress, const char *format, Parameters *p)
{
    const Oid   schema = get_func_namespace(progress->function);
    const int   nest = NewGUCNestLevel();
    char       *table = quote_qualified_identifier(get_namespace_name(schema), TABLE);
    Oid         user;
    int         context;

    GetUserIdAndSecContext(&user, &context);
    set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    SetUserIdAndSecContext(owner_of(get_relname_relid(TABLE, schema)), context | SECURITY_LOCAL_USERID_CHANGE);
    if (SPI_execute_with_args(psprintf(format, table), p->count, p->type, p->value, p->null, false, 0) < 0)
        elog(ERROR, "could not write %s", table);
    SetUserIdAndSecContext(user, context);
    AtEOXact_GUC(true, nest);
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Settings by which every session writes and reads values alike, as postgres_fdw has them. */
static int
common_settings(void)
{
    static const char *const setting[][2] = {
        {"DateStyle", "ISO"}, {"IntervalStyle", "postgres"}, {"extra_float_digits", "3"}, {"search_path", "pg_catalog"}
    };
    const int   nest = NewGUCNestLevel();

    for (size_t i = 0; i < lengthof(setting); i++)
        set_config_option(setting[i][0], setting[i][1], PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    return nest;
}

static Datum
position_to_array(const Target *target, const Position *position)
{
    const int   nest = common_settings();
    Datum       value[INDEX_MAX_KEYS];

    for (int i = 0; i < target->keys; i++)
    {
        Oid         output;
        bool        is_varlena;

        getTypeOutputInfo(target->key[i].type, &output, &is_varlena);
        value[i] = CStringGetTextDatum(OidOutputFunctionCall(output, position->key[i]));
    }
    AtEOXact_GUC(true, nest);
    return PointerGetDatum(construct_array(value, target->keys, TEXTOID, -1, false, TYPALIGN_INT));
}

static void
position_from_array(const Target *target, Datum array, Position *position)
{
    const int   nest = common_settings();
    Datum      *value;
    int         count;

    deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &value, NULL, &count);
    position->set = count == target->keys;
    for (int i = 0; position->set && i < count; i++)
    {
        Oid         input,
                    element;

        getTypeInputInfo(target->key[i].type, &input, &element);
        position->key[i] = OidInputFunctionCall(input, TextDatumGetCString(value[i]), element, -1);
    }
    AtEOXact_GUC(true, nest);
}

/* ---- the row --------------------------------------------------------------------------------- */

static Datum
result(int column, bool *is_null)
{
    return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, is_null);
}

static void
read_counts(Progress *progress)
{
    bool        is_null;
    double      seconds;

    if (SPI_processed == 0)     /* another session has ended it */
        return;
    progress->done = DatumGetInt64(result(1, &is_null));
    progress->total = DatumGetInt64(result(2, &is_null));
    progress->bytes_left = DatumGetInt64(result(3, &is_null));
    seconds = DatumGetFloat8(result(4, &is_null));
    progress->rows_rate = seconds > 0 ? DatumGetInt64(result(5, &is_null)) / seconds : 0;
    progress->bytes_rate = seconds > 0 ? DatumGetInt64(result(6, &is_null)) / seconds : 0;
}

/*
 * A lock on an object of sst2_backfills that only this backfill has. Locks of the session outlive its transactions, but not an
 * ERROR.
 */
static LOCKTAG
session_lock(const Progress *progress)
{
    LOCKTAG     tag;

    SET_LOCKTAG_OBJECT(tag, MyDatabaseId, get_relname_relid(TABLE, get_func_namespace(progress->function)), progress->lock, 0);
    return tag;
}

static void
hold_session_lock(Progress *progress)
{
    const Oid   whose[] = {progress->relation, progress->role};
    LOCKTAG     tag;

    progress->lock = hash_combine(hash_bytes((const unsigned char *) whose, sizeof(whose)),
                                  hash_bytes((const unsigned char *) progress->columns, sizeof(progress->columns)));
    tag = session_lock(progress);
    (void) LockAcquire(&tag, ShareLock, true, false);
}

#define COUNTS "done, total, total_bytes - bytes, extract(epoch FROM updated - measured_from)::float8," \
    " done - measured_done, bytes - measured_bytes"

/*
 * A position holds for one index and one model. Where a policy decides which rows the caller sees, it may see others next time,
 * for a policy can depend on any setting: then there is no position. What dropped tables and roles have left goes.
 */
void
sst_progress_begin(Progress *progress, const Target *target, Work due, Position *position)
{
    Parameters  p = parameters_of(progress);
    Datum       array;
    bool        is_null;

    hold_session_lock(progress);
    progress->keeps_position = check_enable_rls(progress->relation, InvalidOid, true) != RLS_ENABLED;
    add_parameter(&p, OIDOID, ObjectIdGetDatum(target->index), false);
    add_parameter(&p, TEXTOID, CStringGetTextDatum(target->fingerprint), false);
    add_parameter(&p, INT8OID, Int64GetDatum(due.rows), false);
    add_parameter(&p, INT8OID, Int64GetDatum(due.bytes), false);
    add_parameter(&p, OIDOID, ObjectIdGetDatum(progress->lock), false);
    add_parameter(&p, BOOLOID, BoolGetDatum(progress->keeps_position), false);
    execute_as_owner(progress, "DELETE FROM %s WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation)"
                     " OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = role)",
                     &(Parameters) {0});
    execute_as_owner(progress,
                     "INSERT INTO %s AS b VALUES ($1, $2, $3, $4, $5, NULL, 0, $6, 0, $7, now(), now(), now(), 0, 0, $8)"
                     " ON CONFLICT (relation, role, columns) DO UPDATE SET (key_index, fingerprint, position, done, total,"
                     "   bytes, total_bytes, started, updated, measured_from, measured_done, measured_bytes) ="
                     " (SELECT $4, $5, CASE WHEN same AND b.key_index = $4 AND $9 THEN b.position END, d.done, d.done + $6,"
                     "   d.bytes, d.bytes + $7, CASE WHEN same THEN b.started ELSE now() END, now(), now(), d.done, d.bytes"
                     "   FROM (SELECT b.fingerprint = $5 AS same) s, LATERAL (SELECT"
                     "   CASE WHEN same THEN b.done ELSE 0 END AS done, CASE WHEN same THEN b.bytes ELSE 0 END AS bytes) d)"
                     " RETURNING " COUNTS ", position", &p);
    read_counts(progress);
    array = result(7, &is_null);
    position->set = false;
    if (!is_null)
        position_from_array(target, array, position);
}

void
sst_progress_advance(Progress *progress, const Target *target, Work filled, const Position *position)
{
    const bool  moves = position && progress->keeps_position;
    Parameters  p = parameters_of(progress);

    add_parameter(&p, INT8OID, Int64GetDatum(filled.rows), false);
    add_parameter(&p, INT8OID, Int64GetDatum(filled.bytes), false);
    add_parameter(&p, TEXTARRAYOID, moves ? position_to_array(target, position) : (Datum) 0, !moves);
    execute_as_owner(progress,
                     "UPDATE %s SET done = done + $4, total = greatest(total, done + $4),"
                     " bytes = bytes + $5, total_bytes = greatest(total_bytes, bytes + $5),"
                     " updated = clock_timestamp(), position = coalesce($6, position) WHERE " MINE " RETURNING " COUNTS, &p);
    read_counts(progress);
}

void
sst_progress_end(const Progress *progress)
{
    const LOCKTAG tag = session_lock(progress);
    Parameters  p = parameters_of(progress);

    execute_as_owner(progress, "DELETE FROM %s WHERE " MINE, &p);
    (void) LockRelease(&tag, ShareLock, true);
}
