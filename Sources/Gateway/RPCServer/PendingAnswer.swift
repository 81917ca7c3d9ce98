import EngineProtocol
import Serving

/// Something that a client waits for, and that is given up when the client is gone.
protocol PendingWork: AnyObject {
    func abandon()
}

/// Waits for the one answer to a request that is no generation.
final class PendingAnswer: CallListener, PendingWork {
    private let serving: Serving
    private var call: ServedCall?
    private var done: ((PendingAnswer, Result<EngineResult, EngineError>) -> Void)?

    init(serving: Serving, done: @escaping (PendingAnswer, Result<EngineResult, EngineError>) -> Void) {
        self.serving = serving
        self.done = done
    }

    /// - Parameter send: sends the request, with this as its listener.
    func begin(_ send: (PendingAnswer) throws(EngineError) -> ServedCall) throws(EngineError) { call = try send(self) }

    func callHasEvents(_ call: ServedCall) {
        while let event = call.next() {
            switch event {
            case .result(let result): end(.success(result))
            case .failed(let error): end(.failure(error))
            case .accepted, .started, .tokens, .tensor, .choiceFinished, .finished, .statistics: break
            }
        }
    }

    func end(_ result: Result<EngineResult, EngineError>) {
        let done = done
        (self.done, call) = (nil, nil)
        done?(self, result)
    }

    func abandon() {
        if let call { serving.cancel(call) }
        (done, call) = (nil, nil)
    }
}
