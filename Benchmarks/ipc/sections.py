"""The measurements, one function each: they start processes, keep raw samples, and return figures."""
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import processes
from processes import CPUS, DoorServer, Load, median, median_summary, processor_ns, samples, summary

sys.path.insert(0, str(processes.HERE.parent / "soak"))
from soak import judge  # noqa: E402

KIB = 1024
SIZES = [64, KIB, 4 * KIB, 16 * KIB, 64 * KIB, KIB * KIB, 8 * KIB * KIB]
CARRIERS = ["rings", "socket"]
# A cache line there and back takes less between processors that share a cache.
NEAR_US = 0.25
PINS = {"two": ({CPUS[0]}, {CPUS[-1]}), "one": ({CPUS[0]}, {CPUS[0]}), "free": (None, None)}


def size_name(size):
    return f"{size} B" if size < KIB else f"{size // KIB} KiB" if size < KIB * KIB else f"{size >> 20} MiB"


def rounds_of(context, cases, measure):
    """Measures all cases in turns, round after round; the figures of each case, median over the rounds."""
    kept = [[] for _ in cases]
    for number in range(context.rounds):
        for index, case in enumerate(cases):
            try:
                kept[index].append(measure(case, number))
            except RuntimeError as reason:
                print(f"{case}: {reason}", file=sys.stderr)
    return kept


# MARK: 1. Round trips

def pair(context, name, role, size, carrier, waiting, pin, **options):
    """An echo and who asks it: the summary of one run, with the load beside it."""
    first, second = PINS[pin]
    placed = place(context) if pin == "two" else "–"
    path = context.socket()
    common = dict(path=path, carrier=carrier, waiting=waiting, bytes=size, **options)
    echo = context.start("echo", first, **common)
    echo.word()
    with Load() as load:
        client = context.start(role, second, samples=context.samples(name), **common)
        said = client.word()
        client.end()
        echo.end()
    return said, load.facts() | {"place": placed}


def place(context):
    """Whether the two processors are near each other now: a virtual machine's come and go among the host's."""
    return "near" if line(context, "line")["p50"] < NEAR_US else "far"


def by_place(case, kept):
    """Rounds on processors that were near each other, and the others, are two measurements."""
    for name in ("near", "far", "–"):
        of_place = [{key: value for key, value in one.items() if key != "place"} for one in kept if one["place"] == name]
        if of_place:
            yield case | {"place": name, "rounds": len(of_place)} | median_summary(of_place)


def round_trip_cases(context):
    cases = []
    for pin in PINS:
        for size in SIZES:
            for waiting in ("spin", "adaptive", "blocked"):
                for checksum in ("off", "on"):
                    if context.short and pin != "two" and (checksum == "on" or size not in (64, KIB, 64 * KIB)):
                        continue
                    for carrier in CARRIERS:
                        cases.append((pin, size, waiting, checksum, carrier))
    return cases


def round_trips(context):
    cases = round_trip_cases(context)

    def measure(case, number):
        pin, size, waiting, checksum, carrier = case
        name = "round-trip-" + "-".join(str(word) for word in case) + f"-{number}"
        slow = pin == "one" and waiting == "spin"
        count = 20_000 if size <= 4 * KIB else 4000 if size <= 64 * KIB else 200 if size <= KIB * KIB else 20
        _, facts = pair(
            context, name, "round-trips", size, carrier, waiting, pin, checksum=checksum, count=count,
            warm_up=5 if slow or size > 64 * KIB else 500, most_ms=100 if context.short else 1000)
        return summary(samples(context.samples(name))) | facts

    rows = []
    for case, kept in zip(cases, rounds_of(context, cases, measure)):
        rows += by_place(dict(zip(("pin", "size", "waiting", "checksum", "carrier"), case)), kept)
    return {"rows": rows}


