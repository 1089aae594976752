"""A connection that only reads, and in it the extension and the model that answers."""
import psycopg
from psycopg import IsolationLevel
from psycopg.adapt import Loader


class Lenient(Loader):
    """Text as it is, but for bytes that are no UTF-8, which an SQL_ASCII server may hold: they count as U+FFFD,
    as they do for the model."""

    def load(self, data):
        return bytes(data).decode("utf-8", "replace")


class Database:
    """All statements of a Database see one state of the data, and none can change it. Without answers it needs neither extension
    nor model, and has no name."""

    def __init__(self, dsn, model=None, answers=True):
        self.connection = psycopg.connect(dsn, prepare_threshold=None)
        self.model = {"model": model}
        self.connection.read_only = True
        self.connection.isolation_level = IsolationLevel.REPEATABLE_READ
        for name in ("text", "name"):
            self.connection.adapters.register_loader(name, Lenient)
        # A server of SQL_ASCII refuses to send what is no UTF-8 to a client that asks for UTF-8.
        self.counts_bytes = self.connection.info.parameter_status("server_encoding") == "SQL_ASCII"
        self.rows("SET LOCAL client_encoding = '%s'" % ("SQL_ASCII" if self.counts_bytes else "UTF8"))
        self.name, self.labels = None, ["negative", "positive"]
        if answers:
            self.find_model()

    def find_model(self):
        schema = self.rows("SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace "
                           "WHERE extname = 'distilsst'")
        if not schema:
            raise SystemExit('the database "%s" has no extension distilsst: CREATE EXTENSION distilsst'
                             % self.connection.info.dbname)
        self.schema = schema[0][0].replace("%", "%%")
        # First of all, so that what is wrong with the model is said by its own error, and the library is loaded.
        fingerprint = self.rows("SELECT " + self.call("fingerprint", ""))[0][0]
        self.name, self.fingerprint, self.precision, self.labels = self.rows(
            "SELECT name, fingerprint, precision, labels FROM %s.sst2_models() WHERE fingerprint = %%(fingerprint)s "
            "ORDER BY is_default DESC NULLS LAST LIMIT 1" % self.schema, fingerprint=fingerprint)[0]

    def call(self, function, arguments):
        """-> SQL of a call of the extension's function, by the model that was asked for"""
        named = ["model => %(model)s::text"] if self.model["model"] else []
        return "%s.sst2_%s(%s)" % (self.schema, function, ", ".join(([arguments] if arguments else []) + named))

    def rows(self, query, **arguments):
        """-> all rows; in a query a per cent sign is written twice"""
        cursor = self.connection.execute(query.encode(), {**arguments, **self.model})
        return cursor.fetchall() if cursor.description else []

    def stream(self, query, **arguments):
        """-> the rows one by one, as the server sends them"""
        return self.connection.cursor().stream(query.encode(), {**arguments, **self.model})


def message(error):
    """What psql would print of a server's error"""
    diag = getattr(error, "diag", None)
    if not diag or not diag.message_primary:
        return str(error).strip()
    more = [("DETAIL", diag.message_detail), ("HINT", diag.message_hint)]
    return "\n".join([diag.message_primary] + ["%s:  %s" % pair for pair in more if pair[1]])


def run(program, main):
    """Runs main; what it cannot do is one message, without a traceback."""
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise SystemExit("%s: %s" % (program, end.code)) from None
        raise
    except psycopg.Error as error:
        raise SystemExit("%s: %s" % (program, message(error))) from None
    except OSError as error:
        raise SystemExit("%s: %s" % (program, error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
