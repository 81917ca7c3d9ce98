public import EngineProtocol
public import Platform

/// A session at a model's worker, as who opened it knows it.
///
/// It belongs to one worker: when that one ends, whatever it held is gone, and nothing can be done with it any more.
/// Everything happens on the loop.
public final class ServedSession {
    enum Phase: Equatable {
        /// Its worker has not said yet that it is open.
        case opening
        /// Open at the worker of this generation.
        case open(UInt16)
        case lost
        case closed
    }

    /// What a generation in it has come to.
    private struct Run {
        /// What the session held before is in it.
        let promptTokens: UInt32
        var tokens = 0
        var isPaused = false
    }

    public let id: SessionID
    public let model: String
    weak var channel: ModelChannel?
    var phase = Phase.opening
    /// Calls in it that the worker has not ended, and those that wait to be sent.
    var calls = 0
    /// What it holds, as far as its worker has told.
    public private(set) var state = SessionState()
    /// The last call in it has ended at the worker: the next one may be sent.
    public var onIdle: () -> Void = {}
    /// The generation that its worker has accepted and not ended.
    private var run: Run?

    init(id: SessionID, model: String, channel: ModelChannel) {
        self.id = id
        self.model = model
        self.channel = channel
    }

    public var isBusy: Bool { calls > 0 }

    /// Its worker has ended or does not take calls any more.
    public var isLost: Bool {
        switch phase {
        case .opening: channel == nil
        case .open(let generation): channel?.isServing(generation) != true
        case .lost, .closed: true
        }
    }

    /// Whether something would be lost with it that was to be gone on with.
    public var holdsSomething: Bool { state.positions > 0 || state.cachedPositions > 0 || state.isPaused }

    /// Learns what it holds of what the worker says about a call in it.
    func note(_ event: EngineEvent, of request: EngineRequest, generation: UInt16) {
        if case .result(.session(let told)) = event {
            state = told
            if phase == .opening { phase = .open(generation) }
        }
        guard case .generate(let generate) = request, let use = generate.session else { return }
        switch event {
        case .accepted(let promptTokens, _): run = Run(promptTokens: promptTokens)
        case .tokens(let chunk): run?.tokens += chunk.ids.count
        case .choiceFinished(_, let reason): run?.isPaused = reason == .paused
        case .finished(let usage, _):
            settle(Int(usage.promptTokens) + Int(usage.completionTokens), keeps: use.keepsHistory)
        case .failed(.cancelled):
            // What had come stays; of a call that was not accepted, nothing.
            if let run { settle(Int(run.promptTokens) + run.tokens, keeps: use.keepsHistory) }
        case .failed: run = nil
        case .started, .tensor, .result, .statistics: break
        }
    }

    /// - Parameter positions: of the prompt, in which is all that it went on after, and of its answer.
    private func settle(_ positions: Int, keeps: Bool) {
        let isPaused = run?.isPaused == true
        state.positions = keeps || isPaused ? UInt32(clamping: positions) : 0
        state.isPaused = isPaused
        run = nil
    }
}

/// A file that goes to a worker beside a request, closed when nobody needs it any more.
public final class AttachedFile {
    let descriptor: FileDescriptor

    public init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

extension EngineRequest {
    /// The session that it is about.
    var sessionID: SessionID? {
        switch self {
        case .generate(let generate): generate.session?.id
        case .openSession(let id), .changeSession(let id, _), .closeSession(let id): id
        default: nil
        }
    }
}
