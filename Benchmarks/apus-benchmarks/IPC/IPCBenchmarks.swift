import Foundation

/// `apus-benchmarks ipc ROLE …`: one process of a measurement of the local door.
///
/// `Benchmarks/ipc/ipc.py` starts the processes, in pairs or dozens, and computes from the raw samples that they leave.
enum IPCBenchmarks {
    private static let roles: [String: @Sendable (Words) throws -> Void] = [
        "echo": DirectEcho.run,
        "round-trips": RoundTrips.run,
        "one-way": OneWay.run,
        "line-echo": LineRoundTrips.echo,
        "line": LineRoundTrips.run,
        "link-echo": LinkEcho.run,
        "connections": ConnectionLoad.run,
        "mix": MixedLoad.run,
        "bursts": BurstLoad.run,
        "worker": StampingWorker.run,
        "link-streams": LinkStreams.run,
        "streams": LocalStreams.run,
        "http-streams": HTTPStreams.run,
        "flood": Flood.run,
        "slow-reader": SlowReader.run,
    ]

    static func run(_ words: [String]) throws {
        guard let name = words.first, let role = roles[name] else {
            throw BenchmarkError("ipc: the role is one of \(roles.keys.sorted().joined(separator: ", "))")
        }
        try role(try Words(Array(words.dropFirst())))
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Options of a role: `--name value`.
struct Words {
    private var values: [String: String] = [:]

    init(_ words: [String]) throws {
        guard words.count.isMultiple(of: 2) else { throw BenchmarkError("each option has one value") }
        for index in stride(from: 0, to: words.count, by: 2) {
            guard words[index].hasPrefix("--") else { throw BenchmarkError("'\(words[index])' is no option") }
            values[String(words[index].dropFirst(2))] = words[index + 1]
        }
    }

    func text(_ name: String) throws -> String {
        guard let value = values[name] else { throw BenchmarkError("--\(name) is missing") }
        return value
    }

    func text(_ name: String, default standard: String) -> String { values[name] ?? standard }

    func integer(_ name: String, default standard: Int? = nil) throws -> Int {
        guard let value = values[name].map({ Int($0) }) ?? standard else {
            throw BenchmarkError("--\(name) is missing, or no number")
        }
        return value
    }

    func flag(_ name: String) -> Bool { values[name] == "on" }

    func choice<Choice: RawRepresentable<String>>(_ name: String, default standard: Choice) throws -> Choice {
        guard let value = values[name] else { return standard }
        guard let choice = Choice(rawValue: value) else { throw BenchmarkError("--\(name): '\(value)' is not known") }
        return choice
    }
}

/// What a role has to say to the script that started it.
enum Output {
    /// One JSON object in a line.
    static func report(_ members: KeyValuePairs<String, any CustomStringConvertible>) {
        let text = members.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        FileHandle.standardOutput.write(Data("{\(text)}\n".utf8))
    }

    /// Says that the role is ready, and waits for a line.
    static func waitForWord() -> Bool { readLine() != nil }

    /// Raw samples: 64-bit integers, little-endian.
    static func write(_ samples: [UInt64], to path: String) throws {
        let data = samples.withUnsafeBytes { Data($0) }
        try data.write(to: URL(fileURLWithPath: path))
    }
}

/// SplitMix64: the same numbers in every run.
struct Randomness: RandomNumberGenerator {
    private var position: UInt64

    init(seed: UInt64) { position = seed }

    mutating func next() -> UInt64 {
        position &+= 0x9E37_79B9_7F4A_7C15
        var bits = position
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
