"""A server of its own for the measurements, with its processes, its probes and its log."""
import http.client
import json
import os
import re
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Server:
    """`apus serve` with the bundled model on a free port.

    With `broken`, the worker is the one that breaks on demand.
    """

    def __init__(self, programs, arguments=(), broken=False, log=None, memory_group=None):
        self.folder = Path(tempfile.mkdtemp(prefix="apus-faults-"))
        self.log_path = Path(log) if log else self.folder / "log"
        program = Path(programs).resolve() / "apus"
        if broken:
            program = self.programs_with_a_broken_worker(Path(programs).resolve())
        self.is_in_group = memory_group is not None
        with open(self.log_path, "ab") as log_file:
            self.process = subprocess.Popen(
                [program, "serve", "--port", "0", "--log-format", "json", *arguments], stdout=subprocess.PIPE,
                stderr=log_file, preexec_fn=memory_group.join if memory_group else None, text=True)
        self.port = None
        for line in self.process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                self.port = int(found.group(1))
                break
        if self.port is None:
            raise SystemExit(f"the server did not start: {self.log_path.read_text()}")

    def programs_with_a_broken_worker(self, programs):
        shutil.copy(programs / "apus", self.folder / "apus")
        shutil.copy(programs / "apus-worker", self.folder / "apus-worker-real")
        shutil.copy(HERE / "broken_worker.py", self.folder / "apus-worker")
        (self.folder / "apus-worker").chmod(0o755)
        return self.folder / "apus"

    def arm(self, **plan):
        """Tells the broken worker what to do next."""
        temporary = self.folder / "plan.new"
        temporary.write_text(json.dumps(plan))
        temporary.rename(self.folder / "plan.json")

    @property
    def is_armed(self):
        return (self.folder / "plan.json").exists()

    def disarm(self):
        (self.folder / "plan.json").unlink(missing_ok=True)

    def workers(self):
        try:
            text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        except OSError:
            return []
        return [int(word) for word in text.split()]

    def signal_worker(self, number):
        """Sends a signal to the worker that is there; false if there is none."""
        return any(self.signal(worker, number) for worker in self.workers())

    @staticmethod
    def signal(process, number):
        try:
            os.kill(process, number)
            return True
        except ProcessLookupError:
            return False

    def worker_of(self, model):
        """The newest worker of a model, by the log."""
        started = [record["pid"] for record in self.log_records()
                   if record.get("event") == "worker.started" and record.get("model") == model]
        return started[-1]

    def limit_descriptors(self, spare):
        """Leaves the gateway so many free descriptors; returns what undoes it."""
        pid = self.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        count = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(count + spare, before[1]), before[1]))
        return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()

    def log_records(self):
        if not self.log_path.is_file():
            return []
        records = []
        for line in self.log_path.read_text(errors="replace").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                pass
        return records

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        return self.process.returncode


class MemoryGroup:
    """A control group with a memory limit, of version 1 or 2; `make` gives None where none can be made."""

    def __init__(self, path, limit_file, limit):
        self.path = path
        (path / limit_file).write_text(str(limit))
        self.processes = path / "cgroup.procs"

    @staticmethod
    def make(limit):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        first = next((path for _, names, path in lines if "memory" in names.split(",")), None)
        second = next((path for _, names, path in lines if names == ""), None)
        places = []
        if first is not None:
            root = Path("/sys/fs/cgroup/memory")
            places = [(root / first.lstrip("/"), "memory.limit_in_bytes"), (root, "memory.limit_in_bytes")]
        elif second is not None:
            places = [(Path("/sys/fs/cgroup") / second.lstrip("/"), "memory.max")]
        for parent, limit_file in places:
            path = parent / f"apus-faults-{os.getpid()}"
            try:
                path.mkdir()
                return MemoryGroup(path, limit_file, limit)
            except OSError:
                if path.is_dir():
                    path.rmdir()
        return None

    def join(self):
        self.processes.write_text(str(os.getpid()))

    def remove(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)
