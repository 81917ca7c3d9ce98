import CPlatform
import Glibc

/// Signals as things to read from a descriptor, not as interruptions.
public enum Signals {
    /// Blocks signals in the calling thread and in those that it starts later: call it before any thread exists.
    public static func block(_ numbers: [Int32]) {
        _ = apus_signals_block(numbers, Int32(clamping: numbers.count))
    }

    /// Lets signals through again that whoever started this process had blocked.
    public static func unblock(_ numbers: [Int32]) {
        _ = apus_signals_unblock(numbers, Int32(clamping: numbers.count))
    }

    /// A descriptor that is readable when one of the (blocked) signals has come.
    public static func descriptor(for numbers: [Int32]) throws(SystemError) -> FileDescriptor {
        let made = apus_signals_descriptor(numbers, Int32(clamping: numbers.count))
        return FileDescriptor(owning: try checked(made, "read signals"))
    }

    /// The next signal's number, nil when none is waiting.
    public static func next(from descriptor: Int32) -> Int32? {
        let number = apus_signals_next(descriptor)
        return number > 0 ? number : nil
    }

    /// Makes writing to a closed pipe an error (`EPIPE`) instead of the end of the process.
    public static func ignoreBrokenPipe() { _ = apus_signal_ignore(SIGPIPE) }
}
