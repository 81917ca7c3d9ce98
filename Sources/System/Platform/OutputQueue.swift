/// Bytes that wait for the socket: whole arrays as they were handed in, without copying them into one.
public struct OutputQueue {
    /// A part up to this size is joined with the one before it.
    private static let joinBytes = 16 << 10

    private var parts: [[UInt8]] = []
    private var firstPart = 0
    /// Bytes of the first part that are written already.
    private var offset = 0
    public private(set) var count = 0

    public init() {}

    public var isEmpty: Bool { count == 0 }

    /// Adds bytes, of which the first `skipping` have been written already.
    public mutating func append(_ bytes: [UInt8], skipping: Int = 0) {
        guard skipping < bytes.count else { return }
        let added = bytes.count - skipping
        defer { count += added }
        if isEmpty {
            parts = [bytes]
            (firstPart, offset) = (0, skipping)
        } else if added <= OutputQueue.joinBytes, let last = parts.last, last.count + added <= OutputQueue.joinBytes {
            parts[parts.count - 1].append(contentsOf: bytes[skipping...])
        } else {
            parts.append(skipping == 0 ? bytes : Array(bytes[skipping...]))
        }
    }

    /// Calls `write` with the first two pieces and takes off what it says it wrote.
    public mutating func write<Failure: Error>(
        _ write: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) -> Int {
        guard count > 0 else { return 0 }
        let second = firstPart + 1 < parts.count ? parts[firstPart + 1] : []
        let first = parts[firstPart]
        let written = try first.span.withUnsafeBytes { first throws(Failure) in
            let rest = UnsafeRawBufferPointer(rebasing: first[offset...])
            return try second.span.withUnsafeBytes { second throws(Failure) in try write(rest, second) }
        }
        takeOff(written)
        return written
    }

    private mutating func takeOff(_ written: Int) {
        count -= written
        offset += written
        while firstPart < parts.count, offset >= parts[firstPart].count {
            offset -= parts[firstPart].count
            parts[firstPart] = []
            firstPart += 1
        }
        if count == 0 {
            parts.removeAll(keepingCapacity: true)
            (firstPart, offset) = (0, 0)
        } else if firstPart > 64 {
            parts.removeFirst(firstPart)
            firstPart = 0
        }
    }

    public mutating func removeAll() { self = OutputQueue() }
}
