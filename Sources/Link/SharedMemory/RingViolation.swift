public import Platform

/// What a peer did that no correct build of this program does, or an operation of this side that cannot be done.
///
/// Each of them ends the connection: nothing of the ring can be trusted afterwards.
public enum RingViolation: Error, Equatable, Sendable, CustomStringConvertible {
    /// A cursor moved backwards.
    case cursorBackwards(RingCursor, from: UInt64, value: UInt64)
    /// A tail that is more than a ring ahead, or a head ahead of what was published.
    case cursorBeyond(RingCursor, limit: UInt64, value: UInt64)
    /// A cursor that is not at the boundary of a record.
    case cursorUnaligned(RingCursor, value: UInt64)
    case bodyLength(least: Int, most: Int, value: Int)
    case sequence(expected: UInt32, value: UInt32)
    /// A record that is longer than what was published.
    case recordBeyondTail(bytes: Int, published: Int)
    /// A record that would continue at the start of the ring.
    case recordAcrossEnd(position: Int, bytes: Int)
    /// Padding where there is nothing to skip.
    case needlessPadding
    /// Padding that no record follows, or that was not published whole.
    case paddingWithoutRecord
    /// A byte in the control socket that is neither a wake-up nor announces a file.
    case controlByte(UInt8)
    /// A descriptor without its announcement, or the reverse.
    case controlDescriptors(announced: Int, value: Int)
    case tooManyFiles(limit: Int)
    /// A record names a file that did not come before it.
    case missingFile
    /// A payload file that its sender could still change.
    case unsealedFile
    /// The peer leaves so much unread in the control socket that a file does not fit.
    case controlSocketFull
    case system(SystemError)

    public var description: String {
        switch self {
        case .cursorBackwards(let cursor, let from, let value):
            "the peer's \(cursor) went back from \(from) to \(value)"
        case .cursorBeyond(let cursor, let limit, let value):
            "the peer's \(cursor) is \(value), the limit is \(limit)"
        case .cursorUnaligned(let cursor, let value): "the peer's \(cursor) is \(value), which is no record's boundary"
        case .bodyLength(let least, let most, let value): "a record's body of \(value) bytes, not \(least) to \(most)"
        case .sequence(let expected, let value): "record number \(value), not \(expected)"
        case .recordBeyondTail(let bytes, let published): "a record of \(bytes) bytes where \(published) are published"
        case .recordAcrossEnd(let position, let bytes):
            "a record of \(bytes) bytes at \(position), which crosses the end of the ring"
        case .needlessPadding: "padding at the start of the ring"
        case .paddingWithoutRecord: "padding that no record follows"
        case .controlByte(let byte): "a control byte of \(byte)"
        case .controlDescriptors(let announced, let value): "\(value) descriptors where \(announced) are announced"
        case .tooManyFiles(let limit): "more than \(limit) payload files wait for their records"
        case .missingFile: "a record names a payload file that did not come"
        case .unsealedFile: "a payload file is not sealed"
        case .controlSocketFull: "the peer does not read its control socket"
        case .system(let error): error.description
        }
    }
}

public enum RingCursor: String, Sendable, CustomStringConvertible {
    case head
    case tail

    public var description: String { rawValue }
}
