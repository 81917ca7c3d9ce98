public import CPlatform
import Glibc

/// Pages of a memory file that another process has mapped too; every access is checked against their bounds.
///
/// Offsets count bytes from the start. Words are read and written as a whole, in no order with others unless it is said.
/// Whoever shares with a process that it does not trust reads each word once and checks what it has read.
///
/// The accessors are inlined into their callers: `acquire` and `release` are one instruction each.
@frozen
public struct SharedPages: ~Copyable, @unchecked Sendable {
    public let byteCount: Int
    @usableFromInline let base: UnsafeMutableRawPointer

    public init(descriptor: Int32, byteCount: Int, writable: Bool) throws(SystemError) {
        var words: UnsafeMutablePointer<UInt64>?
        let result = apus_map_shared(descriptor, byteCount, writable, &words)
        guard result >= 0, let words else {
            throw SystemError(operation: "map \(byteCount) shared bytes", code: -result)
        }
        self.byteCount = byteCount
        base = UnsafeMutableRawPointer(words)
        // A child that is only going to start another program need not have them.
        madvise(base, byteCount, MADV_DONTFORK)
    }

    deinit { munmap(base, byteCount) }

    @inlinable @inline(__always)
    func word(_ offset: Int) -> UnsafeMutablePointer<UInt64> {
        precondition(offset >= 0 && offset & 7 == 0 && offset <= byteCount &- 8, "a word outside the shared pages")
        return (base + offset).assumingMemoryBound(to: UInt64.self)
    }

    @inlinable @inline(__always)
    func half(_ offset: Int) -> UnsafeMutablePointer<UInt32> {
        precondition(offset >= 0 && offset & 3 == 0 && offset <= byteCount &- 4, "a word outside the shared pages")
        return (base + offset).assumingMemoryBound(to: UInt32.self)
    }

    @inlinable @inline(__always)
    func start(_ offset: Int, _ count: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && count >= 0 && offset <= byteCount &- count, "bytes outside the shared pages")
        return base + offset
    }

    @inlinable @inline(__always)
    public func load(_ offset: Int) -> UInt64 { apus_word_load(word(offset)) }

    @inlinable @inline(__always)
    public func store(_ offset: Int, _ value: UInt64) { apus_word_store(word(offset), value) }

    /// Reads a word, and with it everything that its writer had written before it released the word.
    @inlinable @inline(__always)
    public func acquire(_ offset: Int) -> UInt64 { apus_word_acquire(word(offset)) }

    /// Writes a word after everything that was read and written before.
    @inlinable @inline(__always)
    public func release(_ offset: Int, _ value: UInt64) { apus_word_release(word(offset), value) }

    @inlinable @inline(__always)
    public func loadHalf(_ offset: Int) -> UInt32 { apus_half_load(half(offset)) }

    @inlinable @inline(__always)
    public func storeHalf(_ offset: Int, _ value: UInt32) { apus_half_store(half(offset), value) }

    /// Copies bytes into the pages.
    @inlinable @inline(__always)
    public func put(_ offset: Int, _ bytes: UnsafeRawBufferPointer) {
        UnsafeMutableRawBufferPointer(start: start(offset, bytes.count), count: bytes.count).copyMemory(from: bytes)
    }

    /// Copies bytes out of the pages.
    @inlinable @inline(__always)
    public func copy(_ offset: Int, to bytes: UnsafeMutableRawBufferPointer) {
        bytes.copyMemory(from: UnsafeRawBufferPointer(start: start(offset, bytes.count), count: bytes.count))
    }

    /// Pages that the system holds in memory for the file.
    public var residentPages: Int {
        let page = Int(getpagesize())
        var states = [UInt8](repeating: 0, count: (byteCount + page - 1) / page)
        guard mincore(base, byteCount, &states) == 0 else { return states.count }
        return states.count { $0 & 1 == 1 }
    }
}

/// What a thread tells the processor.
public enum Processor {
    /// All stores before this are seen by other threads and processes before any load after it is done.
    @inlinable @inline(__always)
    public static func fence() { apus_fence() }

    /// This is a loop that waits.
    @inlinable @inline(__always)
    public static func pause() { apus_pause() }
}
