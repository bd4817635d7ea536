"""The local platform as a process of its own, with workers that run the real SDK."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATIENCE_S = 500  # for anything that a slow machine may take long for


class Process:
    """A running platform. Its log is read as it comes; ``address`` is the endpoint's."""

    def __init__(self, folder, **options):
        flags = [part for name, value in options.items() for part in (f"--{name}", _text(value))]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.local_platform.launch", str(folder), *flags],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines = queue.Queue()
        self.log = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.address = self.line(r"listening on (\S+)")[1]

    def _read(self):
        for line in self._child.stdout:
            self.log.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def line(self, pattern):
        """The match of the next line that has one."""
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line matches {pattern}:\n{''.join(self.log)}")

    def worker(self):
        """Name and process id of the next worker that is started."""
        found = self.line(r"worker \d+ is (\S+), process (\d+)")
        return found[1], int(found[2])

    def ask(self, method, path, body=None):
        """Status and JSON of an answer."""
        return ask(self.address + path, method, body)

    def submit(self, **given):
        """A new job's id."""
        return self.ask("POST", "/run", {"input": given})[1]["id"]

    def status(self, id):
        return self.ask("GET", f"/status/{id}")[1]

    def ended(self, id):
        """The status of a job when it has ended."""
        return until(lambda: (told := self.status(id))["status"] not in ("IN_QUEUE", "IN_PROGRESS") and told)

    def send(self, number):
        self._child.send_signal(number)

    def wait(self):
        """The exit status, once it has ended and all has been read."""
        code = self._child.wait(timeout=PATIENCE_S)
        self._reader.join(timeout=PATIENCE_S)
        self._child.stdout.close()
        return code


@contextmanager
def running(folder, **options):
    """A platform that is ended when the block is left."""
    process = Process(folder, **options)
    try:
        yield process
    finally:
        if process._child.poll() is None:
            process.send(signal.SIGTERM)
            process.send(signal.SIGTERM)
        process.wait()


def ask(url, method="GET", body=None, *, key=None):
    """Status and JSON of an answer to an HTTP request."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def until(condition):
    """What a condition gives as soon as it gives something true; asked again and again, for processes tell nobody."""
    pause = threading.Event()
    for _ in range(PATIENCE_S * 10):
        if found := condition():
            return found
        pause.wait(0.1)
    raise AssertionError("the condition does not come true")


def alive(pid):
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _text(value):
    return json.dumps(value) if isinstance(value, dict) else str(value)
