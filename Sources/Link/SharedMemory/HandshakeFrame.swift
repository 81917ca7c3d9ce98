/// One frame of the handshake: 64 bytes, little-endian, the same in every version of the protocol.
///
/// | offset | type | hello | welcome | ready | refusal |
/// |---|---|---|---|---|---|
/// | 0 | u32 | magic `APSH` | same | same | same |
/// | 4 | u16 | kind 1 | 2 | 3 | 4 |
/// | 8 | u16 | lowest version | version | – | lowest version of the server |
/// | 10 | u16 | highest version | – | – | highest version of the server |
/// | 12 | u32 | features wanted | features agreed | – | reason |
/// | 16 | u32 | capacity of the client's ring | same | – | – |
/// | 20 | u32 | wished capacity of the server's ring | what it has | – | – |
/// | 24 | u32 | bytes of the longest message | the smaller one | – | – |
/// | 28 | u32 | bytes of token that follow | calls at a time | – | bytes of text that follow |
/// | 32 | u64 | – | connection id | connection id | – |
/// | 40 | u64 | – | generation | – | – |
///
/// What is not named is zero. In a hello or a refusal of a side that speaks a version which is not known here, such bytes
/// are ignored.
public enum HandshakeFrame: Equatable, Sendable {
    case hello(Hello)
    case welcome(Welcome)
    case ready(connectionID: UInt64)
    case refusal(RefusalHead)

    public static let size = 64
    static let magic: UInt32 = 0x4853_5041

    /// What a client wants and offers.
    public struct Hello: Equatable, Sendable {
        public var versions: ClosedRange<UInt16>
        public var features: HandshakeFeatures
        /// 0 without shared memory.
        public var clientCapacity: UInt32
        public var serverCapacity: UInt32
        public var messageBytes: UInt32
        public var tokenBytes: UInt32

        public init(
            versions: ClosedRange<UInt16>, features: HandshakeFeatures, clientCapacity: UInt32 = 0,
            serverCapacity: UInt32 = 0, messageBytes: UInt32, tokenBytes: UInt32 = 0
        ) {
            self.versions = versions
            self.features = features
            self.clientCapacity = clientCapacity
            self.serverCapacity = serverCapacity
            self.messageBytes = messageBytes
            self.tokenBytes = tokenBytes
        }
    }

    public struct Welcome: Equatable, Sendable {
        public var version: UInt16
        public var features: HandshakeFeatures
        public var clientCapacity: UInt32
        public var serverCapacity: UInt32
        public var messageBytes: UInt32
        public var calls: UInt32
        public var connectionID: UInt64
        public var generation: UInt64

        public init(
            version: UInt16, features: HandshakeFeatures, clientCapacity: UInt32 = 0, serverCapacity: UInt32 = 0,
            messageBytes: UInt32, calls: UInt32, connectionID: UInt64, generation: UInt64
        ) {
            self.version = version
            self.features = features
            self.clientCapacity = clientCapacity
            self.serverCapacity = serverCapacity
            self.messageBytes = messageBytes
            self.calls = calls
            self.connectionID = connectionID
            self.generation = generation
        }
    }

    /// A refusal without its text.
    public struct RefusalHead: Equatable, Sendable {
        public var versions: ClosedRange<UInt16>
        public var reason: RefusalReason
        public var textBytes: UInt32

        public init(versions: ClosedRange<UInt16>, reason: RefusalReason, textBytes: UInt32) {
            self.versions = versions
            self.reason = reason
            self.textBytes = textBytes
        }
    }
}

/// What a connection can have, one bit each.
public struct HandshakeFeatures: OptionSet, Sendable, Equatable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Messages travel in rings; without it, in the socket of the handshake.
    public static let sharedMemory = HandshakeFeatures(rawValue: 1)
    /// Checksums of messages cover their payloads.
    public static let payloadChecksums = HandshakeFeatures(rawValue: 2)

    static let known: HandshakeFeatures = [.sharedMemory, .payloadChecksums]
}

/// Why a server does not take a client.
public enum RefusalReason: UInt32, Sendable, Equatable, CaseIterable {
    case malformedFrame = 1
    /// The ranges of versions do not meet.
    case version = 2
    case tokenMissing = 3
    case tokenWrong = 4
    /// The client runs as another user.
    case user = 5
    case tooManyConnections = 6
    case badSegment = 7
    /// The handshake took too long.
    case tooSlow = 8
    case shuttingDown = 9
    /// The server cannot, at the moment: it lacks memory or descriptors.
    case resources = 10
    /// A reason of a newer server.
    case other = 0xFFFF_FFFF

