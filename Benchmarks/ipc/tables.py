"""What the measurements become on the page: a table for each, and the specification's targets beside the figures."""
from sections import CARRIERS, KIB, KINDS, SIZES, size_name


def markdown(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def us(value):
    """Microseconds with three digits that count."""
    if value is None:
        return "–"
    if value >= 100_000:
        return f"{value / 1000:,.0f} ms"
    if value >= 10_000:
        return f"{value / 1000:,.1f} ms"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def time(value):
    """With its unit."""
    text = us(value)
    return text if text.endswith("ms") or value is None else f"{text} µs"


def times(one):
    return "–" if one is None else f"{time(one['p50'])} / {time(one['p99'])}"


def pair(one, first="p50", second="p99"):
    return "–" if one is None else f"{us(one[first])} / {us(one[second])}"


def number(value, digits=0):
    return "–" if value is None else f"{value:,.{digits}f}"


def rate(value):
    if value is None:
        return "–"
    return f"{value / 1e6:,.2f} M" if value >= 1e6 else f"{value / 1e3:,.0f} K" if value >= 1e4 else f"{value:,.0f}"


def find(rows, **wanted):
    return next((row for row in rows or [] if all(row.get(name) == value for name, value in wanted.items())), None)


def best(rows, **wanted):
    """Where the processors were near each other, if they ever were."""
    return find(rows, place="near", **wanted) or find(rows, place="far", **wanted)


def load_note(rows):
    """How quiet the machine was."""
    shares = [row["foreign"] for row in rows if "foreign" in row]
    stolen = [row["stolen"] for row in rows if "stolen" in row]
    if not shares:
        return ""
    return (f"Processor time of others meanwhile: median {100 * sorted(shares)[len(shares) // 2]:.0f} %, at most "
            f"{100 * max(shares):.0f} %; taken by the host at most {100 * max(stolen):.0f} %.\n\n")


# MARK: Tables

PLACE_NAMES = {"near": ", near each other", "far": ", far from each other", "–": ""}
PIN_NAMES = {"two": "a processor each", "one": "both on one processor", "free": "where the system puts them"}


def round_trips(results):
    rows, parts = results["rows"], [load_note(results["rows"])]
    for pin, words in PIN_NAMES.items():
        for checksum in ("off", "on"):
            for place, place_words in PLACE_NAMES.items():
                parts.append(round_trip_table(
                    [row for row in rows if (row["pin"], row["checksum"], row["place"]) == (pin, checksum, place)],
                    words + place_words, "and payloads" if checksum == "on" else "only"))
    return "".join(parts).strip()


def round_trip_table(rows, words, covered):
    lines = []
    for size in SIZES:
        cells = [pair(find(rows, size=size, waiting=waiting, carrier=carrier))
                 for waiting in ("spin", "adaptive", "blocked") for carrier in CARRIERS]
        if any(cell != "–" for cell in cells):
            lines.append([size_name(size)] + cells)
    if not lines:
        return ""
    head = ["Text"] + [f"{carrier}, {waiting}" for waiting in ("spin", "adaptive", "blocked") for carrier in CARRIERS]
    return (f"Processes: {words}; checksums over headers {covered}; p50 / p99 in µs.\n\n"
            + markdown(head, lines) + "\n\n")


def carriers(results):
    parts = [load_note(results["rows"])]
    for place, words in PLACE_NAMES.items():
        rows = [row for row in results["rows"] if row["place"] == place]
        if rows:
            parts.append(f"A processor each{words}.\n\n" + carrier_table(rows) + "\n\n")
    return "".join(parts).strip()


def carrier_table(rows):
    lines = [["one word of memory to another process and back", "µs, p50 / p99", pair(find(rows, kind="line")), "–"]]
    for waiting in ("spin", "blocked"):
        lines.append([f"round trip, 64 B, {waiting}, no codec", "µs, p50 / p99"] + [
            pair(find(rows, kind="round", waiting=waiting, carrier=carrier)) for carrier in CARRIERS])
    for raw, words in (("on", "no codec"), ("off", "typed, encoded, decoded, checked")):
        for waiting in ("spin", "blocked"):
            for size in (64, KIB, 16 * KIB):
                found = [find(rows, kind="one-way", size=size, waiting=waiting, raw=raw, carrier=carrier)
                         for carrier in CARRIERS]
                lines.append([f"one way, {size_name(size)}, {waiting}, {words}", "messages/s"] + [
                    rate(row and row["per_second"]) for row in found])
    return markdown(["Case", "Unit", "Rings", "Socket"], lines)


def node(results):
    if "skipped" in results:
        return f"Not measured: {results['skipped']}."
    rows, lines = results["rows"], []
    names = [("rings spin", "rings, spin"), ("rings blocked", "rings, blocked"), ("socket blocked", "socket, blocked"),
             ("node_json.js", "Node.js, JSON lines"), ("node_http2.js", "Node.js, HTTP/2 with gRPC framing")]
    for size in sorted({row["size"] for row in rows}):
        blocked = find(rows, size=size, peer="rings blocked")
        for peer, name in names:
            row = find(rows, size=size, peer=peer)
            if not row:
                continue
            factor = row["p50"] / blocked["p50"] if blocked else None
            lines.append([size_name(size), name, pair(row), us(row["p999"]), f"{number(factor, 2)} ×"])
    return (f"Node.js {results['version']}. " + load_note(rows)
            + markdown(["Text", "Over", "p50 / p99 (µs)", "p99.9", "p50 against rings, blocked"], lines))


STREAM_NAMES = {
    "link socket": "the worker's link (socket pair): in-process", "link rings": "the worker's link over rings",
    "door rings": "local door, rings", "door socket": "local door, socket", "http": "HTTP/SSE"}


def streams(results):
    rows = results["rows"]
    return (f"{results['words']} words in each stream, 100 a second. " + stream_table(rows) + "\n\n" + link_verdict(rows))


def computing(results):
    if "skipped" in results:
        return results["skipped"]
    return f"{results['words']} words of one stream, each after a step of {results['model']}. " + stream_table(results["rows"])


def stream_table(rows):
    lines = []
    for row in rows:
        base = find(rows, streams=row["streams"], kind="link socket")
        lines.append([
            row["streams"], STREAM_NAMES[row["kind"]], pair(row), us(row["p999"]),
            f"{row['p50'] - base['p50']:+.0f}" if base else "–", number(row.get("gateway_us"), 1),
            number(row["client_us"], 1), number(row.get("wakes"), 2), number(row["wrong"])])
    head = ["Streams", "Way", "p50 / p99 (µs)", "p99.9", "p50 above in-process", "Gateway, µs of processor per word",
            "Client, the same", "Wakes per word", "Wrong"]
    return load_note(rows) + markdown(head, lines)


def link_verdict(rows):
    """Whether rings would make the worker's link better by a tenth, at the 99th percentile."""
    gains = {}
    for count in sorted({row["streams"] for row in rows}):
        socket, rings = (find(rows, streams=count, kind=f"link {kind}") for kind in ("socket", "rings"))
        if socket and rings:
            gains[count] = 1 - rings["p99"] / socket["p99"]
    words = ", ".join(f"{100 * gain:+.0f} % at {count}" for count, gain in gains.items())
    better = gains and all(gain >= 0.1 for gain in gains.values())
    verdict = "that would be reason enough to change it" if better else "it stays a socket pair"
    return f"The worker's link over rings instead of its socket pair: p99 better by {words} streams; {verdict}."


def engine(results):
    lines = []
    names = {"bench": "`apus bench`: no door", "door": "local door, rings", "http": "HTTP/SSE"}
    for row in results["rows"]:
        base = find(results["rows"], batch=row["batch"], kind="bench")
        lines.append([row["batch"], names[row["kind"]], number(row["per_second"]),
                      f"{100 * (row['per_second'] / base['per_second'] - 1):+.1f} %",
                      number(row.get("step_us"), 1)])
    return (f"The bundled model, {results['tokens']} tokens in each stream.\n\n"
            + markdown(["Streams", "Way", "Tokens/s", "Against no door", "Worker's step (µs)"], lines))


def mix(results):
    lines = []
    for kind, name in enumerate(KINDS):
        line = [name]
        for carrier in CARRIERS:
            row = find(results["rows"], kind=kind, carrier=carrier)
            line += [pair(row), us(row["max"]) if row else "–"]
        lines.append(line)
    head = ["Kind", "Rings: p50 / p99 (µs)", "longest", "Socket: p50 / p99 (µs)", "longest"]
    return (f"One connection, {results['per_second']} requests a second as they come by chance (Poisson). "
            + load_note(results["rows"]) + markdown(head, lines))


def bursts(results):
    names = list(dict.fromkeys(row["name"] for row in results["rows"]))
    lines = []
    for name in names:
        found = [find(results["rows"], name=name, carrier=carrier) for carrier in CARRIERS]
        lines.append([name, found[0]["count"] if found[0] else "–"] + [pair(row) for row in found])
    return markdown(["1 KiB, µs", "Samples", "Rings: p50 / p99", "Socket: p50 / p99"], lines)


def connections(results):
    names = {"rings": "rings", "socket": "socket", "node": "Node.js, JSON lines"}
    lines = []
    for row in results["rows"]:
        lines.append([
            number(row["connections"]), names[row["kind"]], rate(row["per_second"]), pair(row), us(row["p999"]),
            number(row["fairness"], 2), number(row.get("connects_per_second")), us(row.get("connect_p99_us")),
            f"{100 * row['idle_share']:.1f} %", number(row["lost"])])
    head = ["Connections", "Over", "Round trips/s", "p50 / p99 (µs)", "p99.9", "Least / most of a client", "Connects/s",
            "Connect p99 (µs)", "Server, idle", "Lost"]
    return load_note(results["rows"]) + markdown(head, lines)


def door(results):
    mib = lambda kib: f"{kib / 1024:,.1f}"
    lines = []
    for step in results["steps"]:
        lines.append([step["when"]] + [mib(step[name]) for name in ("rss", "pss", "anonymous", "shmem")]
                     + [number(step["page_tables"])] + [mib(step[name]) for name in ("slab", "machine_shmem")]
                     + [number(step["descriptors"])])
    pings = results["pings"]
    head = ["`apus serve`, gateway", "RSS (MiB)", "PSS", "Anonymous", "Of shared memory", "Page tables (KiB)",
            "Machine: slab (MiB)", "Machine: shared memory", "Descriptors"]
    return (markdown(head, lines) + "\n\n"
            + f"10 client processes have another {mib(results['clients_pss'])} MiB (PSS). Connecting, ten "
            + f"at a time: p50 / p99 {times(results['connect'])}. Of 20 clients above the limit "
            + f"{results['refused']} were refused with a reason. With 1,000 connected and nothing to do the gateway uses "
            + f"{100 * results['idle_share']:.2f} % of a processor. Pings over all connections at once: "
            + f"{rate(pings['per_second'])}/s, p50 / p99 {times(pings)}, least / most of a client "
            + f"{number(pings['fairness'], 2)}, lost {results['lost']}.")


def memory(results):
    lines = [[one["process"], f"{one['mean_kib'] / 1024:,.1f}", f"{one['slope']:+,.0f}",
              f"{one['slope_low']:+,.0f} to {one['slope_high']:+,.0f}", f"{one['limit']:,.0f}",
              "–" if results["minutes"] < 20 else "no" if one["slope_low"] <= one["limit"] else "YES"]
             for one in results["processes"]]
    endings = ", ".join(f"{count:,} {kind}" for kind, count in sorted(results["outcomes"].items()))
    short = "" if results["minutes"] >= 20 else " Too short to say whether memory grows."
    return (f"{results['minutes']:g} minutes; 16 streams all the time, and 20 clients that come and go. Calls: {endings}; "
            f"wrong words: {results['wrong']}.{short}\n\n"
            + markdown(["Process", "Mean (MiB)", "Slope (KiB an hour)", "99 % interval", "Limit", "Grows"], lines))


def outcomes(counts):
    return ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()))


