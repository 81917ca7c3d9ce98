import EngineProtocol
import Synchronization

/// The events of one call between the client's thread, which puts them in, and the task that takes them out.
///
/// It is bounded by the call's window: the server sends no more before the task has taken some.
final class EventQueue: Sendable {
    private struct State {
        var events: [EngineEvent] = []
        var head = 0
        var failure: ClientError?
        var hasEnded = false
        var waiter: CheckedContinuation<Result<EngineEvent?, ClientError>, Never>?

        mutating func takeEvent() -> EngineEvent? {
            guard head < events.count else { return nil }
            defer {
                head += 1
                if head == events.count {
                    events.removeAll(keepingCapacity: true)
                    head = 0
                }
            }
            return events[head]
        }
    }

    private let state = Mutex(State())

    func put(_ event: EngineEvent) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<EngineEvent?, ClientError>, Never>? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = event.isEnd
            if let waiter = state.waiter {
                state.waiter = nil
                return waiter
            }
            state.events.append(event)
            return nil
        }
        waiter?.resume(returning: .success(event))
    }

    func fail(_ error: ClientError) {
        let waiter = state.withLock { state -> CheckedContinuation<Result<EngineEvent?, ClientError>, Never>? in
            guard !state.hasEnded else { return nil }
            state.hasEnded = true
            guard let waiter = state.waiter else {
                state.failure = error
                return nil
            }
            state.waiter = nil
            return waiter
        }
        waiter?.resume(returning: .failure(error))
    }

    /// The next event; nil after the last one.
    func next() async -> Result<EngineEvent?, ClientError> {
        await withCheckedContinuation { waiter in
            let ready = state.withLock { state -> Result<EngineEvent?, ClientError>? in
                if let event = state.takeEvent() { return .success(event) }
                if let failure = state.failure {
                    state.failure = nil
                    return .failure(failure)
                }
                if state.hasEnded { return .success(nil) }
                precondition(state.waiter == nil, "two tasks iterate over one answer")
                state.waiter = waiter
                return nil
            }
            if let ready { waiter.resume(returning: ready) }
        }
    }
}
