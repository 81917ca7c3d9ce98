public import Foundation

/// A real `apus serve` in a process of its own, on a free port.
public final class ServerProcess: @unchecked Sendable {
    public let port: UInt16
    private let process: Process
    private let log: Collector
    private let folder: ProgramFolder?

    public struct DidNotStart: Error, CustomStringConvertible {
        public let description: String
    }

    /// Starts the server, in a control group if one is given, and waits until it is ready to answer.
    ///
    /// - Parameters:
    ///   - group: the control group that it runs in, if it is to have one of its own.
    ///   - worker: the program that takes the place of `apus-worker`.
    ///   - socket: a listening socket, which becomes its descriptor 3 as socket activation has it.
    ///   - standardInput: nothing by default.
    public init(
        _ arguments: [String] = [], environment: [String: String] = [:], in group: MemoryControlGroup? = nil,
        worker: String? = nil, socket: FileHandle? = nil, standardInput: FileHandle = .nullDevice
    ) throws {
        process = Process()
        log = Collector()
        folder = try worker.map { try ProgramFolder(worker: $0) }
        var command = [folder?.program.path ?? Programs.path("apus"), "serve", "--port", "0"] + arguments
        if socket != nil {
            let script = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec \"$0\" \"$@\" 3<&0 </dev/null"
            command = ["/bin/sh", "-c", script] + command
        }
        let words = group?.command(command) ?? command
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardOutput = log.pipe
        process.standardError = log.pipe
        process.standardInput = socket ?? standardInput
        try process.run()
        let found = log.wait(seconds: 60) { text in
            text.firstMatch(of: #/http://127\.0\.0\.1:(\d+)/#).flatMap { UInt16($0.1) }
        }
        guard let found else {
            process.terminate()
            throw DidNotStart(description: log.textSoFar)
        }
        port = found
    }

    deinit { stop() }

    public var base: String { "http://127.0.0.1:\(port)" }
    public var processID: Int32 { process.processIdentifier }
    public var logSoFar: String { log.textSoFar }
    public var isRunning: Bool { process.isRunning }

    /// What runs in the place of `apus-worker`, if something does.
    public var workerProgram: String? { folder?.worker.path }

    /// The workers that are alive now.
    public var workerProcessIDs: [Int32] {
        let path = "/proc/\(processID)/task/\(processID)/children"
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    /// Its exit status once it has ended.
    public var exitStatus: Int32? { process.isRunning ? nil : process.terminationStatus }

    public func signal(_ number: Int32) { kill(processID, number) }

    public func stop() {
        guard process.isRunning else { return }
        process.terminate()
        process.waitUntilExit()
    }

    /// Polls `/metrics` for one sample; nil when it is not there.
    public func metric(_ name: String) throws -> Double? {
        let text = try HTTPExchange.get(port: port, "/metrics").text
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            guard rest.first == " " || rest.first == "{" else { continue }
            return line.split(separator: " ").last.flatMap { Double($0) }
        }
        return nil
    }

    /// Waits until `condition` holds, asking every 20 ms; false after `seconds`.
    public static func eventually(seconds: Double = 20, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Date(timeIntervalSinceNow: seconds)
        while try !condition() {
            if Date() > deadline { return false }
            Thread.sleep(forTimeInterval: 0.02)
        }
        return true
    }
}

/// `apus` in a folder of its own, with another program in the place of its worker.
private final class ProgramFolder {
    private let url: URL

    init(worker: String) throws {
        let files = FileManager.default
        url = files.temporaryDirectory.appendingPathComponent("apus-programs-\(UUID())")
        try files.createDirectory(at: url, withIntermediateDirectories: true)
        for (from, to) in [("apus", "apus"), (worker, "apus-worker")] {
            let (source, target) = (URL(fileURLWithPath: Programs.path(from)), url.appendingPathComponent(to))
            // A link costs nothing, but needs the same file system.
            do { try files.linkItem(at: source, to: target) } catch { try files.copyItem(at: source, to: target) }
        }
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    var program: URL { url.appendingPathComponent("apus") }
    var worker: URL { url.appendingPathComponent("apus-worker") }
}
