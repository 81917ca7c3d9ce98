public import Foundation

/// The built programs, which lie beside the test runner.
public enum Programs {
    public static let folder: URL = {
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        let beside = runner.deletingLastPathComponent()
        if FileManager.default.fileExists(atPath: beside.appendingPathComponent("apus-worker").path) { return beside }
        // The runner may be the toolchain's own helper: then the bundle that it was given tells the folder.
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? beside.path
        return URL(fileURLWithPath: bundle).deletingLastPathComponent()
    }()

    public static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    public struct Output: Sendable {
        public let status: Int32
        public let standardOutput: String
        public let standardError: String
    }

    /// Runs a program to its end.
    ///
    /// - Parameter input: what the program reads from standard input; nothing by default.
    public static func run(
        _ name: String, _ arguments: [String], input: String = "", environment: [String: String] = [:]
    ) throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: name.hasPrefix("/") ? name : path(name))
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let out = Collector(), err = Collector()
        process.standardOutput = out.pipe
        process.standardError = err.pipe
        let stdin = Pipe()
        process.standardInput = stdin
        try process.run()
        stdin.fileHandleForWriting.write(Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        process.waitUntilExit()
        return Output(status: process.terminationStatus, standardOutput: out.text(), standardError: err.text())
    }
}

/// Reads a pipe to its end on a thread of its own, so that a talkative program never blocks.
public final class Collector: @unchecked Sendable {
    public let pipe = Pipe()
    private let lock = NSCondition()
    private var collected = Data()
    private var ended = false

    public init() {
        let handle = pipe.fileHandleForReading
        Thread.detachNewThread { [self] in
            while true {
                let part = handle.availableData
                lock.withLock {
                    if part.isEmpty { ended = true } else { collected.append(part) }
                    lock.broadcast()
                }
                if part.isEmpty { return }
            }
        }
    }

    /// Everything, once the writer has closed.
    public func text() -> String {
        lock.withLock {
            while !ended { lock.wait() }
            return String(decoding: collected, as: UTF8.self)
        }
    }

    /// What has come so far.
    public var textSoFar: String { lock.withLock { String(decoding: collected, as: UTF8.self) } }

    /// Waits until the text so far satisfies `condition`; nil after the deadline or the end.
    public func wait<Found>(seconds: Double, until condition: (String) -> Found?) -> Found? {
        let deadline = Date(timeIntervalSinceNow: seconds)
        return lock.withLock {
            while true {
                if let found = condition(String(decoding: collected, as: UTF8.self)) { return found }
                if ended || !lock.wait(until: deadline) { return nil }
            }
        }
    }
}
