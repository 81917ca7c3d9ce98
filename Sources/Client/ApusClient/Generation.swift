public import EngineProtocol
import Synchronization

/// The events of one generation, as they come; iterate over it once.
///
/// Whoever stops early, or whose task is cancelled, cancels the generation. A reader who is slow slows nobody else: the
/// server joins what comes, and ends the generation with `slowConsumer` when too much waits for too long.
public struct Generation: AsyncSequence, Sendable {
    public typealias Element = EngineEvent
    public typealias Failure = ClientError

    let call: RunningCall

    public func makeAsyncIterator() -> Iterator { Iterator(call: call) }

    public struct Iterator: AsyncIteratorProtocol {
        let call: RunningCall

        /// The next event; nil after `finished`.
        ///
        /// - Throws: `ClientError.engine` when the generation failed.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(ClientError) -> EngineEvent? {
            try await call.next()
        }

        public mutating func next() async throws(ClientError) -> EngineEvent? { try await call.next() }
    }

    /// Ends the generation; its last event is the failure `cancelled`.
    public func cancel() { call.cancel() }

    /// The whole text of a generation with one choice.
    public func text() async throws(ClientError) -> String {
        var text = ""
        for try await event in self {
            if case .tokens(let chunk) = event, chunk.kind == .content { text += chunk.text }
        }
        return text
    }
}

/// A call as its caller holds it: when nobody does any more, it is cancelled.
final class RunningCall: Sendable {
    private let queue = EventQueue()
    private let id: CallID
    private let connection: ClientConnection
    private let taken = Mutex(WindowCounter())

    init(_ call: LocalCall, on connection: ClientConnection) {
        self.connection = connection
        id = connection.nextID()
        connection.begin(call, id: id) { [queue] in
            switch $0 {
            case .success(let event): queue.put(event)
            case .failure(let error): queue.fail(error)
            }
        }
    }

    deinit { connection.cancel(id) }

    func next() async throws(ClientError) -> EngineEvent? {
        let event = await withTaskCancellationHandler {
            await queue.next()
        } onCancel: {
            cancel()
        }
        guard let event = try event.get() else { return nil }
        if let bytes = taken.withLock({ $0.take(event.size) }) { connection.widen(id, by: bytes) }
        if case .failed(let error) = event { throw .engine(error) }
        return event
    }

    func cancel() { connection.cancel(id) }
}

/// Counts what was taken of a window, so that the server is told now and then and not for each event.
struct WindowCounter {
    private var bytes = 0

    /// - Returns: what to tell the server, if it is enough.
    mutating func take(_ size: Int) -> UInt32? {
        bytes += size
        guard bytes >= LocalProtocol.window / 4 else { return nil }
        defer { bytes = 0 }
        return UInt32(bytes)
    }
}
