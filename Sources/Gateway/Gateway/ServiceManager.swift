import Glibc
import Observability
import Platform

/// The service manager that started this process, as far as there is one: systemd, or another that speaks its protocol.
///
/// It learns when the server is ready, reloads and stops, and gets signs of life from the event loop: a loop that hangs
/// sends none. It may also have opened the sockets to listen on. All of this comes in environment variables, which are
/// taken away here, so that no worker speaks for the server.
final class ServiceManager {
    /// What the manager shows to people, and whether the start is over.
    struct Report {
        var isStarted: Bool
        var status: String
    }

    private enum Stage {
        case starting
        case running
        case stopping
    }

    /// The listening sockets that the manager opened.
    let sockets: [InheritedSocket]
    private let variables: ServiceVariables
    private let channel: NotificationChannel?
    private let logger: Logger
    private var stage = Stage.starting
    private var report: (() -> Report)?
    private var lastStatus: String?
    /// Messages that found the manager's queue full, in their order.
    private var unsent: [String] = []
    private var hasWarned = false

    private static let unsentLimit = 16
    private static let longestPulse: UInt64 = 1_000_000_000
    /// What the manager grants beyond what was asked for so far, repeated with each pulse until the start is over.
    private static let startExtension: UInt64 = 30_000_000_000
    /// For what follows the last answer.
    private static let stopExtension: UInt64 = 10_000_000_000

    init(_ variables: ServiceVariables, logger: Logger) throws(SystemError) {
        self.variables = variables
        self.logger = logger
        var sockets: [InheritedSocket] = []
        for socket in variables.sockets { sockets.append(try InheritedSocket(socket.descriptor, name: socket.name)) }
        self.sockets = sockets
        channel = if let address = variables.notifyAddress { try NotificationChannel(address: address) } else { nil }
    }

    static func ofThisProcess(logger: Logger) throws(CommandFailure) -> ServiceManager {
        let variables = try ServiceVariables(Environment.all, processID: getpid())
        for name in ServiceVariables.names { Environment.remove(name) }
        do throws(SystemError) {
            return try ServiceManager(variables, logger: logger)
        } catch {
            throw .failed("socket activation: \(error)")
        }
    }

    /// Numeric addresses of the sockets that it opened, nil if it opened none at all.
    var addresses: [String]? { sockets.isEmpty ? nil : sockets.compactMap { $0.address?.host } }

    /// Begins to send signs of life, and asks for a report before each of them.
    func begin(on loop: EventLoop, report: @escaping () -> Report) {
        guard channel != nil else { return }
        self.report = report
        pulse(loop, every: min(variables.watchdogNanoseconds.map { $0 / 2 } ?? .max, Self.longestPulse))
    }

    private func pulse(_ loop: EventLoop, every nanoseconds: UInt64) {
        update()
        _ = loop.after(nanoseconds: nanoseconds) { [weak self, unowned loop] in
            self?.pulse(loop, every: nanoseconds)
        }
    }

    /// Tells what has changed.
    func update() {
        guard let report = report?(), flush() else { return }
        var lines = variables.watchdogNanoseconds == nil ? [] : ["WATCHDOG=1"]
        if stage == .starting {
            if report.isStarted { stage = .running }
            lines.append(report.isStarted ? "READY=1" : Self.extending(by: Self.startExtension))
        }
        if report.status != lastStatus {
            lastStatus = report.status
            // A line of its own would be another message.
            lines.append("STATUS=" + report.status.map { $0.isNewline ? " " : String($0) }.joined())
        }
        if !lines.isEmpty { send(lines) }
    }

    /// Before the settings are read again.
    func reloadBegins() {
        guard stage == .running else { return }
        send(["RELOADING=1", "MONOTONIC_USEC=\(MonotonicClock.now() / 1000)"])
    }

    /// After that, whether they were taken or not.
    func reloadEnds() {
        guard stage == .running else { return }
        send(["READY=1"])
        update()
    }

    func stopBegins(withinSeconds seconds: Int) {
        stage = .stopping
        send(["STOPPING=1", Self.extending(by: UInt64(seconds) * 1_000_000_000 + Self.stopExtension)])
        update()
    }

    private static func extending(by nanoseconds: UInt64) -> String { "EXTEND_TIMEOUT_USEC=\(nanoseconds / 1000)" }

    private func send(_ lines: [String]) {
        guard channel != nil, unsent.count < Self.unsentLimit else { return }
        unsent.append(lines.joined(separator: "\n"))
        _ = flush()
    }

    /// Sends what waits; false if something still does.
    private func flush() -> Bool {
        while let channel, let message = unsent.first {
            do throws(SystemError) {
                try channel.send(message)
                unsent.removeFirst()
            } catch {
                if error.code == EAGAIN { return false }
                unsent = []
                if !hasWarned { logger.warning("service.notify_failed", .string("error", "\(error)")) }
                hasWarned = true
            }
        }
        return true
    }
}

/// A socket, and where its datagrams go.
private final class NotificationChannel {
    private let address: String
    private let socket: FileDescriptor

    init(address: String) throws(SystemError) {
        self.address = address
        socket = try Socket.datagram()
    }

    func send(_ message: String) throws(SystemError) {
        try Socket.send(socket.rawValue, datagram: Array(message.utf8), to: address)
    }
}

/// A listening socket that this process was started with; it stays open, and the manager's, when the server ends.
struct InheritedSocket {
    let descriptor: Int32
    let name: String
    /// Nil for a Unix socket.
    let address: GatewayServer.Address?

    init(_ number: Int32, name: String) throws(SystemError) {
        descriptor = try Socket.adoptListener(number).release()
        self.name = name
        address = Socket.ownAddress(descriptor).map { GatewayServer.Address(host: $0.text, port: $0.port) }
    }
}

/// The variables of the protocol, as far as they are meant for this process.
struct ServiceVariables: Equatable {
    struct Socket: Equatable {
        var descriptor: Int32
        var name: String
    }

    /// Where to send notifications: a path, or an abstract name after an `@`.
    var notifyAddress: String?
    /// The manager ends the service when it hears nothing for so long.
    var watchdogNanoseconds: UInt64?
    var sockets: [Socket] = []

    static let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
    private static let firstDescriptor = 3
    private static let socketsLimit = 64

    init(_ variables: [String: String], processID: Int32) throws(CommandFailure) {
        notifyAddress = variables["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        if let text = variables["WATCHDOG_USEC"], variables["WATCHDOG_PID"] ?? "\(processID)" == "\(processID)" {
            guard let microseconds = UInt64(text), microseconds > 0, microseconds < .max / 1000 else {
                throw .failed("WATCHDOG_USEC is '\(text.prefix(64))', which is no number of microseconds")
            }
            watchdogNanoseconds = microseconds * 1000
        }
        guard let text = variables["LISTEN_FDS"], variables["LISTEN_PID"] == "\(processID)" else { return }
        guard let count = Int(text), (0...Self.socketsLimit).contains(count) else {
            throw .failed("LISTEN_FDS is '\(text.prefix(64))'; allowed is a number from 0 to \(Self.socketsLimit)")
        }
        let names = (variables["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        sockets = (0..<count).map { index in
            let name = index < names.count && !names[index].isEmpty ? String(names[index]) : "unknown"
            return Socket(descriptor: Int32(Self.firstDescriptor + index), name: name)
        }
    }
}
