import CPlatform
import Glibc
public import Platform

/// The shared pages of one segment: every access is checked against their bounds.
struct SegmentPages: @unchecked Sendable {
    let byteCount: Int
    let base: UnsafeMutableRawPointer

    init(descriptor: Int32, byteCount: Int, writable: Bool) throws(SystemError) {
        var words: UnsafeMutablePointer<UInt64>?
        let result = apus_map_shared(descriptor, byteCount, writable, &words)
        guard result >= 0, let words else {
            throw SystemError(operation: "map a segment of \(byteCount) bytes", code: -result)
        }
        self.byteCount = byteCount
        base = UnsafeMutableRawPointer(words)
        // A child that is only going to start another program need not have them.
        madvise(base, byteCount, MADV_DONTFORK)
    }

    func unmap() { munmap(base, byteCount) }

    @inline(__always)
    func word(_ offset: Int) -> UnsafeMutablePointer<UInt64> {
        precondition(offset >= 0 && offset & 7 == 0 && offset <= byteCount - 8, "a word outside the segment")
        return (base + offset).assumingMemoryBound(to: UInt64.self)
    }

    @inline(__always)
    func half(_ offset: Int) -> UnsafeMutablePointer<UInt32> {
        precondition(offset >= 0 && offset & 3 == 0 && offset <= byteCount - 4, "a word outside the segment")
        return (base + offset).assumingMemoryBound(to: UInt32.self)
    }

    @inline(__always)
    func bytes(_ offset: Int, _ count: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && count >= 0 && offset <= byteCount - count, "bytes outside the segment")
        return base + offset
    }
}

/// Which side made a segment.
enum SegmentRole: UInt32 {
    case server = 1
    case client = 2
}

/// The segment that this side has made and alone can write.
final class OwnSegment: Sendable {
    let capacity: Int
    private let pages: SegmentPages

    /// Makes a segment and the descriptor with which the other side maps it.
    ///
    /// The seals leave this mapping as the only one that writes: the other side can neither write the memory, nor cut it
    /// short or punch holes into it.
    static func make(
        role: SegmentRole, capacity: Int, connectionID: UInt64 = 0, generation: UInt64 = 0
    ) throws(SystemError) -> (OwnSegment, Int32) {
        precondition(SharedMemoryLimits.isCapacity(capacity), "a ring of \(capacity) bytes")
        let byteCount = SegmentLayout.headerBytes + capacity
        let file = try FileDescriptor.sealableMemory(name: "apus-ring", byteCount: byteCount)
        let pages = try SegmentPages(descriptor: file.rawValue, byteCount: byteCount, writable: true)
        let segment = OwnSegment(pages: pages, capacity: capacity)
        pages.half(SegmentLayout.magicOffset).pointee = SegmentLayout.magic
        pages.half(SegmentLayout.versionOffset).pointee =
            UInt32(SegmentLayout.version) | UInt32(SegmentLayout.headerBytes) << 16
        pages.half(SegmentLayout.capacityOffset).pointee = UInt32(capacity)
        pages.half(SegmentLayout.roleOffset).pointee = role.rawValue
        pages.word(SegmentLayout.connectionIDOffset).pointee = connectionID
        pages.word(SegmentLayout.generationOffset).pointee = generation
        pages.half(SegmentLayout.processIDOffset).pointee = UInt32(getpid())
        try file.add([.futureWrite, .shrink, .grow, .seals])
        return (segment, file.release())
    }

    private init(pages: SegmentPages, capacity: Int) {
        self.pages = pages
        self.capacity = capacity
    }

    deinit { pages.unmap() }

    /// Makes everything that was written before visible to whoever acquires the word.
    @inline(__always)
    func release(_ offset: Int, _ value: UInt64) { apus_word_release(pages.word(offset), value) }

    @inline(__always)
    func store(_ offset: Int, _ value: UInt64) { apus_word_store(pages.word(offset), value) }

    @inline(__always)
    func load(_ offset: Int) -> UInt64 { apus_word_load(pages.word(offset)) }

    @inline(__always)
    func storeHalf(_ offset: Int, _ value: UInt32) { apus_half_store(pages.half(offset), value) }

    /// Writes a record's prefix into the ring, as one word.
    @inline(__always)
    func putPrefix(at position: Int, length: UInt32, sequence: UInt32) {
        let prefix = UInt64(length) | UInt64(sequence) << 32
        apus_word_store(pages.word(SegmentLayout.headerBytes &+ position), prefix)
    }

    /// Copies bytes into the ring.
    @inline(__always)
    func put(at position: Int, _ bytes: UnsafeRawBufferPointer) {
        let target = pages.bytes(SegmentLayout.headerBytes &+ position, bytes.count)
        UnsafeMutableRawBufferPointer(start: target, count: bytes.count).copyMemory(from: bytes)
    }

    /// Pages that the system holds for this segment.
    var residentPages: Int {
        var states = [UInt8](repeating: 0, count: (pages.byteCount + 4095) / 4096)
        mincore(pages.base, pages.byteCount, &states)
        return states.count { $0 & 1 == 1 }
    }
}

