public import EngineProtocol
import Platform

/// A client of a server on the same machine, over the path that was given to `apus serve --ipc`.
///
/// One connection carries all calls. When it is lost, the calls that were running fail with
/// `ClientError.connectionLost`, which says whether anything had been delivered, and the client connects again; new calls
/// wait for that, for as long as `ClientOptions.connectSeconds` says.
public final class ApusClient: Sendable {
    private let connection: ClientConnection

    /// Begins to connect; the first call waits for it.
    public init(path: String, options: ClientOptions = ClientOptions()) throws(ClientError) {
        connection = try ClientConnection(path: path, options: options)
    }

    deinit { connection.close() }

    /// Ends the connection; calls that are running fail with `ClientError.closed`.
    public func close() { connection.close() }

    // MARK: Generations

    /// Generates; the events come as they are made.
    ///
    /// - Parameters:
    ///   - model: as `models()` lists it; empty is the only one.
    ///   - resumes: goes on with the answer after the death of the model's process, also when a part of it was delivered.
    public func generate(
        _ request: GenerateRequest, model: String = "", requestID: String = "", resumes: Bool = false
    ) -> Generation {
        let call = LocalCall(model: model, requestID: requestID, resumes: resumes, request: .generate(request))
        return Generation(call: RunningCall(call, on: connection))
    }

    /// Generates, and calls back on the client's own thread, which must not be kept waiting: the shortest way there is.
    ///
    /// - Returns: what cancels the generation when it is called.
    public func generate(
        _ request: GenerateRequest, model: String = "", requestID: String = "",
        onEvent: @escaping @Sendable (Result<EngineEvent, ClientError>) -> Void
    ) -> @Sendable () -> Void {
        let id = connection.nextID()
        let taken = LoopWindow()
        connection.begin(LocalCall(model: model, requestID: requestID, request: .generate(request)), id: id) {
            [connection] result in
            onEvent(result)
            if case .success(let event) = result, let bytes = taken.counter.take(event.size) {
                connection.widen(id, by: bytes)
            }
        }
        return { [connection] in connection.cancel(id) }
    }

    // MARK: Requests with one answer

    /// The mean negative log-likelihood of a text in nats per token, and how many tokens were counted.
    public func score(
        _ request: ScoreRequest, model: String = ""
    ) async throws(ClientError) -> (tokens: UInt64, negativeLogLikelihood: Double) {
        guard case .scored(let tokens, let value) = try await result(of: .score(request), model) else {
            throw .unexpectedAnswer
        }
        return (tokens, value)
    }

    /// One row for each input, of the model's last hidden states.
    public func embed(
        _ request: EmbedRequest, model: String = ""
    ) async throws(ClientError) -> (embeddings: Tensor, promptTokens: UInt32) {
        guard case .embedded(let rows, let tokens) = try await result(of: .embed(request), model) else {
            throw .unexpectedAnswer
        }
        return (rows, tokens)
    }

    public func tokenize(_ request: TokenizeRequest, model: String = "") async throws(ClientError) -> [Int32] {
        guard case .tokenized(let ids) = try await result(of: .tokenize(request), model) else {
            throw .unexpectedAnswer
        }
        return ids
    }

    /// Bytes, because the ids need not form whole characters.
    public func detokenize(_ ids: [Int32], model: String = "") async throws(ClientError) -> [UInt8] {
        guard case .detokenized(let bytes) = try await result(of: .detokenize(ids: ids), model) else {
            throw .unexpectedAnswer
        }
        return bytes
    }

    /// What a conversation becomes by the model's chat template.
    public func render(_ chat: ChatInput, model: String = "") async throws(ClientError) -> String {
        guard case .rendered(let text) = try await result(of: .renderTemplate(chat), model) else {
            throw .unexpectedAnswer
        }
        return text
    }

    private func result(of request: EngineRequest, _ model: String) async throws(ClientError) -> EngineResult {
        let call = RunningCall(LocalCall(model: model, request: request), on: connection)
        guard case .result(let result)? = try await call.next() else { throw .unexpectedAnswer }
        return result
    }

    // MARK: About the server

    public func models() async throws(ClientError) -> [LocalModel] {
        let id = connection.nextID()
        guard case .models(let models, _) = try await answer(to: .listModels(call: id), id) else {
            throw .unexpectedAnswer
        }
        return models
    }

    /// How long a message takes to the server and back, in nanoseconds.
    public func ping() async throws(ClientError) -> UInt64 {
        let start = MonotonicClock.now()
        let id = connection.nextID()
        guard case .pong = try await answer(to: .ping(id.rawValue), id) else { throw .unexpectedAnswer }
        return MonotonicClock.now() - start
    }

    private func answer(to message: Message, _ id: CallID) async throws(ClientError) -> Message {
        try await withCheckedContinuation { waiter in
            connection.ask(message, id: id) { waiter.resume(returning: $0) }
        }.get()
    }
}

/// A window that only the client's thread counts.
private final class LoopWindow: @unchecked Sendable {
    var counter = WindowCounter()
}
