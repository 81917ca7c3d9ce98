public import EngineProtocol
import Foundation

/// Collects what an engine says, on any thread, and waits for it.
public final class EventLog: @unchecked Sendable {
    private let condition = NSCondition()
    private var events: [CallID: [EngineEvent]] = [:]

    /// What has not come has not come in a minute.
    public struct Timeout: Error {
        public let events: [EngineEvent]

        public init(events: [EngineEvent]) { self.events = events }
    }

    public init() {}

    public func add(_ batch: [(CallID, EngineEvent)]) {
        condition.withLock {
            for (call, event) in batch { events[call, default: []].append(event) }
            condition.broadcast()
        }
    }

    /// The events of a call, once `isEnough` holds for them.
    public func events(of call: CallID, until isEnough: ([EngineEvent]) -> Bool) throws -> [EngineEvent] {
        let deadline = Date(timeIntervalSinceNow: 60)
        return try condition.withLock {
            while true {
                let soFar = events[call] ?? []
                if isEnough(soFar) { return soFar }
                guard condition.wait(until: deadline) else { throw Timeout(events: soFar) }
            }
        }
    }

    /// All events of a call, once its end event is there.
    public func finished(_ call: CallID) throws -> [EngineEvent] { try events(of: call) { $0.last?.isEnd == true } }
}
