import EngineProtocol
import HTTPServer
import Observability
import Platform
import Serving

/// Answers one generation: as a stream of frames, or collected into one object.
///
/// It takes events from the call's outbox as fast as its socket can take frames, and no faster: what a slow client does
/// not read stays in the outbox, which is bounded.
final class GenerationResponder: CallListener {
    private let response: HTTPResponseWriter
    private let format: ResponseFormat
    private let streams: Bool
    private let headers: [HTTPHeader]
    private let loop: EventLoop
    private let metrics: GenerationTimes
    private let onFinished: (_ status: Int, _ errorCode: String?) -> Void
    private var choices: [CollectedChoice]
    /// Choices whose first chunk has been written.
    private var begun: Set<UInt32> = []
    /// By choice: characters of a stream's text that log-probabilities were told of.
    private var offsets: [UInt32: Int] = [:]
    private var keepAlive: EventLoop.TimerID?
    private var hasStarted = false
    private var isFinished = false

    /// - Parameters:
    ///   - choices: an empty one for each that will come.
    ///   - headers: for every answer, such as the request's id.
    ///   - onFinished: called once with the status and error code that the client got, or would have got.
    init(
        response: HTTPResponseWriter, format: ResponseFormat, streams: Bool, choices: [CollectedChoice],
        headers: [HTTPHeader], loop: EventLoop, metrics: GenerationTimes,
        onFinished: @escaping (_ status: Int, _ errorCode: String?) -> Void
    ) {
        self.response = response
        self.format = format
        self.streams = streams
        self.choices = choices
        self.headers = headers
        self.loop = loop
        self.metrics = metrics
        self.onFinished = onFinished
    }

    func callHasEvents(_ call: ServedCall) {
        var frames: [UInt8] = []
        while !isFinished, response.pendingBytes + frames.count < OpenAILimits.pendingResponseBytes,
            let event = call.next()
        {
            if streams { stream(event, into: &frames) } else { collect(event) }
        }
        if isFinished, hasStarted {
            response.end(writing: frames)
        } else if !frames.isEmpty {
            response.write(frames)
        }
    }

    /// The client is gone: nothing can be written any more.
    func clientIsGone() {
        guard !isFinished else { return }
        finish(status: 499, errorCode: "client_gone")
    }

    /// The request was refused before there was a call.
    func refuse(_ error: APIError) {
        response.respond(status: error.status, headers: headers + error.headers, body: error.body)
        finish(status: error.status, errorCode: error.code)
    }

    private func finish(status: Int, errorCode: String? = nil) {
        isFinished = true
        if let keepAlive { loop.cancel(keepAlive) }
        keepAlive = nil
        metrics.finished()
        onFinished(status, errorCode)
    }
}

// MARK: - Streams

extension GenerationResponder {
    private func stream(_ event: EngineEvent, into frames: inout [UInt8]) {
        switch event {
        case .accepted:
            begin()
        case .tokens(let chunk):
            metrics.receivedTokens(chunk.ids.count)
            guard !chunk.text.isEmpty || !chunk.logProbabilities.isEmpty else { return }
            stopKeepAlive()
            format.appendChunk(
                chunk, isFirst: begun.insert(chunk.choice).inserted, offset: &offsets[chunk.choice, default: 0],
                to: &frames)
        case .choiceFinished(let choice, let reason):
            stopKeepAlive()
            format.appendFinish(
                choice: choice, reason: reason, isFirst: begun.insert(choice).inserted, to: &frames)
        case .finished(let usage, let timings):
            format.appendUsage(usage, timings, to: &frames)
            ResponseFormat.appendDone(to: &frames)
            metrics.counted(usage)
            finish(status: 200)
        case .failed(let error):
            let error = APIError(error)
            guard hasStarted else { return refuse(error) }
            ResponseFormat.appendError(error, to: &frames)
            ResponseFormat.appendDone(to: &frames)
            finish(status: error.status, errorCode: error.code)
        case .started, .tensor, .result, .statistics:
            break
        }
    }

    private func begin() {
        hasStarted = true
        response.beginStream(
            status: 200,
            headers: headers + [
                HTTPHeader("content-type", "text/event-stream"),
                HTTPHeader("cache-control", "no-cache"),
                HTTPHeader("x-accel-buffering", "no"),
            ])
        scheduleKeepAlive()
    }

    /// Comments keep proxies and clients patient until the first token.
    private func scheduleKeepAlive() {
        keepAlive = loop.after(nanoseconds: OpenAILimits.keepAliveNanoseconds) { [weak self] in
            guard let self, !isFinished else { return }
            response.write(ResponseFormat.keepAlive)
            scheduleKeepAlive()
        }
    }

    private func stopKeepAlive() {
        guard let keepAlive else { return }
        loop.cancel(keepAlive)
        self.keepAlive = nil
    }
}

// MARK: - Whole answers

extension GenerationResponder {
    private func collect(_ event: EngineEvent) {
        switch event {
        case .tokens(let chunk):
            metrics.receivedTokens(chunk.ids.count)
            guard chunk.choice < choices.count else { return }
            choices[Int(chunk.choice)].text += chunk.text
            choices[Int(chunk.choice)].logProbabilities?.append(contentsOf: chunk.logProbabilities)
        case .choiceFinished(let choice, let reason):
            guard choice < choices.count else { return }
            choices[Int(choice)].reason = reason
        case .finished(let usage, let timings):
            metrics.counted(usage)
            response.respond(
                status: 200, headers: headers + [HTTPHeader("content-type", "application/json")],
                body: format.wholeAnswer(choices, usage, timings))
            finish(status: 200)
        case .failed(let error):
            refuse(APIError(error))
        case .accepted, .started, .tensor, .result, .statistics:
            break
        }
    }
}
