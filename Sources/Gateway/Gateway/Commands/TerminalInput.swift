import Glibc
import Platform

/// Lines of standard input, with Ctrl-C seen while it waits.
struct TerminalInput {
    enum Event: Equatable {
        case line(String)
        case interrupted
        case end
    }

    /// A longer line is refused rather than cut.
    static let lineByteLimit = 1 << 20

    /// Readable when SIGINT has come.
    let interrupts: Int32
    private var buffer: [UInt8] = []
    private var atEnd = false

    init(interrupts: Int32) { self.interrupts = interrupts }

    mutating func line(prompt: String, console: Console) throws(CommandFailure) -> Event {
        if !prompt.isEmpty { try? StandardIO.writeAll(StandardIO.error, prompt) }
        while true {
            if let line = takeLine() { return .line(line) }
            if atEnd { return .end }
            guard buffer.count < Self.lineByteLimit else {
                throw .failed("a line is longer than \(Self.lineByteLimit) bytes")
            }
            if waitIsInterrupted() {
                while Signals.next(from: interrupts) != nil {}
                buffer = []
                return .interrupted
            }
            readMore()
        }
    }

    private mutating func takeLine() -> String? {
        guard let end = buffer.firstIndex(of: UInt8(ascii: "\n")) else {
            guard atEnd, !buffer.isEmpty else { return nil }
            defer { buffer = [] }
            return String(decoding: buffer, as: UTF8.self)
        }
        defer { buffer.removeSubrange(...end) }
        return String(decoding: buffer[..<end], as: UTF8.self)
    }

    private func waitIsInterrupted() -> Bool {
        var watched = [
            pollfd(fd: 0, events: Int16(POLLIN), revents: 0), pollfd(fd: interrupts, events: Int16(POLLIN), revents: 0),
        ]
        while poll(&watched, 2, -1) < 0 && errno == EINTR {}
        return watched[1].revents != 0
    }

    private mutating func readMore() {
        var part = [UInt8](repeating: 0, count: 4096)
        let count = part.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
        if count > 0 { buffer += part[..<count] } else { atEnd = true }
    }
}
