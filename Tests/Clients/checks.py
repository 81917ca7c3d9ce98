"""Counts checks and prints a line for each: shared by the client scripts in this folder."""

import sys
import traceback


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def run(self, name, body):
        try:
            body()
        except Exception as error:
            self.failed += 1
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            print(f"FAILED  {name}: {reason[:300]}", flush=True)
            if "--trace" in sys.argv:
                traceback.print_exc()
        else:
            self.passed += 1
            print(f"passed  {name}", flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed or not self.passed else 0)


def expect(condition, message):
    if not condition:
        raise AssertionError(message)