def errors(results):
    slow, kills, workers = results["slow"], results["kills"], results["workers"]
    told = slow["slow"]
    slow_end = "" if not told else (
        f" The slow one got {told['words']:,} words without a gap ({told['wrong']} wrong), and then: {told['outcome']}.")
    after, before = kills["after"], kills["before"]
    return "\n".join([
        f"- **A slow reader.** 16 streams beside a client that reads nothing for {slow['seconds']} s: "
        f"p50 / p99 {times(slow['beside'])}, alone {times(slow['alone'])}; calls: {outcomes(slow['outcomes'])}; "
        f"wrong or missing words: {slow['wrong']}.{slow_end}",
        f"- **Clients that die.** {kills['kills']:,} clients, each killed (SIGKILL) while it floods the server, beside 16 "
        f"streams: calls of those {outcomes(kills['outcomes'])}; wrong or missing words: {kills['wrong']}. Left behind: "
        f"{kills['left_connections']:.0f} connections, {after['descriptors'] - before['descriptors']:+d} descriptors, "
        f"{(after['shmem'] - before['shmem']) / 1024:+.1f} MiB of shared memory, "
        f"{(after['anonymous'] - before['anonymous']) / 1024:+.1f} MiB anonymous.",
        f"- **A worker that dies.** {workers['kills']} times, once a second, under 16 streams: calls "
        f"{outcomes(workers['outcomes'])}; wrong or missing words: {workers['wrong']}. From the kill to the first error "
        f"at a client p50 / p99 {times(workers['noticed'])}, to the first word of an answer after it "
        f"{times(workers['recovered'])}."])


