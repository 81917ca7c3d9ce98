/// Cuts a stream of bytes into lines, one message each.
///
/// What a line is does not depend on how the bytes arrive. Lines of white space do not count, so a client may end its
/// lines with CR LF, or send empty ones to see whether the connection lives.
public struct LineFramer {
    public enum Line: Equatable {
        case message([UInt8])
        /// More than the limit without an end: nothing after it can be understood.
        case tooLong
    }

    private let limit: Int
    private var buffer: [UInt8] = []
    /// Where the next line begins.
    private var start = 0
    /// Up to here there is no end of that line.
    private var scanned = 0
    private var isBroken = false

    public init(limit: Int) { self.limit = limit }

    /// Bytes of messages that have not been taken.
    var heldBytes: Int { buffer.count - start }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if isBroken { return }
        buffer.append(contentsOf: bytes)
    }

    /// The next whole line; nil when more bytes are needed.
    public mutating func next() -> Line? {
        while !isBroken {
            guard let end = endOfLine() else {
                compact()
                return heldBytes > limit ? fail() : nil
            }
            let line = buffer[start..<end]
            start = end + 1
            scanned = start
            if line.count > limit { return fail() }
            if !line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { return .message(Array(line)) }
        }
        return nil
    }

    private mutating func endOfLine() -> Int? {
        let found = buffer.withUnsafeBufferPointer { bytes in bytes[scanned...].firstIndex(of: 0x0A) }
        if found == nil { scanned = buffer.count }
        return found
    }

    private mutating func compact() {
        guard start > 0 else { return }
        buffer.removeFirst(start)
        scanned -= start
        start = 0
    }

    private mutating func fail() -> Line {
        isBroken = true
        (buffer, start, scanned) = ([], 0, 0)
        return .tooLong
    }
}
