import Observability
import TestSupport
import Testing

@Suite("The log of a child")
struct ChildLogTests {
    private func lines(_ chunks: [String], limits: ObservabilityLimits = ObservabilityLimits()) -> [String] {
        var log = ChildLog(limits: limits)
        var found: [String] = []
        for chunk in chunks {
            log.append(Array(chunk.utf8)[...], now: 0) { found.append(String(decoding: $0, as: UTF8.self)) }
        }
        log.finish(now: 0) { found.append(String(decoding: $0, as: UTF8.self)) }
        return found
    }

    @Test("lines are the same however the pipe cuts them")
    func cuts() {
        let text = "one\r\n\ntwo é\nthree"
        for seed in 1...50 as ClosedRange<UInt64> {
            var random = SeededRandom(seed: seed)
            var log = ChildLog()
            var (found, rest): ([String], ArraySlice<UInt8>) = ([], Array(text.utf8)[...])
            while !rest.isEmpty {
                let part = rest.prefix(Int.random(in: 1...5, using: &random))
                rest = rest.dropFirst(part.count)
                log.append(part, now: 0) { found.append(String(decoding: $0, as: UTF8.self)) }
            }
            log.finish(now: 0) { found.append(String(decoding: $0, as: UTF8.self)) }
            #expect(found == ["one", "two é", "three"], "seed \(seed)")
            #expect(log.lastLines == found)
        }
    }

    @Test("a line without end takes bounded memory")
    func longLine() {
        var limits = ObservabilityLimits()
        limits.lineBytes = 10
        #expect(lines(["0123456789", "abc", "def\nnext\n"], limits: limits) == ["0123456789", "next"])
    }

    @Test("a flood is thinned in the log, counted, and still ends in the record")
    func flood() {
        var limits = ObservabilityLimits()
        limits.linesPerSecond = 10
        limits.lineBurst = 3
        limits.keptLines = 4
        var log = ChildLog(limits: limits)
        var found: [String] = []
        let emit = { (line: [UInt8]) in found.append(String(decoding: line, as: UTF8.self)) }
        for number in 0..<10 { log.append(Array("line \(number)\n".utf8)[...], now: 0, emit: emit) }
        #expect(found == ["line 0", "line 1", "line 2"])
        log.append(Array("later\n".utf8)[...], now: 100_000_000, emit: emit)
        #expect(found[3...] == [#"{"level":"warning","event":"log.lines_dropped","lines":7}"#, "later"])
        #expect(log.lastLines == ["line 7", "line 8", "line 9", "later"])
    }

    @Test("a ring keeps the last lines, oldest first, each cut to its limit")
    func ring() {
        var ring = LineRing(capacity: 3, lineBytes: 4)
        #expect(ring.lines.isEmpty)
        for text in ["a", "b", "c", "d", "longer"] { ring.append(Array(text.utf8)) }
        #expect(ring.lines == ["c", "d", "long"])
    }

    @Test("a token bucket gives the burst, then the rate, and survives a clock that stands or jumps")
    func limiter() {
        var limiter = RateLimiter(perSecond: 2, burst: 3)
        var allowed: [Bool] = []
        for now in [100, 100, 100, 100, 100 + 499_999_999, 100 + 500_000_000, 50, .max] as [UInt64] {
            allowed.append(limiter.allow(now: now))
        }
        #expect(allowed == [true, true, true, false, false, true, false, true])
        let burst = (0..<5).map { _ in limiter.allow(now: .max) }
        #expect(burst == [true, true, false, false, false])
    }
}
