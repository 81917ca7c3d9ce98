import EngineProtocol
import JSON
import Platform

/// `apus run`: one answer on standard output.
struct RunCommand {
    var model: String
    var draftModel: String?
    var prompt: String
    var raw: Bool
    var maximumTokens: UInt32?
    var sampling: SamplingParameters
    var asJSON: Bool

    func run(console: Console) throws(CommandFailure) {
        let session = try ModelSession.open(
            model: model, draftModel: draftModel, purpose: .generate, console: console)
        let input: GenerateRequest.Input = raw ? .text(prompt) : .chat(ChatInput(turns: [("user", prompt)]))
        let limit = maximumTokens ?? (raw ? GenerationDefaults.rawMaximumTokens : nil)
        let request = GenerateRequest(inputs: [input], maximumTokens: limit, sampling: sampling)
        var answer = Answer()
        try session.generate([request]) { _, event in
            if case .tokens(let chunk) = event, !asJSON { console.write(chunk.text) }
            answer.receive(event)
        }
        if asJSON {
            console.result(answer.json(seed: sampling.seed))
        } else if !answer.text.hasSuffix("\n") {
            console.write("\n")
        }
    }
}

/// Collects the events of one generation.
struct Answer {
    private(set) var text = ""
    private var reason: FinishReason?
    private(set) var usage = Usage(promptTokens: 0, completionTokens: 0, cachedTokens: 0)
    private(set) var timings = Timings(preparation: 0, queue: 0, prefill: 0, decode: 0)

    mutating func receive(_ event: EngineEvent) {
        switch event {
        case .tokens(let chunk): text += chunk.text
        case .choiceFinished(_, let why): reason = why
        case .finished(let usage, let timings): (self.usage, self.timings) = (usage, timings)
        case .accepted, .started, .tensor, .failed, .result, .statistics: break
        }
    }

    /// Tokens after the first, per second; nil when there was only one.
    var decodeTokensPerSecond: Double? {
        guard usage.completionTokens > 1, timings.decode > 0 else { return nil }
        return Double(usage.completionTokens - 1) / (Double(timings.decode) / 1e9)
    }

    func json(seed: UInt64) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("text")
        writer.string(text)
        writer.key("finish_reason")
        if let reason { writer.string(reason == .stop ? "stop" : "length") } else { writer.null() }
        writer.key("seed")
        writer.integer(seed)
        writer.key("usage")
        writer.beginObject()
        writer.key("prompt_tokens")
        writer.integer(usage.promptTokens)
        writer.key("completion_tokens")
        writer.integer(usage.completionTokens)
        writer.key("accepted_prediction_tokens")
        writer.integer(usage.acceptedDraftTokens)
        writer.key("rejected_prediction_tokens")
        writer.integer(usage.rejectedDraftTokens)
        writer.endObject()
        writer.key("timings")
        writer.beginObject()
        for (name, nanoseconds) in [
            ("preparation_ms", timings.preparation), ("queue_ms", timings.queue), ("prefill_ms", timings.prefill),
            ("decode_ms", timings.decode),
        ] {
            writer.key(name)
            writer.double(Double(nanoseconds) / 1e6)
        }
        writer.endObject()
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
