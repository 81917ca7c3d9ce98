import EngineProtocol
import Platform
import Serving

/// Waits until a model answers: loaded on demand if need be, like for any other request.
///
/// It has the model tokenize nothing, which a worker does as soon as it is ready.
final class ModelWait: CallListener, PendingWork {
    private let service: RPCService
    private let model: String
    private let identity: CallIdentity
    private let deadline: UInt64
    private var call: ServedCall?
    private var done: ((ModelWait, Result<Void, EngineError>) -> Void)?

    init(
        service: RPCService, model: String, tenant: String,
        done: @escaping (ModelWait, Result<Void, EngineError>) -> Void
    ) {
        self.service = service
        self.model = model
        let name = PublicID.make(prefix: "init")
        identity = CallIdentity(publicID: name, requestID: name, tenant: tenant)
        deadline = MonotonicClock.now() + service.limits.initNanoseconds
        self.done = done
    }

    func start() {
        do throws(EngineError) {
            call = try service.serving.submit(
                .tokenize(TokenizeRequest(text: "")), model: model, identity: identity, resumes: true, listener: self)
        } catch {
            end(.failure(error))
        }
    }

    func callHasEvents(_ call: ServedCall) {
        while call === self.call, let event = call.next() {
            switch event {
            // An engine without a tokenizer of its own has answered too.
            case .result, .failed(.unsupported): end(.success(()))
            case .failed(.modelNotReady) where isStillLoading: start()
            case .failed(let error): end(.failure(error))
            case .accepted, .started, .tokens, .tensor, .choiceFinished, .finished, .statistics: break
            }
        }
    }

    /// A call is held for a while only; a large model takes longer.
    private var isStillLoading: Bool {
        guard MonotonicClock.now() < deadline, !service.isStopping else { return false }
        return service.model(model)?.state == .starting
    }

    private func end(_ result: Result<Void, EngineError>) {
        call = nil
        let done = done
        self.done = nil
        done?(self, result)
    }

    /// The client is gone.
    func abandon() {
        done = nil
        if let call { service.serving.cancel(call) }
        call = nil
    }
}
