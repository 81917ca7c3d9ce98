/// Identifies one call on the link, and is never reused.
///
/// The upper 16 bits are the generation of the worker that the call was sent to, so that a late message of a dead
/// worker cannot reach a call of its successor. Zero is the link itself (load results, statistics).
public struct CallID: Hashable, Sendable {
    public let rawValue: UInt64

    /// The link itself: messages that belong to no call.
    public static let link = CallID(rawValue: 0)

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// - Parameter sequence: counts calls from 1; its upper 16 bits are ignored.
    public init(generation: UInt16, sequence: UInt64) {
        rawValue = UInt64(generation) << 48 | sequence & 0xFFFF_FFFF_FFFF
    }

    public var generation: UInt16 { UInt16(rawValue >> 48) }
}
