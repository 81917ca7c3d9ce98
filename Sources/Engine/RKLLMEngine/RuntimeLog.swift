import Glibc
import Observability
public import Platform
import Synchronization

/// What the runtime prints: passed on line by line, and the last lines kept for errors.
///
/// It prints to standard output and standard error of the process, so both are caught.
public final class RuntimeLog: Sendable {
    private let limits: RKLLMLimits
    private let input: Int32
    private let original: Int32
    private let state: Mutex<State>

    private struct State: Sendable {
        var line: [UInt8] = []
        var last: LineRing
    }

    /// Catches what this process prints from now on.
    public init(limits: RKLLMLimits = RKLLMLimits()) throws(SystemError) {
        var ends: [Int32] = [0, 0]
        let original = fcntl(StandardIO.error, F_DUPFD_CLOEXEC, 3)
        guard original >= 0, pipe(&ends) == 0 else {
            throw SystemError(operation: "catch what the runtime prints", code: errno)
        }
        _ = fcntl(ends[0], F_SETFD, FD_CLOEXEC)
        // Only this end: what prints has to wait where nobody reads.
        _ = fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK)
        dup2(ends[1], StandardIO.output)
        dup2(ends[1], StandardIO.error)
        close(ends[1])
        self.limits = limits
        input = ends[0]
        self.original = original
        state = Mutex(State(last: LineRing(capacity: limits.logLines, lineBytes: limits.logLineBytes)))
        _ = try Thread.start(name: "rkllm-log") { [self] in
            while poll(input) { drain() }
        }
    }

    private func poll(_ descriptor: Int32) -> Bool {
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return Glibc.poll(&watched, 1, -1) >= 0 || errno == EINTR
    }

    /// Passes on what has been printed.
    public func flush() {
        fflush(nil)
        drain()
    }

    /// The lines that were printed last, after a colon; empty if there were none.
    public func lastWords() -> String {
        flush()
        let lines = state.withLock { $0.last.lines }
        return lines.isEmpty ? "" : ": " + lines.joined(separator: "; ")
    }

    private func drain() {
        state.withLock { state in
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                let count = read(input, &buffer, buffer.count)
                guard count > 0 else { return }
                try? StandardIO.writeAll(original, Array(buffer[..<count]))
                for byte in buffer[..<count] { take(byte, into: &state) }
            }
        }
    }

    private func take(_ byte: UInt8, into state: inout State) {
        guard byte == UInt8(ascii: "\n") else {
            if state.line.count < limits.logLineBytes { state.line.append(byte) }
            return
        }
        // This process prints its own lines as JSON objects.
        if !state.line.isEmpty, state.line.first != UInt8(ascii: "{") { state.last.append(state.line) }
        state.line.removeAll(keepingCapacity: true)
    }
}
