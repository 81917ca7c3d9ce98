import Glibc

/// Memory could not be had; `bytes` were asked for.
public struct MemoryError: Error, Sendable, Equatable, CustomStringConvertible {
    public let bytes: Int

    public init(bytes: Int) { self.bytes = bytes }

    public var description: String { "\(bytes) bytes of memory could not be reserved" }
}

/// Zeroed memory that takes space only where it is touched.
///
/// It suits large areas of which a part may never be used, such as a KV cache. It is aligned to pages and given back
/// with the object.
public final class ReservedMemory: @unchecked Sendable {
    public let byteCount: Int
    private let base: UnsafeMutableRawPointer

    /// - Parameter hugePages: asks for pages of 2 MiB, for memory that is used from end to end.
    public init(byteCount: Int, hugePages: Bool = false) throws(MemoryError) {
        let size = max(byteCount, 1)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard byteCount >= 0, let base = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0), base != MAP_FAILED
        else {
            throw MemoryError(bytes: byteCount)
        }
        if hugePages { madvise(base, size, MADV_HUGEPAGE) }
        self.base = base
        self.byteCount = byteCount
    }

    deinit { munmap(base, max(byteCount, 1)) }

    /// Takes the first bytes of the memory from the system now, so that no later touch of them can find none left.
    ///
    /// To be called before anything is stored. Within a control group that has too little, the kernel ends this process
    /// here.
    public func commit(byteCount count: Int) throws(MemoryError) {
        precondition(count >= 0 && count <= byteCount, "commits \(count) of \(byteCount) bytes")
        /// `MADV_POPULATE_WRITE`, since Linux 5.14.
        let populateForWriting: Int32 = 23
        guard count > 0, madvise(base, count, populateForWriting) != 0 else { return }
        guard errno == EINVAL else { throw MemoryError(bytes: count) }
        for offset in stride(from: 0, to: count, by: Int(getpagesize())) {
            base.storeBytes(of: 0, toByteOffset: offset, as: UInt8.self)
        }
    }

    /// A view of `count` bytes that begin `offset` bytes into the memory.
    public func bytes(offset: Int, count: Int) -> UnsafeMutableRawBufferPointer {
        precondition(offset >= 0 && count >= 0 && count <= byteCount - offset, "a view of \(count) bytes at \(offset)")
        return UnsafeMutableRawBufferPointer(start: base + offset, count: count)
    }

    /// A view of `count` F32 values that begin `offset` bytes into the memory.
    public func floats(offset: Int, count: Int) -> UnsafeMutableBufferPointer<Float> {
        let (bytes, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
        precondition(!overflow && count >= 0 && offset >= 0 && offset % 4 == 0, "a view of \(count) at \(offset)")
        precondition(bytes <= byteCount - offset, "a view of \(count) at \(offset) leaves the \(byteCount) bytes")
        let start = (base + offset).bindMemory(to: Float.self, capacity: count)
        return UnsafeMutableBufferPointer(start: start, count: count)
    }

    /// Gives the whole pages of a range back to the system; they read as zeros afterwards.
    public func discard(offset: Int, byteCount count: Int) {
        precondition(offset >= 0 && count >= 0 && count <= byteCount - offset, "discards \(count) bytes at \(offset)")
        let page = Int(getpagesize())
        let start = (offset + page - 1) / page * page
        let end = (offset + count) / page * page
        if start < end { madvise(base + start, end - start, MADV_DONTNEED) }
    }
}
