import EngineProtocol
import Platform
import Supervision

/// A new worker of a model that is served already: it loads beside the old one and must make one token before it may take
/// over.
///
/// Its first death, refusal or error is its end; the old worker goes on.
final class ModelCandidate {
    let supervisor: any SupervisedWorker
    private let loop: EventLoop
    private let checkNanoseconds: UInt64
    let settings: ServedModel.Settings
    /// Called once: with what it loaded, or why it is no good.
    var onVerdict: (Result<ModelDescription, EngineError>) -> Void = { _ in }
    var onStopped: () -> Void = {}
    /// Nil until it has loaded.
    private(set) var description: ModelDescription?
    private var isDecided = false
    private var tokens = 0

    init(loop: EventLoop, model: ServedModel, memoryLimit: UInt64, checkNanoseconds: UInt64) {
        self.loop = loop
        settings = model.settings
        supervisor = model.makeWorker(memoryLimit: memoryLimit)
        self.checkNanoseconds = checkNanoseconds
        supervisor.onReady = { [unowned self] in check($0) }
        supervisor.onEvents = { [unowned self] in receive($0) }
        supervisor.onLost = { [unowned self] in fail("its worker was lost: \($0.text)") }
        supervisor.onFailed = { [unowned self] in fail($0) }
        supervisor.onStopped = { [unowned self] in onStopped() }
    }

    func start() { supervisor.start() }

    func stop() {
        isDecided = true
        supervisor.stop()
    }

    /// Gives up a candidate that did not come so far.
    func fail(_ reason: String) {
        decide(.failure(.modelNotReady(reason: reason, retryAfterMilliseconds: 0)))
    }

    /// Far from the numbers that the calls of a channel get.
    private var checkCall: CallID { CallID(generation: supervisor.generation, sequence: .max) }

    private func check(_ description: ModelDescription) {
        self.description = description
        var sampling = SamplingParameters()
        sampling.temperature = 0
        let request = GenerateRequest(
            inputs: [.text("Hello")], maximumTokens: 1, sampling: sampling, ignoreEndOfSequence: true)
        do throws(EngineError) {
            try supervisor.send(.generate(request), call: checkCall)
        } catch {
            return fail(error.text)
        }
        _ = loop.after(nanoseconds: checkNanoseconds) { [weak self] in
            guard let self else { return }
            fail("it made no token within \(checkNanoseconds / 1_000_000_000) s")
        }
    }

    private func receive(_ events: [(CallID, EngineEvent)]) {
        for (call, event) in events where call == checkCall {
            switch event {
            case .tokens(let chunk): tokens += chunk.ids.count
            case .finished(let usage, _): finish(tokens: max(tokens, Int(usage.completionTokens)))
            case .failed(let error): fail("its first token failed: \(error.text)")
            case .accepted, .started, .tensor, .choiceFinished, .result, .statistics: break
            }
        }
    }

    private func finish(tokens: Int) {
        guard let description else { return }
        if tokens > 0 { decide(.success(description)) } else { fail("it made no token") }
    }

    private func decide(_ verdict: Result<ModelDescription, EngineError>) {
        guard !isDecided else { return }
        isDecided = true
        onVerdict(verdict)
    }
}
