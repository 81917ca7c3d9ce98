import Foundation
import Platform

/// Two processes that pass one word to and fro: what this machine's processors need for a cache line and back, which is
/// less than any ring can.
enum LineRoundTrips {
    /// Two words that share no line.
    private static let words = 64
    private static let there = 0
    private static let back = 32

    static func echo(_ options: Words) throws {
        let file = try SharedWords.makeFile(name: "benchmark-line", count: words)
        let shared = try SharedWords(descriptor: file.rawValue, count: words, writable: true)
        Output.report(["path": "\"/proc/\(getpid())/fd/\(file.rawValue)\""])
        let count = UInt64(try options.integer("count"))
        for turn in 1...count {
            while shared[there] != turn {}
            shared[back] = turn
        }
    }

    static func run(_ options: Words) throws {
        let opened = open(try options.text("path"), O_RDWR | O_CLOEXEC)
        guard opened >= 0 else { throw BenchmarkError("the other side's memory cannot be opened") }
        let file = FileDescriptor(owning: opened)
        let shared = try SharedWords(descriptor: file.rawValue, count: words, writable: true)
        var times: [UInt64] = []
        for turn in 1...UInt64(try options.integer("count")) {
            let start = MonotonicClock.now()
            shared[there] = turn
            while shared[back] != turn {}
            times.append(MonotonicClock.now() - start)
        }
        try Output.write(times, to: try options.text("samples"))
        Output.report(["count": times.count])
    }
}
