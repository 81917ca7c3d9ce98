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

    /// A memory file of zero bytes that may still be sealed.
    public static func sealableMemory(name: String, byteCount: Int) throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try checked(apus_sealable_file(name, byteCount), "memory file of \(byteCount) bytes"))
    }

    /// What nobody can do any more with a memory file; `EINVAL` for any other.
    public borrowing func seals() throws(SystemError) -> Seals {
        Seals(rawValue: try checked(apus_seals(rawValue), "seals of descriptor \(rawValue)"))
    }

    public borrowing func add(_ seals: Seals) throws(SystemError) {
        _ = try checked(apus_seal(rawValue, seals.rawValue), "seal descriptor \(rawValue)")
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

/// What can be forbidden to everybody for as long as a memory file lives.
public struct Seals: OptionSet, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let seals = Seals(rawValue: Int32(apus_seal_seals))
    public static let shrink = Seals(rawValue: Int32(apus_seal_shrink))
    public static let grow = Seals(rawValue: Int32(apus_seal_grow))
    public static let write = Seals(rawValue: Int32(apus_seal_write))
    /// Mappings for writing that exist stay; no new way to write.
    public static let futureWrite = Seals(rawValue: Int32(apus_seal_future_write))
}

/// A C string ends at its first zero byte, so such a path would name another file than its text says.
func refuseZeroByte(in path: String, _ operation: String) throws(SystemError) {
    if path.utf8.contains(0) { throw SystemError(operation: "\(operation): a path with a zero byte", code: 22) }
}
