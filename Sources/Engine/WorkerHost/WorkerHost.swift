import EngineLink
import EngineProtocol
import Observability
import Platform

/// Takes requests from the link, has them prepared beside the engine loop, and sends what comes of them.
///
/// ## Threading
/// Requests and cancellations come on the event loop. One preparation thread works through its queue; the engine has
/// its own thread. `emit` may be called by all of them. A call is in one place at a time: in the queue, in
/// preparation, or with the engine; the place where its cancellation finds it says the one end event.
final class WorkerHost: Sendable {
    private struct Request: Sendable {
        let request: EngineRequest
        let descriptors: [LinkDescriptor]
    }

    typealias Emit = @Sendable ([(CallID, EngineEvent)]) -> Void

    private struct State: Sendable {
        var queue: PreparationQueue<Request>
        var engine: (any HostedEngine)?
        var isStopping = false
        /// Calls that were cancelled before the engine had them.
        var cancelled: UInt64 = 0
    }

    private let limits: WorkerLimits
    private let machine: Machine
    private let runtime: VendorRuntime?
    private let logger: Logger
    private let progress: ProgressPage
    private let state: Monitor<State>
    private let emit: Emit

    /// Starts the preparation thread.
    ///
    /// - Parameter runtime: the library that runs the model; nil for the native engine.
    init(
        limits: WorkerLimits, machine: Machine, runtime: VendorRuntime?, logger: Logger, progress: ProgressPage,
        emit: @escaping Emit
    ) throws(SystemError) {
        self.limits = limits
        self.machine = machine
        self.runtime = runtime
        self.logger = logger
        self.progress = progress
        self.emit = emit
        state = Monitor(State(queue: PreparationQueue(limits: limits)))
        _ = try Thread.start(name: "prepare", stackBytes: limits.preparationStackBytes) { [self] in prepareRequests() }
    }

    // MARK: On the event loop

    func handle(_ request: EngineRequest, call: CallID, descriptors: [LinkDescriptor]) {
        switch request {
        case .cancel: return cancel(call)
        case .credit(let bytes): return credit(bytes, call: call)
        case .pause: return pause(call)
        default: break
        }
        let isQueued = state.change { state in
            state.queue.append(
                call: call, bytes: request.textBytes, job: Request(request: request, descriptors: descriptors))
        }
        if !isQueued {
            emit([(call, .failed(.queueFull(retryAfterMilliseconds: limits.retryAfterMilliseconds)))])
        }
    }

    private func cancel(_ call: CallID) {
        let (cancellation, engine) = state.withLock { state in
            let cancellation = state.queue.cancel(call)
            if cancellation == .removed { state.cancelled += 1 }
            return (cancellation, state.engine)
        }
        switch cancellation {
        case .removed: emit([(call, .failed(.cancelled))])
        case .noted: break
        case .unknown: engine?.cancel(call)
        }
    }

    /// Of a call that the engine does not have yet, nothing was sent, so there is nothing to give credit for.
    private func credit(_ bytes: UInt32, call: CallID) {
        state.withLock { $0.engine }?.credit(bytes, call: call)
    }

    private func pause(_ call: CallID) { state.withLock { $0.engine }?.pause(call) }

    /// A snapshot, once there is an engine to tell about.
    var statistics: WorkerStatistics? {
        let (engine, cancelled) = state.withLock { ($0.engine, $0.cancelled) }
        guard var statistics = engine?.statistics else { return nil }
        statistics.cancelled += cancelled
        return statistics
    }

    /// Ends the engine within a layer; what is being prepared is abandoned with the process.
    func stop() {
        let engine = state.change { state in
            state.isStopping = true
            return state.engine
        }
        engine?.stop()
    }

    // MARK: On the preparation thread

    private func prepareRequests() {
        let processor = RequestProcessor(
            limits: limits, machine: machine, runtime: runtime, logger: logger, progress: progress, emit: emit)
        while let entry = nextRequest() {
            progress.beginPreparation(entry.job.request.isLoad ? .loading : .preparing, call: entry.call)
            defer { progress.endPreparation() }
            let prepared = processor.prepare(entry.job.request, descriptors: entry.job.descriptors)
            hand(prepared, call: entry.call)
        }
    }

    private func nextRequest() -> PreparationQueue<Request>.Entry? {
        state.wait(until: { $0.isStopping || !$0.queue.isEmpty }) { state in
            state.isStopping ? nil : state.queue.next()
        }
    }

    /// Ends the preparation of a call: it was cancelled, or it is answered, or the engine has it from now on.
    ///
    /// Under the lock, so that a cancellation finds the call either here or with the engine.
    private func hand(_ prepared: Preparation, call: CallID) {
        let answer: EngineEvent? = state.withLock { state in
            guard !state.queue.finish() else {
                state.cancelled += 1
                return .failed(.cancelled)
            }
            do throws(EngineError) {
                switch prepared {
                case .answer(let event):
                    return event
                case .submission(let submit):
                    try submit(call)
                case .loaded(let engine):
                    state.engine = engine
                    return .result(.loaded(engine.description))
                }
                return nil
            } catch {
                return .failed(error)
            }
        }
        if let answer { emit([(call, answer)]) }
    }
}

extension EngineRequest {
    fileprivate var isLoad: Bool { if case .load = self { true } else { false } }

    /// Bytes that the request keeps while it waits, apart from small change.
    var textBytes: Int {
        switch self {
        case .generate(let request):
            request.inputs.reduce(request.crossAttention?.byteCount ?? 0) { $0 + $1.textBytes }
        case .score(let request): request.text.utf8.count
        case .tokenize(let request): request.text.utf8.count
        case .detokenize(let ids): ids.count * MemoryLayout<Int32>.size
        case .renderTemplate(let chat): chat.textBytes
        case .embed(let request): request.inputs.reduce(0) { $0 + $1.textBytes }
        case .load, .inspect, .cancel, .credit, .pause, .openSession, .changeSession, .closeSession, .loadAdapter,
            .unloadAdapter:
            0
        }
    }
}

extension GenerateRequest.Input {
    fileprivate var textBytes: Int {
        switch self {
        case .chat(let chat): chat.textBytes
        case .text(let text): text.utf8.count
        case .ids(let ids): ids.count * MemoryLayout<Int32>.size
        case .embeddings(let rows): rows.byteCount
        case .resumed: 0
        case .multimodal(let input): input.media.reduce(input.prompt.utf8.count) { $0 + $1.embeddings.byteCount }
        }
    }
}

extension CrossAttention {
    fileprivate var byteCount: Int {
        keys.byteCount + values.byteCount + mask.byteCount + positions.count * MemoryLayout<Int32>.size
    }
}

extension ChatInput {
    fileprivate var textBytes: Int {
        messagesJSON.utf8.count + (toolsJSON?.utf8.count ?? 0) + (templateOverride?.utf8.count ?? 0)
            + (variablesJSON?.utf8.count ?? 0)
    }
}
