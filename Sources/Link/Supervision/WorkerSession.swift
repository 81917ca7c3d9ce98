public import EngineProtocol
public import Observability
public import Platform

/// A worker for one program's own use: started, loaded, asked, and ended with it.
///
/// The verbs of the command line use it. Calls run on the calling thread: the session's loop turns while it waits.
public final class WorkerSession {
    public enum Failure: Error, Sendable, Equatable {
        case engine(EngineError)
        /// The worker died; the text says how.
        case workerEnded(String)
        case couldNotStart(String)
        case interrupted
    }

    public let loop: EventLoop
    public let description: ModelDescription
    private let worker: WorkerProcess
    private let interrupts: SessionInterrupts
    private var nextSequence: UInt64 = 1
    private let inbox: Inbox

    /// What the loop's handlers leave for the waiting caller.
    private final class Inbox {
        var events: [(CallID, EngineEvent)] = []
        var workerEnd: String?
        var wasInterrupted = false
    }

    /// Starts a worker and loads a model.
    ///
    /// - Parameter onWaiting: called several times a second while the model loads.
    public init(
        workerPath: String, options: WorkerOptions = WorkerOptions(), sources: ModelSources, load: LoadRequest,
        logger: Logger, onWaiting: @escaping () -> Void = {}
    ) throws(Failure) {
        let inbox = Inbox()
        let loop: EventLoop
        do {
            loop = try EventLoop()
            interrupts = try SessionInterrupts(loop: loop)
            worker = try WorkerProcess(loop: loop, workerPath: workerPath, options: options, logger: logger)
        } catch {
            throw .couldNotStart("\(error)")
        }
        self.loop = loop
        self.inbox = inbox
        worker.onEvents = {
            inbox.events += $0
            loop.stop()
        }
        worker.onEnd = { [unowned worker] in
            // A log line says nothing to the user of a verb; what the runtime prints when it dies does.
            let lastWords = worker.lastLines.filter { !$0.hasPrefix("{") }.suffix(3).joined(separator: "; ")
            inbox.workerEnd = lastWords.isEmpty ? $0.text : "\($0.text): \(lastWords)"
            loop.stop()
        }
        interrupts.onInterrupt = {
            inbox.wasInterrupted = true
            loop.stop()
        }
        do throws(Failure) {
            description = try Self.load(sources, load, worker: worker, inbox: inbox, loop: loop, onWaiting: onWaiting)
        } catch {
            worker.kill()
            throw error
        }
    }

    deinit {
        worker.onEvents = { _ in }
        worker.onEnd = { _ in }
        worker.kill()
    }

    /// A descriptor that is readable when Ctrl-C was pressed.
    public var interruptDescriptor: Int32 { interrupts.descriptor }

    private static func load(
        _ sources: ModelSources, _ load: LoadRequest, worker: WorkerProcess, inbox: Inbox, loop: EventLoop,
        onWaiting: @escaping () -> Void
    ) throws(Failure) -> ModelDescription {
        do throws(EngineError) {
            try sources.open().load(load, into: worker)
        } catch {
            throw .engine(error)
        }
        func tick() {
            onWaiting()
            _ = loop.after(nanoseconds: 200_000_000) { if inbox.events.isEmpty { tick() } }
        }
        tick()
        while true {
            loop.run()
            for (_, event) in inbox.events {
                switch event {
                case .result(.loaded(let description)):
                    inbox.events = []
                    return description
                case .failed(let error): throw .engine(error)
                case .accepted, .started, .tokens, .tensor, .choiceFinished, .finished, .result, .statistics: break
                }
            }
            inbox.events = []
            if inbox.wasInterrupted { throw .interrupted }
            if let end = inbox.workerEnd { throw .workerEnded(end) }
        }
    }

    /// Sends one request and waits for its result.
    public func call(_ request: EngineRequest) throws(Failure) -> EngineResult {
        var found: EngineResult?
        try run([request]) { _, event in
            if case .result(let result) = event { found = result }
        }
        guard let found else { throw .workerEnded("no result") }
        return found
    }

    /// Sends requests together and hands over their events until each has ended.
    ///
    /// Ctrl-C cancels them all; the call then throws `interrupted` when the worker has confirmed.
    ///
    /// - Parameters:
    ///   - isEnough: asked after events came; true cancels what is still open, and that is no failure.
    ///   - onEvent: gets the request's place and the event.
    public func run(
        _ requests: [EngineRequest], isEnough: () -> Bool = { false }, onEvent: (Int, EngineEvent) -> Void
    ) throws(Failure) {
        var open: [CallID: Int] = [:]
        inbox.wasInterrupted = false
        for (place, request) in requests.enumerated() {
            let id = CallID(generation: 1, sequence: nextSequence)
            nextSequence += 1
            open[id] = place
            do throws(EngineError) { try worker.send(request, call: id) } catch { throw .engine(error) }
        }
        var failure: Failure?
        var isCancelled = false
        func cancelOpenCalls() {
            isCancelled = true
            for id in open.keys { try? worker.send(.cancel, call: id) }
        }
        while !open.isEmpty {
            loop.run()
            let events = inbox.events
            inbox.events = []
            for (id, event) in events {
                guard let place = open[id] else { continue }
                if event.isEnd { open[id] = nil }
                if isCancelled, case .failed(.cancelled) = event { continue }
                if case .failed(let error) = event { failure = failure ?? .engine(error) }
                onEvent(place, event)
                // Who was handed the rows has taken them.
                if case .tensor(let chunk) = event {
                    try? worker.send(.credit(bytes: UInt32(clamping: chunk.tensor.byteCount)), call: id)
                }
            }
            if inbox.wasInterrupted, failure != .interrupted {
                failure = .interrupted
                cancelOpenCalls()
            } else if !isCancelled, isEnough() {
                cancelOpenCalls()
            }
            if let end = inbox.workerEnd, !open.isEmpty { throw .workerEnded(end) }
        }
        if let failure { throw failure }
    }
}

/// Ctrl-C as an event of a loop.
final class SessionInterrupts {
    static let interruptSignal: Int32 = 2

    var onInterrupt: () -> Void = {}
    private let signals: FileDescriptor

    init(loop: EventLoop) throws(SystemError) {
        Signals.block([Self.interruptSignal])
        signals = try Signals.descriptor(for: [Self.interruptSignal])
        _ = try loop.watch(signals.rawValue, .readable) { [unowned self] _ in
            while Signals.next(from: signals.rawValue) != nil {}
            onInterrupt()
        }
    }

    var descriptor: Int32 { signals.rawValue }
}
