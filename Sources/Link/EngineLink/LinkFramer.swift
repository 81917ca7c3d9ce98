import EngineProtocol

/// Cuts a byte stream into messages: bytes in, messages out, in bounded memory.
struct LinkFramer {
    enum Frame {
        case message(Message)
        /// The payload is in the next descriptor: `MessageHeader.size` bytes of header, and the payload's length.
        case external(header: [UInt8], payloadLength: Int)
    }

    private var buffer: [UInt8] = []
    /// The bytes that are there and not yet consumed.
    private var filled: Range<Int> = 0..<0
    private let limits: LinkLimits

    init(limits: LinkLimits) { self.limits = limits }

    /// Whether the stream stands between two messages.
    var isEmpty: Bool { filled.isEmpty }

    /// Lets `receive` write new bytes behind those that are there, and say how many it wrote.
    mutating func fill<Value>(_ receive: (UnsafeMutableRawBufferPointer) -> (count: Int, Value)) -> Value {
        makeRoom()
        let start = filled.upperBound
        let (count, value) = buffer.withUnsafeMutableBytes { bytes in
            receive(UnsafeMutableRawBufferPointer(rebasing: bytes[start...]))
        }
        precondition(count >= 0 && count <= buffer.count - start, "more bytes received than there was room for")
        filled = filled.lowerBound..<start + count
        return value
    }

    /// The next message; nil when more bytes are needed.
    mutating func next() throws(LinkViolation) -> Frame? {
        guard filled.count >= MessageHeader.size else { return nil }
        let outcome = buffer.withUnsafeBytes { bytes in
            Result { () throws(LinkViolation) in
                let message = UnsafeRawBufferPointer(rebasing: bytes[filled])
                return try Self.frame(of: Self.header(of: message), in: message, limits: limits)
            }
        }
        guard let (frame, size) = try outcome.get() else { return nil }
        filled = filled.lowerBound + size..<filled.upperBound
        if filled.isEmpty { rest() }
        return frame
    }

    static func header(of bytes: UnsafeRawBufferPointer) throws(LinkViolation) -> MessageHeader {
        do throws(CodecError) { return try MessageHeader(decoding: bytes) } catch { throw .codec(error) }
    }

    /// The message that the bytes begin with, and its length; nil when more bytes are needed.
    ///
    /// - Parameter header: what the bytes begin with.
    static func frame(
        of header: MessageHeader, in bytes: UnsafeRawBufferPointer, limits: LinkLimits
    ) throws(LinkViolation) -> (Frame, Int)? {
        let head = UnsafeRawBufferPointer(rebasing: bytes[..<MessageHeader.size])
        let length = Int(header.payloadLength)
        if header.flags.contains(.externalPayload) {
            return (.external(header: [UInt8](head), payloadLength: length), MessageHeader.size)
        }
        guard length <= limits.inlinePayloadBytes else {
            throw .inlinePayloadTooLong(limit: limits.inlinePayloadBytes, value: length)
        }
        let size = MessageHeader.size + length
        guard bytes.count >= size else { return nil }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[MessageHeader.size..<size])
        do throws(CodecError) {
            return (.message(try MessageCodec.decode(header, of: head, payload: payload)), size)
        } catch {
            throw .codec(error)
        }
    }

    /// Between two messages: what a long one needed is given back.
    private mutating func rest() {
        filled = 0..<0
        if buffer.count > limits.readBytes { buffer = [] }
    }

    /// Moves what is there to the front when the rest is short, and grows the buffer up to one longest message.
    private mutating func makeRoom() {
        if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: limits.readBytes) }
        let needed = max(limits.readBytes / 4, 1)
        if buffer.count - filled.upperBound >= needed { return }
        let count = filled.count
        let source = filled.lowerBound
        buffer.withUnsafeMutableBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            start.copyMemory(from: start + source, byteCount: count)
        }
        filled = 0..<count
        if buffer.count - count < needed {
            buffer.append(contentsOf: repeatElement(0, count: buffer.count))
        }
    }
}
