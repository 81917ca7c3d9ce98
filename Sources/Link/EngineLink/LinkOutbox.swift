/// What waits for the peer to read, in order: a pure queue of bytes with the descriptors that travel beside them.
struct LinkOutbox {
    private struct Chunk {
        var bytes: [UInt8]
        var sent = 0
        /// Travel with the chunk's first byte.
        var descriptors: [LinkDescriptor]
        /// Bytes in memory files among them.
        var externalBytes: Int
    }

    /// Small messages are joined up to this size, so that one write sends many; 0 joins none.
    private let joinedBytes: Int
    private var chunks: [Chunk] = []
    private var first = 0
    private(set) var pendingBytes = 0
    private(set) var pendingExternalBytes = 0

    init(joinedBytes: Int = 64 << 10) { self.joinedBytes = joinedBytes }

    var isEmpty: Bool { first == chunks.count }

    mutating func append(_ bytes: [UInt8], descriptors: [LinkDescriptor] = [], externalBytes: Int = 0) {
        pendingBytes += bytes.count
        pendingExternalBytes += externalBytes
        let last = chunks.count - 1
        if descriptors.isEmpty, last >= first, chunks[last].bytes.count + bytes.count <= joinedBytes {
            chunks[last].bytes += bytes
        } else {
            chunks.append(Chunk(bytes: bytes, descriptors: descriptors, externalBytes: externalBytes))
        }
    }

    /// The bytes to write next, and the descriptors to send with them.
    func withNext<Value>(_ write: (UnsafeRawBufferPointer, [LinkDescriptor]) -> Value) -> Value? {
        guard !isEmpty else { return nil }
        let chunk = chunks[first]
        return chunk.bytes.withUnsafeBytes { bytes in
            write(UnsafeRawBufferPointer(rebasing: bytes[chunk.sent...]), chunk.descriptors)
        }
    }

    /// Notes that bytes of the next chunk, and so its descriptors, were written.
    mutating func advance(by count: Int) {
        pendingBytes -= count
        chunks[first].sent += count
        pendingExternalBytes -= chunks[first].externalBytes
        chunks[first].externalBytes = 0
        chunks[first].descriptors = []
        guard chunks[first].sent == chunks[first].bytes.count else { return }
        chunks[first].bytes = []
        first += 1
        if first == chunks.count || first >= 64 {
            chunks.removeFirst(first)
            first = 0
        }
    }
}
