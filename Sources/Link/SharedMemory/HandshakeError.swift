public import Platform

/// A server's refusal, as a client gets it.
public struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
    public let reason: RefusalReason
    /// The versions that the server speaks.
    public let versions: ClosedRange<UInt16>
    /// The server's own words; they may be empty.
    public let text: String

    public init(_ reason: RefusalReason, text: String = "", versions: ClosedRange<UInt16> = HandshakeFrame.versions) {
        self.reason = reason
        self.versions = versions
        self.text = text
    }

    public var description: String {
        let words =
            switch reason {
            case .malformedFrame: "the server did not understand the handshake"
            case .version: "the server speaks versions \(versions.lowerBound) to \(versions.upperBound)"
            case .tokenMissing: "the server wants a token"
            case .tokenWrong: "the token is not valid"
            case .user: "the server takes connections of its own user only"
            case .tooManyConnections: "the server has as many connections as it takes"
            case .badSegment: "the server did not accept the shared memory"
            case .tooSlow: "the handshake took too long"
            case .shuttingDown: "the server is shutting down"
            case .resources: "the server lacks memory or descriptors"
            case .other: "the server refused the connection"
            }
        return text.isEmpty ? words : "\(words): \(text)"
    }

    /// The frame and the text behind it, which is cut at the end of a character.
    func encoded() -> [UInt8] {
        var cut = text
        while cut.utf8.count > SharedMemoryLimits.refusalTextBytes { cut.removeLast() }
        let head = HandshakeFrame.RefusalHead(
            versions: versions, reason: reason, textBytes: UInt32(cut.utf8.count))
        return HandshakeFrame.refusal(head).encoded() + Array(cut.utf8)
    }
}

/// Why a handshake did not end with a connection.
public enum HandshakeError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The other side refused: only a client gets this.
    case refused(Refusal)
    /// The other side was refused: only a server gets this.
    case refusedPeer(Refusal)
    /// The other side closed the connection in the middle of the handshake.
    case closed
    case timedOut(milliseconds: Int32)
    case frame(FrameFault)
    case segment(SegmentFault)
    /// A server welcomed this side to something that it did not ask for.
    case notAsAsked(field: String)
    case system(SystemError)

    public var description: String {
        switch self {
        case .refused(let refusal): refusal.description
        case .refusedPeer(let refusal): "refused: \(refusal.text)"
        case .closed: "the other side closed the connection during the handshake"
        case .timedOut(let milliseconds): "no agreement within \(milliseconds) ms"
        case .frame(let fault): "the handshake is broken: \(fault)"
        case .segment(let fault): fault.description
        case .notAsAsked(let field): "the server's answer has another \(field) than was asked for"
        case .system(let error): error.description
        }
    }
}

extension Refusal {
    /// Whether the server may take the same client a moment later.
    public var isTemporary: Bool {
        switch reason {
        case .tooManyConnections, .tooSlow, .shuttingDown, .resources: true
        case .malformedFrame, .version, .tokenMissing, .tokenWrong, .user, .badSegment, .other: false
        }
    }
}
