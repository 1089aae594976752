"""tools/report and tools/bias: start.py PROGRAM [ARG...]

Reads the arguments with Python's own library, so that --help and wrong ones are answered at once. Then runs PROGRAM.py of this
folder in a virtual environment of its own, host/analysis in the build folder, which is made the first time
(tools/support/environment).

PYTHON chooses the Python, BUILD_DIR the folder of a VPATH build."""
import os
import subprocess
import sys

import arguments

HERE = os.path.dirname(os.path.abspath(__file__))


def main(program, *given):
    getattr(arguments, program)(given)
    folder = os.path.join(os.path.realpath(os.environ.get("BUILD_DIR") or HERE + "/../.."), "host/analysis")
    subprocess.run([HERE + "/../support/environment", HERE + "/requirements.txt", folder, "analysis"], check=True)
    python = folder + "/bin/python"
    os.execv(python, [python, "-B", "%s/%s.py" % (HERE, program), *given])


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except subprocess.CalledProcessError as error:      # it has said why
        sys.exit(error.returncode)
    except KeyboardInterrupt:
        sys.exit(130)
