/// The kinds of message on a link, with their numbers on the wire.
public enum MessageType: UInt16, Sendable, CaseIterable {
    /// The first message of both sides.
    case hello = 0x0010
    /// In a ring: a descriptor of the message that follows.
    case attachment = 0x0011
    // A local client to the server, or the reverse: the message id comes back in the answer.
    case ping = 0x0005
    case pong = 0x0006
    // Gateway to worker: the message id is the call.
    case load = 0x0300
    case inspect = 0x0301
    case generate = 0x0302
    case score = 0x0303
    case tokenize = 0x0304
    case detokenize = 0x0305
    case renderTemplate = 0x0306
    case cancel = 0x0307
    case credit = 0x0308
    case embed = 0x0309
    case pause = 0x030A
    case openSession = 0x030B
    case changeSession = 0x030C
    case closeSession = 0x030D
    case loadAdapter = 0x030E
    case unloadAdapter = 0x030F
    // Worker to gateway: the message id is zero, each event names its call.
    case events = 0x0340
    // A local client to the server, and its answer: the message id is the call.
    case window = 0x0130
    case localCall = 0x0360
    case listModels = 0x0361
    case models = 0x0362
}

public struct MessageFlags: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The checksum covers the payload too, not only the header.
    public static let payloadChecksum = MessageFlags(rawValue: 0x02)
    /// The payload is a sealed memory file, the first descriptor of the message, and not in the stream.
    public static let externalPayload = MessageFlags(rawValue: 0x08)
    static let known: MessageFlags = [.payloadChecksum, .externalPayload]
}

/// The 24 bytes before each payload, little-endian.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic, the bytes `SIPC` |
/// | 4 | 1 | version, 2 |
/// | 5 | 1 | flags |
/// | 6 | 2 | message type |
/// | 8 | 4 | payload length in bytes |
/// | 12 | 8 | message id |
/// | 20 | 4 | CRC-32C of the header with this field zero, then of the payload if the flag says so |
public struct MessageHeader: Sendable, Equatable {
    public static let size = 24
    static let magic: UInt32 = 0x4350_4953
    static let version: UInt8 = 2

    public var type: MessageType
    public var flags: MessageFlags
    public var payloadLength: UInt32
    public var messageID: UInt64
    var checksum: UInt32

    /// Reads and checks a header.
    ///
    /// - Parameter bytes: at least `size` bytes.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(CodecError) {
        guard bytes.count >= Self.size else { throw .truncated(field: "header") }
        guard bytes.littleEndian(UInt32.self, at: 0) == Self.magic else { throw .notAMessage }
        guard bytes[4] == Self.version else { throw .unsupportedVersion(bytes[4]) }
        checksum = bytes.littleEndian(UInt32.self, at: 20)
        flags = MessageFlags(rawValue: bytes[5])
        guard flags.isSubset(of: .known) else { throw .unknownFlags(bytes[5]) }
        // With the payload covered, the checksum can only be verified once that is here.
        if !flags.contains(.payloadChecksum) {
            guard Self.checksum(ofHeader: bytes).value == checksum else { throw .headerChecksumMismatch }
        }
        let typeNumber = bytes.littleEndian(UInt16.self, at: 6)
        guard let type = MessageType(rawValue: typeNumber) else { throw .unknownMessageType(typeNumber) }
        self.type = type
        payloadLength = bytes.littleEndian(UInt32.self, at: 8)
        guard payloadLength <= EngineProtocolLimits.payloadBytes else {
            throw .limitExceeded(
                field: "payload", limit: EngineProtocolLimits.payloadBytes, value: Int(payloadLength))
        }
        messageID = bytes.littleEndian(UInt64.self, at: 12)
    }

    /// Checks the payload against the header.
    ///
    /// - Parameter bytes: begin with the header.
    func verify(header bytes: UnsafeRawBufferPointer, payload: UnsafeRawBufferPointer) throws(CodecError) {
        guard payload.count == Int(payloadLength) else { throw .truncated(field: "payload") }
        guard flags.contains(.payloadChecksum) else { return }
        var sum = Self.checksum(ofHeader: bytes)
        sum.update(payload)
        guard sum.value == checksum else { throw .payloadChecksumMismatch }
    }

    /// Writes a header over the first `size` bytes of `bytes`; the payload follows it there.
    static func write(
        type: MessageType, flags: MessageFlags, messageID: UInt64, payload: UnsafeRawBufferPointer,
        over bytes: UnsafeMutableRawBufferPointer
    ) {
        bytes.storeLittleEndian(magic, at: 0)
        bytes[4] = version
        bytes[5] = flags.rawValue
        bytes.storeLittleEndian(type.rawValue, at: 6)
        bytes.storeLittleEndian(UInt32(payload.count), at: 8)
        bytes.storeLittleEndian(messageID, at: 12)
        var sum = checksum(ofHeader: UnsafeRawBufferPointer(bytes))
        if flags.contains(.payloadChecksum) { sum.update(payload) }
        bytes.storeLittleEndian(sum.value, at: 20)
    }

    private static func checksum(ofHeader bytes: UnsafeRawBufferPointer) -> Checksum {
        // As three words, the last one's upper half zero: over so few bytes the calls cost more than the sum.
        let words = (
            bytes.littleEndian(UInt64.self, at: 0).littleEndian, bytes.littleEndian(UInt64.self, at: 8).littleEndian,
            UInt64(bytes.littleEndian(UInt32.self, at: 16)).littleEndian
        )
        var sum = Checksum()
        withUnsafeBytes(of: words) { sum.update($0) }
        return sum
    }
}

extension UnsafeRawBufferPointer {
    /// Loads with a bounds check that stays in release builds.
    func littleEndian<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T {
        precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "load outside the buffer")
        return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
    }
}

extension UnsafeMutableRawBufferPointer {
    /// Stores with a bounds check that stays in release builds.
    func storeLittleEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        precondition(offset >= 0 && offset <= count - MemoryLayout<T>.size, "store outside the buffer")
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }
}