# MARK: Targets

def targets(all_results):
    """The specification's targets, what was measured, and whether it is enough."""
    trips = all_results.get("round-trips", {}).get("rows")
    alone = all_results.get("carriers", {}).get("rows")
    crowd = all_results.get("connections", {}).get("rows")
    nodes = all_results.get("node", {}).get("rows")
    lines = []

    def at_most(case, target, row, **limits):
        if not row:
            return lines.append([case, target, "–", "not measured"])
        measured = ", ".join(f"{name} {time(row[name])}" for name in limits)
        good = all(row[name] <= limit for name, limit in limits.items())
        lines.append([case, target, measured, "reached" if good else "**not reached**"])

    def at_least(case, target, value, limit):
        lines.append([case, target, rate(value) + "/s" if value else "–",
                      "not measured" if value is None else "reached" if value >= limit else "**not reached**"])

    def trip(size, waiting, checksum, carrier="rings"):
        return best(trips, pin="two", size=size, waiting=waiting, checksum=checksum, carrier=carrier)

    floor = best(alone, kind="line")
    if floor:
        lines.append(["One word of memory to another process and back: this machine's floor", "",
                      f"p50 {time(floor['p50'])}", ""])
    at_most("Round trip, 64 B, no codec, spinning", "p50 ≤ 0.40 µs",
            best(alone, kind="round", waiting="spin", carrier="rings"), p50=0.40)
    at_most("Round trip, 64 B, spinning", "p50 ≤ 0.8, p99 ≤ 2 µs", trip(64, "spin", "off"), p50=0.8, p99=2)
    at_most("Round trip, 1 KiB, payload checksum, spinning", "p50 ≤ 2.5, p99 ≤ 6 µs", trip(KIB, "spin", "on"),
            p50=2.5, p99=6)
    for pin, words in (("free", "where the system puts them"), ("two", "a processor each")):
        rings, socket = (
            next((row for row in trips or [] if (row["pin"], row["size"], row["waiting"], row["checksum"], row["carrier"])
                  == (pin, KIB, "blocked", "off", carrier)), None) for carrier in CARRIERS)
        at_most(f"Round trip, 1 KiB, blocked, {words}", "p50 ≤ 15, p99 ≤ 30 µs", rings, p50=15, p99=30)
        if rings and socket:
            factor = rings["p50"] / socket["p50"]
            lines.append(["The same against the socket", "≤ 1.1 ×", f"{factor:.2f} ×",
                          "reached" if factor <= 1.1 else "**not reached**"])
    at_most("Round trip, 16 KiB, spinning", "p50 ≤ 9 µs", trip(16 * KIB, "spin", "off"), p50=9)
    at_most("Round trip, 64 KiB, spinning", "p50 ≤ 25 µs", trip(64 * KIB, "spin", "off"), p50=25)
    for size, limit in ((64, 8e6), (KIB, 3e6), (16 * KIB, 0.5e6)):
        row = best(alone, kind="one-way", waiting="spin", raw="on", carrier="rings", size=size)
        at_least(f"One way, {size_name(size)}, no codec", f"≥ {limit / 1e6:g} M/s", row and row["per_second"], limit)
    row = best(alone, kind="one-way", waiting="spin", raw="off", carrier="rings", size=64)
    at_least("One way, text of a stream (64 B), typed", "≥ 1.5 M/s", row and row["per_second"], 1.5e6)
    for count, limit, p99 in ((100, 400e3, 800), (1000, 280e3, 10_000)):
        row = find(crowd, connections=count, kind="rings")
        at_least(f"{count:,} connections, closed loop, 1 KiB", f"≥ {limit / 1e3:.0f} K/s", row and row["per_second"], limit)
        at_most(f"The same, p99", f"≤ {p99 / 1000:g} ms", row, p99=p99)
    for count in (100, 1000):
        row = find(crowd, connections=count, kind="rings")
        if row:
            lines.append([f"{count:,} connections: least against most of a client", "≥ 0.5", number(row["fairness"], 2),
                          "reached" if row["fairness"] >= 0.5 else "**not reached**"])
    if nodes:
        for peer, words in (("rings blocked", "blocked"), ("rings spin", "spinning")):
            ours, theirs = (find(nodes, size=KIB, peer=name) for name in (peer, "node_json.js"))
            if ours and theirs:
                lines.append([f"1 KiB, {words}, against Node.js with JSON", "3.7 × expected" if words == "blocked" else
                              "35–45 × expected", f"{theirs['p50'] / ours['p50']:.1f} ×", ""])
    lines += stream_targets(all_results) + memory_targets(all_results)
    return markdown(["Case", "Target", "Measured", ""], lines)


