import EngineProtocol
import JSON
import Platform

/// `apus bench`: prefill and decode speed, measured over the same path that every request takes.
struct BenchCommand {
    var model: String
    var promptTokens: Int
    var generatedTokens: Int
    var batches: [Int]
    var asJSON: Bool
    var threads: UInt32

    /// The same measurement of another model.
    func measuring(_ model: String) -> BenchCommand {
        var copy = self
        copy.model = model
        return copy
    }

    private struct Row {
        let batch: Int
        let prefill: Double
        let decode: Double
    }

    func run(console: Console) throws(CommandFailure) {
        let largest = batches.max() ?? 1
        let session = try ModelSession.open(
            model: model, purpose: .generate, console: console,
            contextLength: UInt32(promptTokens + maximumTokens(batch: largest)), parallel: UInt32(largest),
            threads: threads)
        if !asJSON { console.result("prompt generate batch   prefill tok/s   decode tok/s") }
        for batch in batches {
            try session.generate(requests(batch: 1, session, maximumTokens: 1)) { _, _ in }
            let row = try measure(batch: batch, session)
            console.result(asJSON ? json(row, session.description) : text(row))
        }
    }

    private func measure(batch: Int, _ session: ModelSession) throws(CommandFailure) -> Row {
        var prefill = PrefillWindow()
        try session.generate(requests(batch: batch, session, maximumTokens: 1)) { _, event in
            prefill.receive(event, now: MonotonicClock.now())
        }
        var decode = DecodeWindow(sequences: batch)
        try session.generate(requests(batch: batch, session, maximumTokens: maximumTokens(batch: batch))) {
            decode.receive($1, sequence: $0, now: MonotonicClock.now())
        }
        guard let prefillSpeed = prefill.tokensPerSecond(promptTokens: promptTokens * batch),
            let decodeSpeed = decode.tokensPerSecond
        else { throw .failed("the run was too short to measure; raise --generate") }
        return Row(batch: batch, prefill: prefillSpeed, decode: decodeSpeed)
    }

    /// Enough that every sequence still decodes while the last ones are prefilled.
    private func maximumTokens(batch: Int) -> Int {
        generatedTokens + batch + batch * promptTokens / 64 + 1
    }

    private func requests(batch: Int, _ session: ModelSession, maximumTokens: Int) -> [GenerateRequest] {
        (0..<batch).map { sequence in
            // Spread over the vocabulary, different in each sequence, the same in every run.
            let vocabulary = UInt64(max(session.description.vocabularySize, 1))
            let ids = (0..<promptTokens).map { position in
                Int32((UInt64(sequence * promptTokens + position) &* 2_654_435_761) % vocabulary)
            }
            return GenerateRequest(
                inputs: [.ids(ids)], maximumTokens: UInt32(maximumTokens),
                sampling: SamplingParameters(temperature: 0), ignoreEndOfSequence: true)
        }
    }

    private func text(_ row: Row) -> String {
        let columns = [
            (String(promptTokens), 6), (String(generatedTokens), 8), (String(row.batch), 5),
            (String(rounded: row.prefill, places: 1), 15), (String(rounded: row.decode, places: 1), 14),
        ]
        return columns.map { text, width in String(repeating: " ", count: max(0, width - text.count)) + text }
            .joined(separator: " ")
    }

    private func json(_ row: Row, _ description: ModelDescription) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("model")
        writer.string(model)
        writer.key("architecture")
        writer.string(description.architecture)
        writer.key("threads")
        writer.integer(description.threads)
        writer.key("prompt")
        writer.integer(promptTokens)
        writer.key("generate")
        writer.integer(generatedTokens)
        writer.key("batch")
        writer.integer(row.batch)
        writer.key("prefill_tokens_per_second")
        writer.double(row.prefill)
        writer.key("decode_tokens_per_second")
        writer.double(row.decode)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