/// The other side's segment, mapped for reading: whatever is in it may change at any time, in any way.
final class PeerSegment: Sendable {
    let capacity: Int
    private let pages: SegmentPages

    /// Maps a segment after everything has been checked that makes it safe to touch.
    init(
        descriptor: borrowing FileDescriptor, role: SegmentRole, capacity: Int,
        connectionID: UInt64 = 0, generation: UInt64 = 0
    ) throws(SegmentFault) {
        guard SharedMemoryLimits.isCapacity(capacity) else { throw .capacity(capacity) }
        let byteCount = SegmentLayout.headerBytes + capacity
        // Seals first: only a memory file has them, and behind them the size cannot change any more.
        guard let seals = try? descriptor.seals() else { throw .notMemory }
        guard seals.isSuperset(of: [.shrink, .grow, .seals]) else { throw .unsealed(seals.rawValue) }
        guard let size = try? descriptor.fileSize() else { throw .notMemory }
        guard size == UInt64(byteCount) else { throw .size(expected: byteCount, value: size) }
        do throws(SystemError) {
            pages = try SegmentPages(descriptor: descriptor.rawValue, byteCount: byteCount, writable: false)
        } catch {
            throw .system(error)
        }
        self.capacity = capacity
        try check(role: role, connectionID: connectionID, generation: generation)
    }

    deinit { pages.unmap() }

    private func check(role: SegmentRole, connectionID: UInt64, generation: UInt64) throws(SegmentFault) {
        let words: [(field: String, offset: Int, expected: UInt32)] = [
            ("magic", SegmentLayout.magicOffset, SegmentLayout.magic),
            (
                "version and header size", SegmentLayout.versionOffset,
                UInt32(SegmentLayout.version) | UInt32(SegmentLayout.headerBytes) << 16
            ),
            ("capacity", SegmentLayout.capacityOffset, UInt32(capacity)),
            ("role", SegmentLayout.roleOffset, role.rawValue),
        ]
        for word in words {
            let value = apus_half_load(pages.half(word.offset))
            guard value == word.expected else {
                throw .field(word.field, expected: UInt64(word.expected), value: UInt64(value))
            }
        }
        for (field, offset, expected) in [
            ("connection id", SegmentLayout.connectionIDOffset, connectionID),
            ("generation", SegmentLayout.generationOffset, generation),
        ] {
            let value = apus_word_load(pages.word(offset))
            guard value == expected else { throw .field(field, expected: expected, value: value) }
        }
    }

    /// Reads a word, and with it everything that its writer had written before.
    @inline(__always)
    func acquire(_ offset: Int) -> UInt64 { apus_word_acquire(pages.word(offset)) }

    @inline(__always)
    func loadHalf(_ offset: Int) -> UInt32 { apus_half_load(pages.half(offset)) }

    /// Reads a record's prefix once.
    @inline(__always)
    func prefix(at position: Int) -> (length: UInt32, sequence: UInt32) {
        let prefix = apus_word_load(pages.word(SegmentLayout.headerBytes &+ position))
        return (UInt32(truncatingIfNeeded: prefix), UInt32(truncatingIfNeeded: prefix >> 32))
    }

    /// Copies bytes out of the ring.
    @inline(__always)
    func copy(at position: Int, to bytes: UnsafeMutableRawBufferPointer) {
        let source = pages.bytes(SegmentLayout.headerBytes &+ position, bytes.count)
        bytes.copyMemory(from: UnsafeRawBufferPointer(start: source, count: bytes.count))
    }
}

/// Why a descriptor is not accepted as the other side's segment.
public enum SegmentFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The ring's size is no power of two, or out of the limits.
    case capacity(Int)
    /// The descriptor is not a memory file.
    case notMemory
    /// It could still be cut short or sealed.
    case unsealed(Int32)
    case size(expected: Int, value: UInt64)
    case field(String, expected: UInt64, value: UInt64)
    /// One descriptor belongs to a hello or a welcome with shared memory, none to any other frame.
    case descriptors(expected: Int, value: Int)
    /// More descriptors were sent than any frame has, or this process has none left.
    case descriptorsCutOff
    case system(SystemError)

    public var description: String {
        switch self {
        case .capacity(let value):
            "a ring of \(value) bytes: it must be a power of two from \(SharedMemoryLimits.smallestCapacity) to "
                + "\(SharedMemoryLimits.largestCapacity)"
        case .notMemory: "the segment's descriptor is not a memory file"
        case .unsealed(let seals): "the segment is not sealed against a change of its size (seals \(seals))"
        case .size(let expected, let value): "the segment has \(value) bytes, not \(expected)"
        case .field(let name, let expected, let value): "the segment's \(name) is \(value), not \(expected)"
        case .descriptors(let expected, let value): "\(value) descriptors came, not \(expected)"
        case .descriptorsCutOff: "more descriptors came than there is room for"
        case .system(let error): error.description
        }
    }
}