def stream_targets(all_results):
    lines = []
    for name, words in (("streams", "above in-process, idle machine"), ("computing", "the same, the worker computes")):
        rows = all_results.get(name, {}).get("rows")
        one, base = (find(rows, streams=1, kind=kind) for kind in ("door rings", "link socket"))
        if one and base:
            more = one["p50"] - base["p50"]
            lines.append([f"From sampled token to client callback, {words}", "≤ 60 µs at the median",
                          f"{more:.0f} µs", "reached" if more <= 60 else "**not reached**"])
    for batch in (1, 8):
        rows = all_results.get("engine", {}).get("rows")
        through, without = (find(rows, batch=batch, kind=kind) for kind in ("door", "bench"))
        if through and without:
            loss = 1 - through["per_second"] / without["per_second"]
            lines.append([f"Loss of engine throughput, {batch} streams", "< 1 %", f"{100 * loss:.1f} %",
                          "reached" if loss < 0.01 else "**not reached**"])
    return lines


def memory_targets(all_results):
    if "door" not in all_results:
        return []
    steps = {step["when"]: step for step in all_results["door"]["steps"]}
    grown = (steps["1,000 after pings"]["rss"] - steps["idle"]["rss"]) / 1024
    idle = all_results["door"]["idle_share"]
    return [
        ["1,000 connections, used: RSS above idle", "≤ 16 MiB", f"{grown:.1f} MiB",
         "reached" if grown <= 16 else "**not reached**"],
        ["1,000 connections, idle: the gateway's processor time", "about 0", f"{100 * idle:.2f} %",
         "reached" if idle < 0.01 else "**not reached**"]]


TABLES = {
    "round-trips": round_trips, "carriers": carriers, "node": node, "streams": streams, "computing": computing,
    "engine": engine, "mix": mix, "bursts": bursts, "connections": connections, "door": door, "memory": memory, "errors": errors,
}
