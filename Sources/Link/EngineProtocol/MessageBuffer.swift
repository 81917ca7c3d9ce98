import Glibc

/// Memory that messages are written into, which is kept and used again.
///
/// Threading: on any thread, but on one at a time.
public final class MessageBuffer: @unchecked Sendable {
    /// What a buffer begins with: enough for the text of a step.
    private static let smallestCapacity = 256

    // One thread at a time uses it, and each access ends at once: looking for overlaps would cost more than the access.
    @exclusivity(unchecked) private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    @exclusivity(unchecked) public private(set) var count = 0

    public init() {}

    deinit { memory.deallocate() }

    /// Bytes that it can hold without growing.
    public var capacity: Int { memory.count }

    /// What was written; valid until the next change.
    public var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    /// Forgets what is behind the first `count` bytes.
    public func truncate(to count: Int = 0) {
        precondition(count >= 0 && count <= self.count, "a buffer is cut where it has not come to")
        self.count = count
    }

    /// Gives memory back that only a long message needed.
    public func shrink(to capacity: Int) {
        guard memory.count > capacity, count == 0 else { return }
        memory.deallocate()
        memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// The bytes, to be changed in place; valid until the next change of the count.
    @inline(__always)
    public var mutableBytes: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: memory[..<count]) }

    /// Appends so many bytes, all zero.
    @inline(__always)
    func appendZeros(_ number: Int) {
        guard number > 0 else { return }
        reserve(number)
        if let start = memory.baseAddress { memset(start + count, 0, number) }
        count += number
    }

    @inline(__always)
    public func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        reserve(bytes.count)
        memory.baseAddress?.advanced(by: count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    @inline(__always)
    private func reserve(_ number: Int) {
        if number > memory.count - count { grow(by: number) }
    }

    @inline(never)
    private func grow(by number: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(Self.smallestCapacity, memory.count * 2, count + number), alignment: 16)
        larger.copyMemory(from: bytes)
        memory.deallocate()
        memory = larger
    }
}