    /// In one word, for metrics.
    public var name: String {
        switch self {
        case .malformedFrame: "malformed_frame"
        case .version: "version"
        case .tokenMissing: "token_missing"
        case .tokenWrong: "token_wrong"
        case .user: "user"
        case .tooManyConnections: "too_many_connections"
        case .badSegment: "bad_segment"
        case .tooSlow: "too_slow"
        case .shuttingDown: "shutting_down"
        case .resources: "resources"
        case .other: "other"
        }
    }
}

/// What is wrong with a frame.
public enum FrameFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The first bytes are of another protocol.
    case notAFrame
    case unexpectedKind(UInt16)
    case field(String, UInt64)

    public var description: String {
        switch self {
        case .notAFrame: "these bytes are no handshake of Apus"
        case .unexpectedKind(let kind): "a frame of kind \(kind) where another one belongs"
        case .field(let name, let value): "the field \(name) is \(value)"
        }
    }
}

// MARK: - Codec

private enum Place {
    static let magic = 0
    static let kind = 4
    static let lowVersion = 8
    static let highVersion = 10
    static let features = 12
    static let clientCapacity = 16
    static let serverCapacity = 20
    static let messageBytes = 24
    static let count = 28
    static let connectionID = 32
    static let generation = 40
    static let end = 48
}

extension HandshakeFrame {
    /// The versions whose frames this build knows to the last byte; what is spoken is `Options.versions`.
    public static let versions: ClosedRange<UInt16> = 1...2

    private var kind: UInt16 {
        switch self {
        case .hello: 1
        case .welcome: 2
        case .ready: 3
        case .refusal: 4
        }
    }

    public func encoded() -> [UInt8] {
        var frame = FrameBytes()
        frame.put(Self.magic, at: Place.magic)
        frame.put(kind, at: Place.kind)
        switch self {
        case .hello(let hello):
            frame.put(hello.versions.lowerBound, at: Place.lowVersion)
            frame.put(hello.versions.upperBound, at: Place.highVersion)
            frame.put(hello.features.rawValue, at: Place.features)
            frame.put(hello.clientCapacity, at: Place.clientCapacity)
            frame.put(hello.serverCapacity, at: Place.serverCapacity)
            frame.put(hello.messageBytes, at: Place.messageBytes)
            frame.put(hello.tokenBytes, at: Place.count)
        case .welcome(let welcome):
            frame.put(welcome.version, at: Place.lowVersion)
            frame.put(welcome.features.rawValue, at: Place.features)
            frame.put(welcome.clientCapacity, at: Place.clientCapacity)
            frame.put(welcome.serverCapacity, at: Place.serverCapacity)
            frame.put(welcome.messageBytes, at: Place.messageBytes)
            frame.put(welcome.calls, at: Place.count)
            frame.put(welcome.connectionID, at: Place.connectionID)
            frame.put(welcome.generation, at: Place.generation)
        case .ready(let connectionID):
            frame.put(connectionID, at: Place.connectionID)
        case .refusal(let refusal):
            frame.put(refusal.versions.lowerBound, at: Place.lowVersion)
            frame.put(refusal.versions.upperBound, at: Place.highVersion)
            frame.put(refusal.reason.rawValue, at: Place.features)
            frame.put(refusal.textBytes, at: Place.count)
        }
        return frame.bytes
    }

    /// Reads a frame of exactly 64 bytes.
    public init(decoding bytes: [UInt8]) throws(FrameFault) {
        guard bytes.count == Self.size else { throw .notAFrame }
        let frame = FrameBytes(bytes: bytes)
        guard frame.get(UInt32.self, at: Place.magic) == Self.magic else { throw .notAFrame }
        switch frame.get(UInt16.self, at: Place.kind) {
        case 1: self = .hello(try Self.hello(frame))
        case 2: self = .welcome(try Self.welcome(frame))
        case 3:
            try frame.requireZeros(from: 6, to: Place.connectionID)
            try frame.requireZeros(from: Place.generation, to: Self.size)
            self = .ready(connectionID: frame.get(UInt64.self, at: Place.connectionID))
        case 4: self = .refusal(try Self.refusal(frame))
        case let kind: throw .unexpectedKind(kind)
        }
    }

    private static func versions(_ frame: FrameBytes) throws(FrameFault) -> ClosedRange<UInt16> {
        let low = frame.get(UInt16.self, at: Place.lowVersion)
        let high = frame.get(UInt16.self, at: Place.highVersion)
        guard low >= 1 else { throw .field("lowest version", UInt64(low)) }
        guard low <= high else { throw .field("highest version", UInt64(high)) }
        return low...high
    }

