import CPlatform
import Glibc

/// An open descriptor with one owner, closed when the owner goes away.
public struct FileDescriptor: ~Copyable, Sendable {
    public let rawValue: Int32

    /// Takes over a descriptor that nobody else will close.
    public init(owning rawValue: Int32) { self.rawValue = rawValue }

    deinit { _ = apus_close(rawValue) }

    /// Gives the ownership away: the caller closes it.
    public consuming func release() -> Int32 {
        let rawValue = rawValue
        discard self
        return rawValue
    }

    /// A second descriptor for the same open file, numbered 3 or above.
    public borrowing func duplicate() throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try checked(apus_duplicate(rawValue), "duplicate descriptor \(rawValue)"))
    }

    /// Opens a regular file for reading and refuses directories, devices and pipes; it never waits.
    public static func openForReading(path: String) throws(SystemError) -> FileDescriptor {
        try refuseZeroByte(in: path, "open")
        let opened = apus_open_regular(path)
        // The kernel has no number for it; the text tells what `EINVAL` would leave to guess.
        let operation = opened == -EINVAL ? "open \(path), which is not a regular file" : "open \(path)"
        return FileDescriptor(owning: try checked(opened, operation))
    }

    /// A file that lives in memory only and holds `bytes`; a sealed one can never change again.
    public static func memory(
        name: String, bytes: UnsafeRawBufferPointer, sealed: Bool
    ) throws(SystemError) -> FileDescriptor {
        let made = apus_memory_file(name, bytes.baseAddress, bytes.count, sealed)
        return FileDescriptor(owning: try checked(made, "memory file of \(bytes.count) bytes"))
    }

    /// Where the open file is now, free of links; nil if the kernel does not say.
    ///
    /// Of a file that has been removed it is no path: the kernel appends words to it.
    public borrowing func path() -> String? { linkTarget("/proc/self/fd/\(rawValue)") }

    /// The size in bytes of a regular or memory file; `EINVAL` for anything else.
    public borrowing func fileSize() throws(SystemError) -> UInt64 {
        UInt64(try checked(apus_file_size(rawValue), "size of descriptor \(rawValue)"))
    }
}

/// A C string ends at its first zero byte, so such a path would name another file than its text says.
func refuseZeroByte(in path: String, _ operation: String) throws(SystemError) {
    if path.utf8.contains(0) { throw SystemError(operation: "\(operation): a path with a zero byte", code: 22) }
}
