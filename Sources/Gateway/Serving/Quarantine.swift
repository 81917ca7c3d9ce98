import EngineProtocol
import Platform

/// What is known of requests by their content: which were at a worker when it died, and which ended one.
///
/// Pure: the clock is handed in. It is bounded in number and in time; suspects make way for what is quarantined.
struct Quarantine<Key: Hashable & Sendable>: Sendable {
    enum Verdict: Equatable, Sendable {
        case unknown
        /// It was computed by a worker that died, and had so many tokens then.
        case suspect(tokens: Int)
        /// It was the only call of a worker that died, for the second time.
        case quarantined
    }

    private struct Entry {
        var verdict: Verdict
        var until: UInt64
    }

    private let capacity: Int
    private let nanoseconds: UInt64
    private var entries: [Key: Entry] = [:]

    init(capacity: Int, nanoseconds: UInt64) {
        self.capacity = capacity
        self.nanoseconds = nanoseconds
    }

    /// Nothing is known of any request: nobody needs to compute a key.
    var isEmpty: Bool { entries.isEmpty }

    func verdict(of key: Key, now: UInt64) -> Verdict {
        guard let entry = entries[key], entry.until > now else { return .unknown }
        return entry.verdict
    }

    func quarantinedCount(now: UInt64) -> Int {
        entries.values.reduce(0) { $0 + ($1.verdict == .quarantined && $1.until > now ? 1 : 0) }
    }

    mutating func suspect(_ key: Key, tokens: Int, now: UInt64) {
        if verdict(of: key, now: now) != .quarantined { insert(key, .suspect(tokens: tokens), now: now) }
    }

    mutating func quarantine(_ key: Key, now: UInt64) { insert(key, .quarantined, now: now) }

    /// The request came past the place where its worker died.
    mutating func clear(_ key: Key) {
        if case .suspect = entries[key]?.verdict { entries[key] = nil }
    }

    private mutating func insert(_ key: Key, _ verdict: Verdict, now: UInt64) {
        entries = entries.filter { $0.value.until > now }
        if entries[key] == nil, entries.count >= capacity, let victim { entries[victim] = nil }
        entries[key] = Entry(verdict: verdict, until: now &+ nanoseconds)
    }

    /// The oldest suspect, or the oldest of all where there is none.
    private var victim: Key? {
        func rank(_ entry: Entry) -> (Int, UInt64) { (entry.verdict == .quarantined ? 1 : 0, entry.until) }
        return entries.min { rank($0.value) < rank($1.value) }?.key
    }
}

/// Names a request by what it asks for, not by who asks, when, or with which seed.
///
/// 128 bits of SipHash over the request's one encoding, keyed with random numbers that never leave the process: nobody
/// outside can make two requests with the same key.
struct ContentKey: Hashable, Sendable {
    private let high: Int
    private let low: Int

    private static let salts = (SystemRandom.next(), SystemRandom.next())

    init(_ request: EngineRequest) {
        var bytes: [UInt8] = []
        // What cannot be encoded was never sent, so nobody asks for its key.
        try? MessageCodec.encode(.request(request.withoutCircumstances, call: .link), into: &bytes)
        high = Self.hash(bytes, salt: Self.salts.0)
        low = Self.hash(bytes, salt: Self.salts.1)
    }

    private static func hash(_ bytes: [UInt8], salt: UInt64) -> Int {
        var hasher = Hasher()
        hasher.combine(salt)
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize()
    }
}

extension EngineRequest {
    fileprivate var withoutCircumstances: EngineRequest {
        if case .embed(var embed) = self {
            (embed.tenant, embed.priority, embed.deadline) = ("", 0, 0)
            return .embed(embed)
        }
        guard case .generate(var generate) = self else { return self }
        generate.tenant = ""
        generate.priority = 0
        generate.deadline = 0
        generate.session = nil
        // One that the client did not give is new each time.
        generate.sampling.seed = 0
        return .generate(generate)
    }
}
