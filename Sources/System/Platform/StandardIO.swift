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
