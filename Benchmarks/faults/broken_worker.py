#!/usr/bin/env python3
"""A worker that breaks when it is told to: it stands between the gateway and a real worker and passes messages on.

It is put in the place of `apus-worker`, with the real one beside it as `apus-worker-real`, and looks before each message
for a file `plan.json` in its folder: {"at": PLACE, "action": ACTION, "megabytes": N}. The plan is taken away and carried
out when the message of that place comes:

 - places: hello, load, loaded, generate, cancel, events (any of them), half (after half of a message of events);
 - actions: crash (SIGSEGV), exit (status 3), hang (worker and link stand still), eat (memory, until somebody objects).
"""
import array
import collections
import json
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
PLAN = os.path.join(FOLDER, "plan.json")
HEADER = struct.Struct("<4sBBHIQI")
EXTERNAL_PAYLOAD = 0x08
HELLO, LOAD, GENERATE, CANCEL, EVENTS = 0x0010, 0x0300, 0x0302, 0x0307, 0x0340


class Direction:
    """Messages from one socket to the other, whole, with their descriptors."""

    def __init__(self, source, target, places):
        self.source, self.target, self.places = source, target, places
        self.bytes, self.descriptors, self.count = bytearray(), collections.deque(), 0

    def pump(self, worker):
        """Passes on what has come; false at the end."""
        data, descriptors, _, _ = socket.recv_fds(self.source, 1 << 18, 16)
        self.descriptors.extend(descriptors)
        self.bytes += data
        while len(self.bytes) >= HEADER.size:
            _, _, flags, kind, length, _, _ = HEADER.unpack_from(self.bytes)
            size = HEADER.size + (0 if flags & EXTERNAL_PAYLOAD else length)
            if len(self.bytes) < size:
                break
            message = bytes(self.bytes[:size])
            del self.bytes[:size]
            self.carry_out(kind, message, worker)
            self.send(message, self.of_message(kind, flags))
        return bool(data)

    def of_message(self, kind, flags):
        count = len(self.descriptors) if kind in (HELLO, LOAD) else bool(flags & EXTERNAL_PAYLOAD)
        return [self.descriptors.popleft() for _ in range(min(count, len(self.descriptors)))]

    def send(self, message, descriptors):
        sent = 0
        if descriptors:
            control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
            sent = self.target.sendmsg([message], control)
            for descriptor in descriptors:
                os.close(descriptor)
        self.target.sendall(message[sent:])

    def carry_out(self, kind, message, worker):
        places = self.places(kind, self.count)
        self.count += 1
        plan = take_plan(places) if places else None
        if plan is None:
            return
        if plan["at"] == "half":
            self.target.sendall(message[:len(message) // 2])
        {"crash": crash, "exit": leave, "hang": hang, "eat": eat}[plan["action"]](worker, plan)


def places_of_requests(kind, count):
    return {LOAD: ["load"], GENERATE: ["generate"], CANCEL: ["cancel"]}.get(kind, [])


def places_of_events(kind, count):
    if kind == HELLO:
        return ["hello"]
    # The first message of events says that the model is loaded.
    return ["loaded"] if count == 1 else ["events", "half"]


def take_plan(places):
    try:
        with open(PLAN) as file:
            plan = json.load(file)
    except (OSError, ValueError):
        return None
    if plan["at"] not in places:
        return None
    os.unlink(PLAN)
    return plan


def crash(worker, plan):
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(10)


def leave(worker, plan):
    os._exit(3)


def hang(worker, plan):
    """As a worker in an endless loop: it answers nothing, reads nothing, and does not hear SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(worker.pid, signal.SIGSTOP)
    while True:
        time.sleep(1)


def eat(worker, plan):
    """Where nobody objects, as where no memory group can be made, the plan's limit does."""
    limit = plan.get("megabytes", 1024) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    hoard = []
    while True:
        hoard.append(b"\1" * (8 << 20))


def main():
    arguments = sys.argv[1:]
    link = socket.socket(fileno=int(arguments[arguments.index("--link-descriptor") + 1]))
    link.setblocking(True)
    near, far = socket.socketpair()
    arguments[arguments.index("--link-descriptor") + 1] = str(far.fileno())
    arguments[arguments.index("--parent") + 1] = str(os.getpid())
    descriptors = [int(value) for flag, value in zip(arguments, arguments[1:]) if flag.endswith("-descriptor")]
    worker = subprocess.Popen([os.path.join(FOLDER, "apus-worker-real")] + arguments, pass_fds=descriptors)
    far.close()
    directions = {link: Direction(link, near, places_of_requests), near: Direction(near, link, places_of_events)}
    try:
        while True:
            ready, _, _ = select.select(list(directions), [], [])
            if not all(directions[source].pump(worker) for source in ready):
                break
    except OSError:
        pass
    near.close()
    status = worker.wait()
    if status < 0:
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main()
