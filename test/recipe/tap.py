"""Runs the tests of this folder and prints TAP."""
import sys
import traceback
import unittest


class Tap(unittest.TestResult):
    def line(self, word, test, more=""):
        print("%s %d - %s%s" % (word, self.testsRun, test.shortDescription() or test.id(), more), flush=True)

    def addSuccess(self, test):
        self.line("ok", test)

    def addSkip(self, test, reason):
        self.line("ok", test, " # SKIP " + reason)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.line("not ok", test)
        print("".join("# " + line + "\n" for line in "".join(traceback.format_exception(*error)).splitlines()), end="")

    addError = addFailure


tests = unittest.defaultTestLoader.discover(".")
print("1..%d" % tests.countTestCases())
result = Tap()
tests.run(result)
sys.exit(0 if result.wasSuccessful() else 1)