def carriers_alone(context):
    """Without a codec: round trips, and messages in one direction with and without the codec."""
    cases = [("line", 8, "spin", "on", "memory")]
    cases += [("round", 64, "spin", "on", carrier) for carrier in CARRIERS]
    cases += [("round", 64, "blocked", "on", carrier) for carrier in CARRIERS]
    cases += [("one-way", size, waiting, raw, carrier) for waiting in ("spin", "blocked")
              for size in (64, KIB, 16 * KIB) for raw in ("on", "off") for carrier in CARRIERS]

    def measure(case, number):
        kind, size, waiting, raw, carrier = case
        name = "carrier-" + "-".join(str(word) for word in case) + f"-{number}"
        if kind == "line":
            return line(context, name)
        if kind == "round":
            _, facts = pair(context, name, "round-trips", size, carrier, waiting, "two", raw=raw, count=50_000,
                            warm_up=2000, most_ms=300)
            return summary(samples(context.samples(name))) | facts
        messages = (200_000 if size <= KIB else 20_000) // (1 if raw == "on" else 4) // (2 if context.short else 1)
        _, facts = pair(context, name, "one-way", size, carrier, waiting, "two", raw=raw, one_way=messages, count=3)
        best = median([messages / (nanoseconds / 1e9) for nanoseconds in samples(context.samples(name))])
        return {"per_second": best} | facts

    rows = []
    for case, kept in zip(cases, rounds_of(context, cases, measure)):
        rows += by_place(dict(zip(("kind", "size", "waiting", "raw", "carrier"), case)), kept)
    return {"rows": rows}


def line(context, name):
    """One word to and fro: the floor of everything that two processes can do on this machine."""
    first, second = PINS["two"]
    echo = context.start("line-echo", first, count=20_000)
    path = echo.word()["path"]
    with Load() as load:
        client = context.start("line", second, path=path, count=20_000, samples=context.samples(name))
        client.word()
        client.end()
        echo.end()
    facts = summary(samples(context.samples(name)))
    return facts | load.facts() | {"place": "near" if facts["p50"] < NEAR_US else "far"}


# MARK: 2. The same work in Node.js

