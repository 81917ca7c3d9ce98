public import EngineProtocol

/// The events of one call that its door has not taken yet.
///
/// It is bounded: when a slow client lets it fill, further text of a choice is joined to the last chunk of that choice, and
/// the time since it is full is known, so that the call can be ended. Nothing is ever dropped in the middle.
public struct Outbox: Sendable {
    public static let byteLimit = 256 << 10
    /// How long a client may leave it full.
    public static let fullNanosecondsLimit: UInt64 = 30_000_000_000

    private var events: [EngineEvent] = []
    private var head = 0
    private var bytes = 0
    /// Monotonic time since when it is full; nil while it is not.
    public private(set) var fullSince: UInt64?

    public init() {}

    public var isEmpty: Bool { head == events.count }

    public mutating func append(_ event: EngineEvent, now: UInt64) {
        let size = event.size
        bytes += size
        if bytes > Self.byteLimit {
            fullSince = fullSince ?? now
            if join(event) { return }
        }
        events.append(event)
    }

    public mutating func next() -> EngineEvent? {
        guard head < events.count else { return nil }
        let event = events[head]
        head += 1
        bytes -= event.size
        if bytes <= Self.byteLimit { fullSince = nil }
        if head == events.count {
            events.removeAll(keepingCapacity: true)
            head = 0
        } else if head > 64, head * 2 > events.count {
            events.removeFirst(head)
            head = 0
        }
        return event
    }

    /// True when the call has waited too long for its client.
    public func isAbandoned(now: UInt64) -> Bool {
        guard let fullSince else { return false }
        return now &- fullSince >= Self.fullNanosecondsLimit
    }

    /// Adds text to the last chunk of the same choice instead of holding another event; a tool call stays whole.
    private mutating func join(_ event: EngineEvent) -> Bool {
        guard case .tokens(let new) = event, head < events.count, case .tokens(var last) = events[events.count - 1],
            last.choice == new.choice, last.kind == new.kind, last.kind != .toolCall
        else { return false }
        events.removeLast()
        last.ids += new.ids
        last.text += new.text
        last.logProbabilities += new.logProbabilities
        bytes -= EngineEvent.overhead
        events.append(.tokens(last))
        return true
    }
}
