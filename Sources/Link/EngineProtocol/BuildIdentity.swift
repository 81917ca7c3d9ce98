/// Which build a process is.
///
/// Gateway and worker are built together and refuse each other otherwise.
public enum BuildIdentity {
    public static let version = "0.1.0"
    /// Raised with each change of a message's layout.
    static let layoutRevision: UInt32 = 9

    /// A hash of the version and the protocol's layout (FNV-1a, 64 bits).
    public static let current = identity(version: version, layoutRevision: layoutRevision)

    static func identity(version: String, layoutRevision: UInt32) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        version.utf8.forEach(add)
        add(0)
        withUnsafeBytes(of: layoutRevision.littleEndian) { $0.forEach(add) }
        for type in MessageType.allCases { withUnsafeBytes(of: type.rawValue.littleEndian) { $0.forEach(add) } }
        return hash
    }
}

/// The first message of both sides.
public struct Hello: Sendable, Equatable {
    public enum Role: UInt8, Sendable {
        case gateway = 0
        case worker = 1
    }

    public var role: Role
    public var buildID: UInt64

    public init(role: Role, buildID: UInt64 = BuildIdentity.current) {
        self.role = role
        self.buildID = buildID
    }
}