    private static func hello(_ frame: FrameBytes) throws(FrameFault) -> Hello {
        let hello = Hello(
            versions: try versions(frame), features: HandshakeFeatures(rawValue: frame.get(at: Place.features)),
            clientCapacity: frame.get(at: Place.clientCapacity), serverCapacity: frame.get(at: Place.serverCapacity),
            messageBytes: frame.get(at: Place.messageBytes), tokenBytes: frame.get(at: Place.count))
        guard hello.tokenBytes <= SharedMemoryLimits.tokenBytes else {
            throw .field("token length", UInt64(hello.tokenBytes))
        }
        guard hello.messageBytes >= SharedMemoryLimits.smallestBody else {
            throw .field("longest message", UInt64(hello.messageBytes))
        }
        try checkCapacities(hello.clientCapacity, hello.serverCapacity, hello.features)
        if hello.versions.upperBound <= Self.versions.upperBound {
            try frame.requireZeros(from: 6, to: Place.lowVersion)
            try frame.requireZeros(from: Place.connectionID, to: Self.size)
            let unknown = hello.features.subtracting(.known)
            guard unknown.isEmpty else { throw .field("features", UInt64(hello.features.rawValue)) }
        }
        return hello
    }

    private static func welcome(_ frame: FrameBytes) throws(FrameFault) -> Welcome {
        let welcome = Welcome(
            version: frame.get(at: Place.lowVersion),
            features: HandshakeFeatures(rawValue: frame.get(at: Place.features)),
            clientCapacity: frame.get(at: Place.clientCapacity), serverCapacity: frame.get(at: Place.serverCapacity),
            messageBytes: frame.get(at: Place.messageBytes), calls: frame.get(at: Place.count),
            connectionID: frame.get(at: Place.connectionID), generation: frame.get(at: Place.generation))
        guard Self.versions.contains(welcome.version) else { throw .field("version", UInt64(welcome.version)) }
        guard welcome.features.isSubset(of: .known) else {
            throw .field("features", UInt64(welcome.features.rawValue))
        }
        try checkCapacities(welcome.clientCapacity, welcome.serverCapacity, welcome.features)
        guard welcome.messageBytes >= SharedMemoryLimits.smallestBody else {
            throw .field("longest message", UInt64(welcome.messageBytes))
        }
        guard welcome.calls >= 1 else { throw .field("calls", 0) }
        try frame.requireZeros(from: 6, to: Place.lowVersion)
        try frame.requireZeros(from: Place.highVersion, to: Place.features)
        try frame.requireZeros(from: Place.end, to: Self.size)
        return welcome
    }

    /// With shared memory both rings have a size, without it none has.
    private static func checkCapacities(
        _ client: UInt32, _ server: UInt32, _ features: HandshakeFeatures
    ) throws(FrameFault) {
        for (name, value) in [("client's capacity", client), ("server's capacity", server)] {
            let isGood = features.contains(.sharedMemory) ? SharedMemoryLimits.isCapacity(Int(value)) : value == 0
            guard isGood else { throw .field(name, UInt64(value)) }
        }
    }

    private static func refusal(_ frame: FrameBytes) throws(FrameFault) -> RefusalHead {
        let refusal = RefusalHead(
            versions: try versions(frame), reason: RefusalReason(rawValue: frame.get(at: Place.features)) ?? .other,
            textBytes: frame.get(at: Place.count))
        guard refusal.textBytes <= SharedMemoryLimits.refusalTextBytes else {
            throw .field("text length", UInt64(refusal.textBytes))
        }
        if refusal.versions.upperBound <= Self.versions.upperBound {
            try frame.requireZeros(from: 6, to: Place.lowVersion)
            try frame.requireZeros(from: Place.clientCapacity, to: Place.count)
            try frame.requireZeros(from: Place.connectionID, to: Self.size)
        }
        return refusal
    }
}

/// The bytes of one frame.
private struct FrameBytes {
    private(set) var bytes = [UInt8](repeating: 0, count: HandshakeFrame.size)

    mutating func put<Number: FixedWidthInteger>(_ number: Number, at place: Int) {
        for index in 0..<MemoryLayout<Number>.size {
            bytes[place + index] = UInt8(truncatingIfNeeded: number >> Number(8 * index))
        }
    }

    func get<Number: FixedWidthInteger>(_ type: Number.Type = Number.self, at place: Int) -> Number {
        var number: Number = 0
        for index in 0..<MemoryLayout<Number>.size { number |= Number(bytes[place + index]) << Number(8 * index) }
        return number
    }

    func requireZeros(from start: Int, to end: Int) throws(FrameFault) {
        for place in start..<end where bytes[place] != 0 {
            throw .field("reserved byte \(place)", UInt64(bytes[place]))
        }
    }
}
