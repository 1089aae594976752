"""The tools as people run them"""
import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def run(tool, *arguments, **environment):
    return subprocess.run([os.path.join(ROOT, "tools", tool), *arguments], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment}, cwd=environment.get("PWD"))


def report(*arguments, **environment):
    return run("report", *arguments, **environment)


def bias(*arguments, **environment):
    return run("bias", *arguments, **environment)
