"""The packer, and the throw-away server of test/scratch"""
import os
import subprocess

import psycopg

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
PACK = os.path.join(os.environ.get("BUILD_DIR", ROOT), "distilsst-pack")


def pack(folder, out, *options):
    """Exit status, and what was said"""
    done = subprocess.run([PACK, folder, out, *options], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Server:
    def __init__(self):
        self.connection = psycopg.connect(autocommit=True)
        self.connection.execute("LOAD 'distilsst'")
        self.models = os.path.join(self.one("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'"), "distilsst")

    def one(self, query, *values):
        return self.connection.execute(query, values).fetchone()[0]

    def install(self, folder, *options):
        """Packs a folder as the server's model; its name"""
        status, said = pack(folder, self.models, "--name", "judge", *options)
        if status:
            raise AssertionError(said)
        name = said.split(": ")[1].split(",")[0]
        self.connection.execute("ALTER SYSTEM SET distilsst.model = '%s'" % name)
        self.connection.execute("SELECT pg_reload_conf()")
        while self.one("SHOW distilsst.model") != name:
            pass
        return name

    def token_ids(self, texts):
        return [row[0] for row in self.connection.execute(
            "SELECT sst2_token_ids(t) FROM unnest(%s::text[]) WITH ORDINALITY AS x (t, i) ORDER BY i", [texts])]

    def logits(self, texts, model):
        return self.one("SELECT sst2_logits(%s::text[], model => %s)", texts, model)

    def classified(self, texts, model):
        """[text]: label, score, tokens"""
        return self.connection.execute(
            "SELECT (c).label, (c).score, (c).tokens FROM (SELECT i, sst2_classify(t, model => %s) AS c "
            "FROM unnest(%s::text[]) WITH ORDINALITY AS x (t, i)) y ORDER BY i", [model, texts]).fetchall()
