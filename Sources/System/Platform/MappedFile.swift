import CPlatform
import Glibc

/// A file's bytes, mapped read-only and shared with the page cache; unmapped when the last owner goes away.
///
/// The descriptor may be closed right after the mapping is made. Somebody who cuts the file short while it is mapped
/// makes a later access to the missing part end the process (SIGBUS): that is why only workers map models.
public final class MappedFile: Sendable {
    private let address: UInt
    private let byteCount: Int

    /// Maps the whole of a regular or memory file.
    public init(descriptor: Int32) throws(SystemError) {
        let size = try checked(apus_file_size(descriptor), "size of descriptor \(descriptor)")
        guard let byteCount = Int(exactly: size) else {
            throw SystemError(operation: "map \(size) bytes", code: EFBIG)
        }
        var start: UnsafeRawPointer?
        if byteCount > 0 {
            _ = try checked(apus_map_private(descriptor, byteCount, &start), "map \(byteCount) bytes")
        }
        self.address = UInt(bitPattern: start)
        self.byteCount = byteCount
    }

    deinit {
        if byteCount > 0 { munmap(UnsafeMutableRawPointer(bitPattern: address), byteCount) }
    }

    /// Calls `body` with the bytes and keeps the mapping until it returns.
    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        defer { withExtendedLifetime(self) {} }
        return try body(bytes)
    }

    /// Drops the whole pages of some of the bytes from this process; they are read again when they are used again.
    public func discard(_ part: UnsafeRawBufferPointer) {
        guard let start = part.baseAddress, part.count > 0 else { return }
        let page = UInt(getpagesize())
        let first = (UInt(bitPattern: start) + page - 1) / page * page
        let end = (UInt(bitPattern: start) + UInt(part.count)) / page * page
        guard first < end, first >= address, end - address <= UInt(byteCount) else { return }
        madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED)
    }

    /// The bytes, valid only as long as somebody holds this object.
    ///
    /// The pointer does not hold it: an owner of both keeps the object in a property, anyone else uses `withBytes`.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: UnsafeRawPointer(bitPattern: address), count: byteCount)
    }
}
