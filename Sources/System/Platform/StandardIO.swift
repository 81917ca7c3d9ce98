import CPlatform
import Glibc

/// Input and output of the command line: these calls wait until they are done.
public enum StandardIO {
    public static let input: Int32 = 0
    public static let output: Int32 = 1
    public static let error: Int32 = 2

    /// Writes everything.
    public static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            let written = apus_write(descriptor, start, rest.count)
            if written == Int64(-EAGAIN) {
                _ = try checked(apus_wait_ready(descriptor, true), "write")
                continue
            }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(Int(try checked(written, "write"))))
        }
    }

    public static func writeAll(_ descriptor: Int32, _ bytes: [UInt8]) throws(SystemError) {
        try bytes.span.withUnsafeBytes { buffer throws(SystemError) in try writeAll(descriptor, buffer) }
    }

    public static func writeAll(_ descriptor: Int32, _ text: String) throws(SystemError) {
        try writeAll(descriptor, Array(text.utf8))
    }

    /// Writes as much as the descriptor takes without waiting longer than `patienceMilliseconds` each time.
    ///
    /// - Returns: how many bytes were written.
    public static func write(
        _ descriptor: Int32, _ bytes: [UInt8], patienceMilliseconds: Int32
    ) throws(SystemError) -> Int {
        try bytes.span.withUnsafeBytes { bytes throws(SystemError) in
            var written = 0
            while let start = bytes.baseAddress, written < bytes.count {
                let ready = apus_wait_writable(descriptor, patienceMilliseconds)
                if try checked(ready, "write") == 0 { break }
                // A pipe that can be written to takes at least so much at once, also one that waits when it is full.
                let part = min(bytes.count - written, pieceBytes)
                written += Int(try checked(apus_write(descriptor, start + written, part), "write"))
            }
            return written
        }
    }

    private static let pieceBytes = 4096

    /// Whether something can be written at once.
    public static func isWritable(_ descriptor: Int32) -> Bool { apus_wait_writable(descriptor, 0) > 0 }

    /// Reads to the end; `EFBIG` when there are more than `limit` bytes.
    public static func readAll(_ descriptor: Int32, limit: Int) throws(SystemError) -> [UInt8] {
        try Platform.readAll(descriptor, limit: limit, "read")
    }

    /// Reads what is there, or waits for it; zero at the end.
    public static func read(
        _ descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> Int {
        while true {
            let count = apus_read(descriptor, bytes.baseAddress, bytes.count)
            if count != Int64(-EAGAIN) { return Int(try checked(count, "read")) }
            _ = try checked(apus_wait_ready(descriptor, false), "read")
        }
    }

    public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Columns of the terminal, nil when it does not say or there is none.
    public static func terminalWidth(_ descriptor: Int32 = output) -> Int? {
        let columns = Int(apus_terminal_columns(descriptor))
        return columns > 0 ? columns : nil
    }
}
