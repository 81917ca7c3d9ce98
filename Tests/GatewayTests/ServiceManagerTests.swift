import Foundation
import Glibc
import TestSupport
import Testing

@testable import Gateway

/// The server under a service manager that the test plays.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ServiceManagerTests {
    /// The socket that notifications go to.
    private final class Manager {
        let address: String
        private let descriptor: Int32
        private(set) var messages: [String] = []

        init(isAbstract: Bool) throws {
            let name = "apus-notify-\(UUID().uuidString)"
            let folder = FileManager.default.temporaryDirectory
            let path = isAbstract ? "@" + name : folder.appendingPathComponent(name).path
            address = path
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            var bytes = Array(path.utf8)
            if isAbstract { bytes[0] = 0 }
            var socketName = sockaddr_un()
            socketName.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &socketName.sun_path) { $0.copyBytes(from: bytes) }
            let size = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1))
            let bound = withUnsafePointer(to: &socketName) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
            }
            try #require(bound == 0, "bind: errno \(errno)")
            _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
        }

        deinit {
            close(descriptor)
            if !address.hasPrefix("@") { unlink(address) }
        }

        private func receive() {
            var buffer = [UInt8](repeating: 0, count: 4096)
            while case let count = recv(descriptor, &buffer, buffer.count, 0), count > 0 {
                messages.append(String(decoding: buffer[..<count], as: UTF8.self))
            }
        }

        /// Every line of every message so far.
        var lines: [String] {
            receive()
            return messages.flatMap { $0.split(separator: "\n").map(String.init) }
        }

        func eventually(_ condition: ([String]) -> Bool) -> Bool { ServerProcess.eventually { condition(lines) } }
    }

    @Test(arguments: [true, false])
    func theManagerLearnsOfTheStartAndOfTheStop(isAbstract: Bool) throws {
        let manager = try Manager(isAbstract: isAbstract)
        let server = try ServerProcess(environment: ["NOTIFY_SOCKET": manager.address])
        #expect(manager.eventually { $0.contains("READY=1") })
        #expect(manager.lines.contains("STATUS=apus-demo ready"))
        #expect(manager.messages.first?.hasPrefix("EXTEND_TIMEOUT_USEC=") == true, "\(manager.messages)")
        #expect(!manager.lines.contains("WATCHDOG=1"), "nobody asked for it")
        server.signal(SIGTERM)
        #expect(manager.eventually { $0.contains("STOPPING=1") })
        #expect(manager.lines.contains("EXTEND_TIMEOUT_USEC=40000000"), "the drain's 30 s and 10 s more")
        #expect(ServerProcess.eventually { !server.isRunning })
    }

    @Test func theEventLoopFeedsTheWatchdog() throws {
        let manager = try Manager(isAbstract: true)
        let server = try ServerProcess(environment: ["NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "100000"])
        #expect(manager.eventually { lines in lines.count { $0 == "WATCHDOG=1" } > 3 })
        server.signal(SIGTERM)
        #expect(ServerProcess.eventually { !server.isRunning })
    }

    @Test func aReloadIsBracketed() throws {
        let manager = try Manager(isAbstract: true)
        let server = try ServerProcess(environment: ["NOTIFY_SOCKET": manager.address])
        #expect(manager.eventually { $0.contains("READY=1") })
        let before = DispatchTime.now().uptimeNanoseconds / 1000
        server.signal(SIGHUP)
        #expect(manager.eventually { lines in lines.count { $0 == "READY=1" } == 2 })
        let lines = manager.lines
        let start = try #require(lines.firstIndex(of: "RELOADING=1"))
        let time = try #require(lines[start + 1].split(separator: "=").last.flatMap { UInt64($0) })
        #expect(lines[start + 1].hasPrefix("MONOTONIC_USEC=") && time >= before)
        #expect(try #require(lines.lastIndex(of: "READY=1")) > start)
    }

    @Test func aWorkerDoesNotSpeakForTheServer() throws {
        let manager = try Manager(isAbstract: true)
        let server = try ServerProcess(environment: ["NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"])
        let worker = try #require(server.workerProcessIDs.first)
        let variables = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(worker)/environ"))
        let text = String(decoding: variables, as: UTF8.self)
        for name in ServiceVariables.names { #expect(!text.contains(name + "=")) }
    }

    @Test func aManagerThatIsNotThereIsToldOnceAndHarmsNobody() throws {
        let server = try ServerProcess(environment: ["NOTIFY_SOCKET": "/nowhere/notify", "WATCHDOG_USEC": "100000"])
        #expect(ServerProcess.eventually { server.logSoFar.contains("service.notify_failed") })
        #expect(try HTTPExchange.get(port: server.port, "/readyz").status == 200)
    }

    // MARK: Socket activation

    @Test func aSocketThatTheManagerOpenedIsTheDoor() throws {
        let (listener, port) = try Self.listen()
        let server = try ServerProcess(socket: listener)
        #expect(server.port == port)
        #expect(try HTTPExchange.get(port: port, "/readyz").status == 200)
        #expect(server.logSoFar.contains(#""event":"server.inherited_socket","name":"web","descriptor":3"#))
        server.stop()
        // The manager still has it: a client waits for the next server instead of being refused.
        let early = try HTTPExchange(port: port, bytes: HTTPExchange.request("GET", "/livez", port: port))
        let next = try ServerProcess(socket: listener)
        try early.readAll()
        #expect(early.status == 200)
        #expect(next.port == port)
    }

    @Test func aDescriptorThatDoesNotListenIsRefused() throws {
        let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" serve --port 0 3</dev/null"
        let output = try Programs.run("/bin/sh", ["-c", script, Programs.path("apus")])
        #expect(output.status == 1)
        #expect(output.standardError.contains("descriptor 3 as a listening stream socket"), "\(output.standardError)")
    }

    @Test func anOpenAddressNeedsKeysWhoeverOpenedIt() throws {
        let (listener, _) = try Self.listen(address: 0)
        let error = #expect(throws: ServerProcess.DidNotStart.self) { _ = try ServerProcess(socket: listener) }
        let log = error?.description ?? ""
        #expect(log.contains("0.0.0.0 is reachable from other machines"), "\(log)")
    }

    private static func listen(address: UInt32 = 0x7F00_0001) throws -> (FileHandle, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var name = sockaddr_in()
        name.sin_family = sa_family_t(AF_INET)
        name.sin_addr.s_addr = address.bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) | Glibc.listen(descriptor, 16) | getsockname(descriptor, $0, &size)
            }
        }
        try #require(result == 0, "errno \(errno)")
        return (FileHandle(fileDescriptor: descriptor, closeOnDealloc: true), UInt16(bigEndian: name.sin_port))
    }

    // MARK: Variables

    @Test func variablesForAnotherProcessAreNotForUs() throws {
        let found = try ServiceVariables(
            ["WATCHDOG_USEC": "5", "WATCHDOG_PID": "7", "LISTEN_FDS": "2", "LISTEN_PID": "7", "NOTIFY_SOCKET": ""],
            processID: 8)
        #expect(found == (try ServiceVariables([:], processID: 8)))
    }

    @Test func socketsHaveNames() throws {
        let found = try ServiceVariables(
            ["LISTEN_FDS": "3", "LISTEN_PID": "8", "LISTEN_FDNAMES": "web::", "WATCHDOG_USEC": "2000"], processID: 8)
        #expect(found.sockets.map(\.descriptor) == [3, 4, 5])
        #expect(found.sockets.map(\.name) == ["web", "unknown", "unknown"])
        #expect(found.watchdogNanoseconds == 2_000_000)
    }

    @Test(arguments: [
        ["LISTEN_FDS": "-1", "LISTEN_PID": "8"], ["LISTEN_FDS": "65", "LISTEN_PID": "8"],
        ["LISTEN_FDS": "x", "LISTEN_PID": "8"], ["WATCHDOG_USEC": "0"], ["WATCHDOG_USEC": "soon"],
    ])
    func variablesThatCannotBeRightAreNamed(variables: [String: String]) {
        let name = variables["WATCHDOG_USEC"] == nil ? "LISTEN_FDS" : "WATCHDOG_USEC"
        let error = #expect(throws: CommandFailure.self) { _ = try ServiceVariables(variables, processID: 8) }
        #expect(error?.text.hasPrefix(name) == true)
    }
}
