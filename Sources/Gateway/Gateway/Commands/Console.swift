import Glibc
import Platform

/// Where a verb writes: results to standard output, everything else to standard error.
struct Console: Sendable {
    var resultsAreTerminal: Bool { StandardIO.isTerminal(1) }
    var messagesAreTerminal: Bool { StandardIO.isTerminal(2) }

    /// One line of the result.
    func result(_ line: String) { write(line + "\n") }

    /// A part of the result, as it comes.
    func write(_ text: String) { write(bytes: Array(text.utf8)) }

    /// A result that cannot be written (a full disk, say) must not look like a success.
    func write(bytes: [UInt8]) {
        do {
            try StandardIO.writeAll(StandardIO.output, bytes)
        } catch {
            message("apus: \(error)")
            exit(1)
        }
    }

    /// Words on standard output for whoever looks at it: a server goes on if nobody does.
    func notice(_ text: String) { try? StandardIO.writeAll(StandardIO.output, text + "\n") }

    /// One line for a person, on standard error; there is nowhere to tell that it could not be written.
    func message(_ line: String) { try? StandardIO.writeAll(StandardIO.error, line + "\n") }

    /// Replaces the progress line on a terminal; says nothing elsewhere.
    func progress(_ text: String) {
        guard messagesAreTerminal else { return }
        try? StandardIO.writeAll(StandardIO.error, "\r\u{1B}[K\(text)")
    }
}

/// How a verb ends when it does not succeed.
enum CommandFailure: Error, Sendable, Equatable {
    /// The words of the command are wrong: exit status 2.
    case usage(String)
    /// It was tried and failed: exit status 1.
    case failed(String)
    /// Ctrl-C.
    case interrupted

    var text: String {
        switch self {
        case .usage(let reason), .failed(let reason): reason
        case .interrupted: "interrupted"
        }
    }

    var status: Int32 {
        switch self {
        case .usage: 2
        case .failed: 1
        case .interrupted: 130
        }
    }
}

extension String {
    /// A decimal with a fixed number of places, without Foundation.
    init(rounded value: Double, places: Int) {
        guard value.isFinite, abs(value) < 1e15 else {
            self = "\(value)"
            return
        }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = Int64((abs(value) * scale).rounded())
        let whole = scaled / Int64(scale)
        let sign = value < 0 && scaled != 0 ? "-" : ""
        guard places > 0 else {
            self = "\(sign)\(whole)"
            return
        }
        let digits = String(scaled % Int64(scale))
        self = "\(sign)\(whole).\(String(repeating: "0", count: places - digits.count))\(digits)"
    }
}
