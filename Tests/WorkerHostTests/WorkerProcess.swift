import EngineLink
import EngineProtocol
import Foundation
import Platform
import TestSupport

/// The gateway's end of the link: it belongs to the loop.
private final class Gateway: @unchecked Sendable {
    var client: LinkClient?
}

/// A real `apus-worker`, driven over its link from a test.
final class WorkerProcess: @unchecked Sendable {
    let process: ChildProcess
    private let loop: EventLoop
    private let thread: Platform.Thread
    private let errors = Collector()
    private let condition = NSCondition()
    private let gateway = Gateway()
    private var hasEnded = false
    private var events: [CallID: [EngineEvent]] = [:]
    private var closeReason: LinkCloseReason?
    private var lastCall: UInt64 = 0

    /// - Parameters:
    ///   - progress: a file for its progress page.
    ///   - options: further words of its command line.
    ///   - program: another program than the one that was built with the tests.
    ///   - environment: `NAME=value`, beside what every worker has.
    init(
        progress: Int32? = nil, options: [String] = [], program: String? = nil, environment: [String] = []
    ) throws {
        let pair = try Socket.pair()
        let (ours, theirs) = Self.take(pair)
        process = try Self.spawn(
            link: theirs, errors: errors, progress: progress, options: options, program: program,
            environment: environment)
        Glibc.close(theirs)
        let loop = try EventLoop()
        self.loop = loop
        thread = try Platform.Thread.start(name: "test-link") { loop.run() }
        loop.post { [weak self, gateway] in
            let client = try? LinkClient(loop: loop, descriptor: FileDescriptor(owning: ours))
            client?.onEvents = { self?.add($0) }
            client?.onClose = { self?.closed($0) }
            gateway.client = client
        }
    }

    static func take(_ pair: consuming SocketPair) -> (Int32, Int32) {
        (pair.first.release(), pair.second.release())
    }

    /// - Parameters:
    ///   - errors: gets the worker's standard error.
    ///   - crashes: gets the stacks of its threads.
    static func spawn(
        link: Int32, errors: Collector, parent: Int32 = getpid(), progress: Int32? = nil, crashes: Int32? = nil,
        options: [String] = [], program: String? = nil, environment: [String] = []
    ) throws -> ChildProcess {
        var arguments = ["apus-worker", "--link-descriptor", "3", "--parent", String(parent)]
        var descriptors = [(parent: link, child: Int32(3))]
        descriptors.append((parent: errors.pipe.fileHandleForWriting.fileDescriptor, child: 2))
        for (flag, number, descriptor) in [("--progress-descriptor", 4, progress), ("--crash-descriptor", 5, crashes)] {
            guard let descriptor else { continue }
            arguments += [flag, String(number)]
            descriptors.append((parent: descriptor, child: Int32(number)))
        }
        let process = try ChildProcess.spawn(
            executable: program ?? Programs.path("apus-worker"), arguments: arguments + options,
            environment: ["SWIFT_BACKTRACE=enable=no"] + environment, descriptors: descriptors)
        try errors.pipe.fileHandleForWriting.close()
        return process
    }

    private func add(_ batch: [(CallID, EngineEvent)]) {
        condition.withLock {
            for (call, event) in batch { events[call, default: []].append(event) }
            condition.broadcast()
        }
    }

    private func closed(_ reason: LinkCloseReason) {
        condition.withLock {
            closeReason = reason
            condition.broadcast()
        }
    }

    // MARK: Requests

    @discardableResult
    func send(_ request: EngineRequest, call: CallID? = nil, descriptors: [Int32] = []) -> CallID {
        lastCall += 1
        let call = call ?? CallID(generation: 1, sequence: lastCall)
        let done = DispatchSemaphore(value: 0)
        loop.post { [gateway] in
            try? gateway.client?.send(request, call: call, descriptors: descriptors)
            done.signal()
        }
        done.wait()
        return call
    }

    /// Loads a model and waits for the answer.
    @discardableResult
    func load(
        _ bytes: [UInt8], draft: [UInt8]? = nil, purpose: LoadRequest.Purpose = .generate, context: UInt32? = nil,
        parallel: UInt32 = 4, runtime: RuntimeOptions? = nil
    ) throws -> EngineEvent {
        let files = try [bytes, draft].compactMap(\.self).map { bytes in
            try bytes.withUnsafeBytes { try FileDescriptor.memory(name: "model", bytes: $0, sealed: true).release() }
        }
        defer { for file in files { Glibc.close(file) } }
        let call = send(
            .load(
                LoadRequest(
                    source: .descriptors(count: 1), draftSource: draft.map { _ in .descriptors(count: 1) },
                    purpose: purpose, displayName: "tiny", contextLength: context, parallel: parallel, threads: 2,
                    runtime: runtime)),
            descriptors: files)
        return try end(of: call)
    }

    /// Sends a request and returns its one event.
    func ask(_ request: EngineRequest, descriptors: [Int32] = []) throws -> EngineEvent {
        try end(of: send(request, descriptors: descriptors))
    }

    // MARK: Events

    struct Timeout: Error, CustomStringConvertible {
        let description: String
    }

    func events(of call: CallID, until isEnough: ([EngineEvent]) -> Bool) throws -> [EngineEvent] {
        try wait("call \(call.rawValue)") {
            let soFar = events[call] ?? []
            return isEnough(soFar) ? soFar : nil
        }
    }

    func finished(_ call: CallID) throws -> [EngineEvent] { try events(of: call) { $0.last?.isEnd == true } }

    func end(of call: CallID) throws -> EngineEvent {
        guard let event = try finished(call).last else { throw Timeout(description: "no event") }
        return event
    }

    /// The statistics taken after a moment of the monotonic clock.
    func statistics(after moment: UInt64) throws -> WorkerStatistics {
        try wait("statistics") {
            for case .statistics(let statistics) in (events[.link] ?? []).reversed() where statistics.takenAt > moment {
                return statistics
            }
            return nil
        }
    }

    func linkClosed() throws -> LinkCloseReason { try wait("the end of the link") { closeReason } }

    private func wait<Found>(_ what: String, _ find: () -> Found?) throws -> Found {
        let deadline = Date(timeIntervalSinceNow: 60)
        return try condition.withLock {
            while true {
                if let found = find() { return found }
                guard closeReason == nil, condition.wait(until: deadline) else {
                    throw Timeout(description: "\(what) did not come; the worker said: \(errors.textSoFar)")
                }
            }
        }
    }

    // MARK: End

    deinit {
        guard !hasEnded else { return }
        process.signal(SIGKILL)
        closeLink()
        _ = try? process.wait()
    }

    private func closeLink() {
        hasEnded = true
        loop.post { [gateway, loop] in
            gateway.client?.close()
            gateway.client = nil
            loop.stop()
        }
        thread.join()
    }

    /// Closes the link and returns how the worker ended, and what it said.
    func end() throws -> (exit: ChildProcess.Exit, errors: String) {
        closeLink()
        let exit = try process.wait()
        return (exit, errors.text())
    }
}