def node(context):
    if not context.node:
        return {"skipped": "node is not installed"}
    version = subprocess.run([context.node, "--version"], capture_output=True, text=True).stdout.strip()
    sizes = [64, KIB, 16 * KIB, 64 * KIB] + ([] if context.short else [KIB * KIB])
    peers = ["rings spin", "rings blocked", "socket blocked", "node_json.js", "node_http2.js"]
    cases = [(size, peer) for size in sizes for peer in peers]

    def measure(case, number):
        size, peer = case
        name = f"node-{size}-{peer.replace(' ', '-')}-{number}"
        count = (3000 if size <= 16 * KIB else 500) // (2 if context.short else 1)
        if not peer.startswith("node"):
            carrier, waiting = peer.split()
            _, facts = pair(context, name, "round-trips", size, carrier, waiting, "free" if waiting == "blocked" else
                            "two", checksum="on", count=count, warm_up=500)
            del facts["place"]
        else:
            path = context.socket()
            server = context.start_node(peer, "serve", path)
            server.word()
            with Load() as load:
                client = context.start_node(
                    peer, "measure", path, bytes=size, count=count, warm_up=count // 2, samples=context.samples(name))
                client.word()
                client.end()
                server.kill()
            facts = load.facts()
        return summary(samples(context.samples(name))) | facts

    rows = []
    for case, kept in zip(cases, rounds_of(context, cases, measure)):
        if kept:
            rows.append({"size": case[0], "peer": case[1]} | median_summary(kept))
    return {"version": version, "rows": rows}


# MARK: 3. Streams

STREAM_KINDS = ["link socket", "link rings", "door rings", "door socket", "http"]


def streams(context):
    """Words that are the moments at which a worker sent them, at 100 a second in each stream."""
    words = 200 if context.short else 500
    cases = [(count, kind) for count in (1, 16, 100) for kind in STREAM_KINDS]
    return {"words": words, "rows": stream_rows(context, DoorServer(context), "stream", cases, words)}


def computing(context):
    """The same with a worker that takes a step of a real model for each word."""
    if not context.model:
        return {"skipped": "no --model"}
    words = 200 if context.short else 500
    cases = [(1, kind) for kind in STREAM_KINDS]
    server = DoorServer(context, model=context.model)
    return {"model": context.model.stem, "words": words, "rows": stream_rows(context, server, "computing", cases, words)}


def stream_rows(context, server, prefix, cases, words):
    try:
        def measure(case, number):
            count, kind = case
            name = f"{prefix}-{count}-{kind.replace(' ', '-')}-{number}"
            with Load(server.process.pid, *server.workers()) as load:
                facts = stream_run(context, server, kind, count, words, context.samples(name))
            return summary(samples(context.samples(name))) | facts | load.facts()

        kept = rounds_of(context, cases, measure)
    finally:
        server.stop()
    return [{"streams": case[0], "kind": case[1]} | median_summary(one) for case, one in zip(cases, kept) if one]


def stream_run(context, server, kind, count, words, path):
    options = dict(streams=count, words=words, samples=path)
    if kind.startswith("link"):
        socket = context.socket()
        gateway = context.start("link-streams", path=socket, **options)
        gateway.word()
        model = {"model": server.model} if server.model else {}
        worker = context.start("worker", path=socket, carrier=kind.split()[1], **model)
        said = gateway.word()
        gateway.end()
        worker.end()
        return {"wrong": said["wrong"], "client_us": said["processor_ns"] / 1000 / (count * words)}
    pids = server.process.pid, server.workers()[0]
    metrics = server.metrics()
    before = [processor_ns(pid) for pid in pids]
    if kind == "http":
        client = context.start("http-streams", port=server.port, **options)
    else:
        client = context.start("streams", path=server.door, carrier=kind.split()[1], **options)
    said = client.word()
    used = [(processor_ns(pid) - start) / 1000 / (count * words) for pid, start in zip(pids, before)]
    # Counters of rings are read once a second, and once more when a client leaves.
    client.end()
    time.sleep(0.1)
    woken = server.metrics().get("apus_local_ring_wakes_total", 0) - metrics.get("apus_local_ring_wakes_total", 0)
    return {"wrong": said["wrong"], "client_us": said["processor_ns"] / 1000 / (count * words), "gateway_us": used[0],
            "worker_us": used[1], "wakes": woken / (count * words)}


def engine(context):
    """Tokens a second of the bundled model: `apus bench`, the local door, and HTTP."""
    cases = [(batch, kind) for batch in (1, 8) for kind in ("bench", "door", "http")]
    tokens = 400 if context.short else 1500
    server = DoorServer(context, stamps=False)
    try:
        def measure(case, number):
            batch, kind = case
            name = f"engine-{batch}-{kind}-{number}"
            if kind == "bench":
                model = processes.HERE.parents[1] / "Sources/Engine/CDemoModel/apus-demo.gguf"
                done = subprocess.run(
                    [context.programs / "apus", "bench", model, "--prompt", "16", "--generate", str(tokens), "--batch",
                     str(batch), "--repeat", "1", "--json"], capture_output=True, text=True, check=True)
                return {"per_second": json.loads(done.stdout.splitlines()[-1])["decode_tokens_per_second"]}
            options = dict(
                streams=batch, words=tokens, samples=context.samples(name), plain="on",
                prompt="The river and the stone and the lamp and the window.")
            before = server.metrics()
            if kind == "http":
                client = context.start("http-streams", port=server.port, **options)
            else:
                client = context.start("streams", path=server.door, **options)
            said = client.word()
            client.end()
            time.sleep(0.6)
            after = server.metrics()
            steps = after["apus_steps_total"] - before["apus_steps_total"] if "apus_steps_total" in after else 0
            seconds = after["apus_step_seconds_total"] - before["apus_step_seconds_total"]
            return {"per_second": said["tokens"] / said["seconds"],
                    "step_us": seconds / steps * 1e6 if steps else None, "wrong": said["wrong"]}

        kept = rounds_of(context, cases, measure)
    finally:
        server.stop()
    return {"tokens": tokens, "rows": [
        {"batch": case[0], "kind": case[1]} | median_summary(one) for case, one in zip(cases, kept) if one]}


# MARK: 4, 5. The mix, and bursts

KINDS = ["text of a stream, 50–200 B", "prompt, 0.5–8 KiB", "embedding, 4–64 KiB", "tools, 0.2–4 KiB", "ping",
         "large text, 0.25–4 MiB"]


def echoed(context, role, carrier, name, **options):
    path = context.socket()
    echo = context.start("link-echo", path=path)
    echo.word()
    try:
        client = context.start(role, path=path, carrier=carrier, samples=context.samples(name), **options)
        said = client.word()
        client.end()
    finally:
        echo.kill(signal.SIGTERM)
    values = samples(context.samples(name))
    by_kind = {}
    for kind, nanoseconds in zip(values[::2], values[1::2]):
        by_kind.setdefault(kind, []).append(nanoseconds)
    return said, by_kind


def mix(context):
    kept = {carrier: [] for carrier in CARRIERS}
    for number in range(context.rounds):
        for carrier in CARRIERS:
            with Load() as load:
                _, by_kind = echoed(
                    context, "mix", carrier, f"mix-{carrier}-{number}", seconds=2 if context.short else 10,
                    per_second=1000)
            kept[carrier].append({kind: summary(values) | load.facts() for kind, values in by_kind.items()})
    return {"per_second": 1000, "rows": [
        {"carrier": carrier, "kind": kind} | median_summary([one.get(kind) for one in kept[carrier]])
        for kind in range(len(KINDS)) for carrier in CARRIERS if any(kind in one for one in kept[carrier])]}


def bursts(context):
    names = ["first after 1 ms", "first after 100 ms", "first after 10 s", "each of 1,000 at once"]
    rows = []
    for carrier in CARRIERS:
        with Load() as load:
            said, by_kind = echoed(
                context, "bursts", carrier, f"bursts-{carrier}", scale=10 if context.short else 1)
        for kind, values in sorted(by_kind.items()):
            rows.append({"carrier": carrier, "name": names[kind]} | summary(values) | load.facts())
        rows.append({"carrier": carrier, "name": "until 1,000 are answered"} | summary(said["drain_ns"]))
    return {"rows": rows}


# MARK: 6. Connections

def clients(context, count, path, name, processes_=10, start=None, **options):
    """Client processes that share so many connections, all connected."""
    processes_ = min(processes_, count)
    share = [count // processes_ + (number < count % processes_) for number in range(processes_)]
    start = start or (lambda number, connections: context.start(
        "connections", path=path, connections=connections, samples=context.samples(f"{name}-{number}"), **options))
    return [start(number, connections) for number, connections in enumerate(share)]


def together(load_clients):
    """Has all clients ask; what each says."""
    for client in load_clients:
        client.go()
    return [client.word() for client in load_clients]


def throughput(said, context, name, seconds):
    answers = [count for one in said for count in one["answers"]]
    latencies = [value for number in range(len(said)) for value in samples(context.samples(f"{name}-{number}"))]
    return summary(latencies) | {
        "per_second": sum(answers) / seconds, "fairness": min(answers) / max(max(answers), 1),
        "lost": sum(one["lost"] for one in said)}


def connections(context):
    """Closed loop, 1 KiB: links of the library, the same over sockets, and Node.js."""
    seconds = 2 if context.short else 5
    kinds = CARRIERS + (["node"] if context.node else [])
    cases = [(count, kind) for count in (1, 100, 1000) for kind in kinds]

    def measure(case, number):
        count, kind = case
        name = f"connections-{count}-{kind}-{number}"
        path = context.socket()
        start = None
        if kind == "node":
            echo = context.start_node("node_json.js", "serve", path)

            def start(client, share):
                return context.start_node(
                    "node_json.js", "connections", path, connections=share, bytes=KIB, seconds=seconds,
                    samples=context.samples(f"{name}-{client}"))
        else:
            echo = context.start("link-echo", path=path)
        echo.word()
        with Load(echo.pid) as load:
            people = clients(context, count, path, name, start=start, seconds=seconds, bytes=KIB,
                             **({} if kind == "node" else {"carrier": kind}))
            said = [client.word() for client in people]
            facts = {}
            if kind != "node":
                times = [value for one in said for value in one["connect_ns"]]
                span = max(one["ended"] for one in said) - min(one["began"] for one in said)
                facts = {"connects_per_second": count / (span / 1e9), "connect_p99_us": summary(times)["p99"]}
            asked = together(people)
            before = processor_ns(echo.pid)
            time.sleep(1)
            facts["idle_share"] = (processor_ns(echo.pid) - before) / 1e9
            for client in people:
                if kind == "node":
                    client.go()
                client.end()
        facts |= throughput(asked, context, name, seconds)
        echo.kill(signal.SIGTERM)
        return facts | load.facts()

    rounds, context.rounds = context.rounds, min(context.rounds, 3)
    kept = rounds_of(context, cases, measure)
    context.rounds = rounds
    return {"rows": [{"connections": case[0], "kind": case[1]} | median_summary(one)
                     for case, one in zip(cases, kept) if one]}


# MARK: 7. Memory

def door(context):
    """The server itself: 1,000 connections, pings over all of them, more than it takes, and its memory."""
    server = DoorServer(context)
    pid, steps = server.process.pid, []
    seconds = 2 if context.short else 5

    def note(name):
        time.sleep(0.3)
        steps.append({"when": name} | processes.memory(pid))

    try:
        note("idle")
        few = clients(context, 100, server.door, "door-few", seconds=1, pings="on")
        _ = [one.word() for one in few]
        note("100 connected")
        together(few)
        note("100 after pings")
        for one in few:
            one.end()
        people = clients(context, 1000, server.door, "door", seconds=seconds, pings="on")
        said = [one.word() for one in people]
        note("1,000 connected")
        extra = clients(context, 20, server.door, "door-extra", seconds=1, pings="on")
        refused = sum(one.word()["refused"] for one in extra)
        for one in extra:
            one.go()
            one.end()
        before = processor_ns(pid)
        time.sleep(2)
        idle = (processor_ns(pid) - before) / 2e9
        answers = together(people)
        note("1,000 after pings")
        latencies = [value for number in range(len(people)) for value in samples(context.samples(f"door-{number}"))]
        counts = [count for one in answers for count in one["answers"]]
        clients_pss = sum(processes.memory(one.pid)["pss"] for one in people)
        for one in people:
            one.end()
        time.sleep(1)
        note("all gone")
        times = [value for one in said for value in one["connect_ns"]]
        return {
            "steps": steps, "refused": refused, "idle_share": idle, "clients_pss": clients_pss,
            "connect": summary(times), "pings": summary(latencies) | {
                "per_second": sum(counts) / seconds, "fairness": min(counts) / max(max(counts), 1)},
            "lost": sum(one["lost"] for one in answers)}
    finally:
        server.stop()


def memory(context):
    """Over time: streams, and clients that come and go."""
    server = DoorServer(context, step_ms=5)
    pids = {"gateway": server.process.pid, "worker": server.workers()[0]}
    taken = {name: [] for name in pids}
    every = 2 if context.minutes < 5 else 10
    began = time.monotonic()
    outcomes, calls = Counter(), 0
    try:
        while (now := time.monotonic() - began) < context.minutes * 60:
            name = context.samples("memory-streams")
            load = context.start(
                "streams", path=server.door, streams=16, words=100, seconds=every, samples=name)
            people = clients(context, 20, server.door, "memory", processes_=2, seconds=1, pings="on")
            _ = [one.word() for one in people]
            together(people)
            said = load.word()
            outcomes.update(said["outcomes"])
            calls += said["wrong"]
            for one in people + [load]:
                one.end()
            for process, pid in pids.items():
                facts = processes.memory(pid)
                taken[process].append((round(now, 1), facts["anonymous"] + facts["shmem"]))
        return {"minutes": context.minutes, "outcomes": dict(outcomes), "wrong": calls,
                "processes": [judge(name, values) for name, values in taken.items()]}
    finally:
        server.stop()


# MARK: 8. Errors under load

def errors(context):
    return {"slow": slow_reader(context), "kills": killed_clients(context), "workers": killed_workers(context)}


def slow_reader(context):
    """One client that reads nothing, beside 16 streams that do."""
    # Until its outbox is full, and half a minute more.
    seconds = 5 if context.short else 60
    server = DoorServer(context, step_ms=1)
    try:
        alone = context.start("streams", path=server.door, streams=16, words=500, samples=context.samples("slow-alone"))
        alone.word()
        alone.end()
        slow = context.start("slow-reader", path=server.door, words=1_000_000, seconds=seconds)
        beside = context.start(
            "streams", path=server.door, streams=16, words=500, seconds=seconds, samples=context.samples("slow-beside"))
        said = beside.word()
        told = slow.word() if not context.short else None
        beside.end()
        slow.kill() if context.short else slow.end()
        return {"seconds": seconds, "alone": summary(samples(context.samples("slow-alone"))),
                "beside": summary(samples(context.samples("slow-beside"))), "outcomes": said["outcomes"],
                "wrong": said["wrong"], "slow": told}
    finally:
        server.stop()


def killed_clients(context):
    """Clients that flood the server and die in the middle of it, beside 16 streams."""
    kills = 50 if context.short else 1000
    server = DoorServer(context, step_ms=2)
    pid, source = server.process.pid, random.Random(1)
    try:
        before = processes.memory(pid)
        seconds = max(5, kills // 20)
        steady = context.start(
            "streams", path=server.door, streams=16, words=200, seconds=seconds, samples=context.samples("kills"))
        done, gone = 0, []
        while done < kills:
            flood = context.start("flood", path=server.door, seed=done)
            flood.word()
            time.sleep(source.random() * 0.01)
            flood.kill()
            done += 1
        said = steady.word()
        steady.end()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline and server.metrics().get("apus_local_connections", 0) > 0:
            time.sleep(0.05)
        # What asked for the metrics is gone then, too.
        time.sleep(0.3)
        after = processes.memory(pid)
        metrics = server.metrics()
        return {"kills": done, "outcomes": said["outcomes"], "wrong": said["wrong"], "before": before, "after": after,
                "left_connections": metrics.get("apus_local_connections", 0),
                "ends": {line.split("{", 1)[1].split("}")[0]: float(line.split()[-1])
                         for line in server.get("/metrics")[1].splitlines()
                         if line.startswith("apus_local_link_ends_total{")}}
    finally:
        server.stop()


def killed_workers(context):
    """The worker dies each second under 16 streams; each call ends whole or with a typed error."""
    seconds = 10 if context.short else 60
    server = DoorServer(context, step_ms=2)
    try:
        ends = str(context.raw / "worker-ends.bin")
        load = context.start(
            "streams", path=server.door, streams=16, words=50, seconds=seconds, ends=ends,
            samples=context.samples("worker-kills"))
        deaths = []
        deadline = time.monotonic() + seconds - 1
        while time.monotonic() < deadline:
            time.sleep(1)
            deaths.append(time.clock_gettime_ns(time.CLOCK_MONOTONIC))
            server.signal_worker(signal.SIGKILL)
        said = load.word()
        load.end()
        values = samples(ends)
        failed = sorted(at for at, what in zip(values[::2], values[1::2]) if what == 0)
        first_words = sorted(at for at, what in zip(values[::2], values[1::2]) if what == 2)
        recovered, noticed = [], []
        for death in deaths:
            error = next((at for at in failed if at > death), None)
            if error and error - death < 1e9:
                noticed.append(error - death)
                if again := next((at for at in first_words if at > error), None):
                    recovered.append(again - death)
        return {"kills": len(deaths), "outcomes": said["outcomes"], "wrong": said["wrong"],
                "noticed": summary(noticed), "recovered": summary(recovered)}
    finally:
        server.stop()


SECTIONS = {
    "round-trips": round_trips, "carriers": carriers_alone, "node": node, "streams": streams, "computing": computing,
    "engine": engine,
    "mix": mix, "bursts": bursts, "connections": connections, "door": door, "memory": memory, "errors": errors,
}
