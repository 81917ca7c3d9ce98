import EngineProtocol
import JSON
import Platform

/// `apus bench`: prefill and decode speed, measured over the same path that every request takes.
///
/// Each measurement has two runs over the same prompts. The first asks for one token of each and measures prefill. The
/// second decodes; where the worker kept the prompts' keys and values, all its sequences start at once.
struct BenchCommand {
    var model: String
    /// With one, its drafts are measured too.
    var draftModel: String?
    var promptTokens: Int
    var generatedTokens: Int
    var batches: [Int]
    var repeats: Int
    /// Above 0, sequences go different ways even with random weights, whose likeliest tokens soon repeat.
    var temperature: Float
    var asJSON: Bool
    var threads: UInt32
    var cacheType: LoadRequest.CacheType

    private static let warmUpTokens = 4

    /// The same measurement of another model.
    func measuring(_ model: String, draftModel: String?) -> BenchCommand {
        var copy = self
        copy.model = model
        copy.draftModel = draftModel
        return copy
    }

    func run(console: Console) throws(CommandFailure) {
        let largest = batches.max() ?? 1
        let session = try ModelSession.open(
            model: model, draftModel: draftModel, purpose: .generate, console: console,
            contextLength: UInt32(promptTokens + max(Self.warmUpTokens, maximumTokens(batch: largest))),
            parallel: UInt32(largest),
            threads: threads, cacheType: cacheType, measuresMachine: true)
        let report = BenchReport(
            model: model, description: session.description, promptTokens: promptTokens,
            generatedTokens: generatedTokens, repeats: repeats)
        if !asJSON { console.result(report.heading) }
        var prompts = BenchPrompts(tokens: promptTokens, vocabularySize: session.description.vocabularySize)
        for batch in batches {
            // What is touched for the first time is slow: weights, cache, code.
            try session.generate(requests(prompts.next(1), maximumTokens: Self.warmUpTokens)) { _, _ in }
            var speeds: [BenchSpeed] = []
            for _ in 0..<repeats { speeds.append(try measure(prompts.next(batch), session)) }
            let median = BenchSpeed.median(of: speeds)
            console.result(asJSON ? report.json(batch: batch, median) : report.text(batch: batch, median))
        }
    }

    private func measure(_ prompts: [[Int32]], _ session: ModelSession) throws(CommandFailure) -> BenchSpeed {
        var prefill = PrefillTimes(sequences: prompts.count)
        try session.generate(requests(prompts, maximumTokens: 1)) {
            prefill.receive($1, sequence: $0, now: MonotonicClock.now())
        }
        var decode = DecodeWindow(sequences: prompts.count, tokensPerSequence: generatedTokens)
        let decoding = requests(prompts, maximumTokens: maximumTokens(batch: prompts.count))
        try session.generate(decoding, isEnough: { decode.isClosed }) {
            decode.receive($1, sequence: $0, now: MonotonicClock.now())
        }
        guard let prefillSpeed = prefill.tokensPerSecond(promptTokens: promptTokens * prompts.count),
            let decodeSpeed = decode.tokensPerSecond
        else { throw .failed("the run was too short to measure; raise --generate") }
        return BenchSpeed(prefill: prefillSpeed, decode: decodeSpeed)
    }

    /// Enough that the first sequence still decodes when the last one comes to its first token.
    ///
    /// Of a prompt that the worker kept, only a rest is computed again, in a few steps beside the decoding sequences.
    private func maximumTokens(batch: Int) -> Int {
        generatedTokens + 1 + (batch > 1 ? 16 + 4 * batch : 0)
    }

    private func requests(_ prompts: [[Int32]], maximumTokens: Int) -> [GenerateRequest] {
        prompts.enumerated().map { sequence, ids in
            var request = GenerateRequest(
                inputs: [.ids(ids)], maximumTokens: UInt32(maximumTokens),
                sampling: SamplingParameters(temperature: temperature, seed: UInt64(sequence)),
                ignoreEndOfSequence: true)
            // The speed of the model is wanted, not how well its text repeats itself.
            request.speculation = draftModel == nil ? .off : .model
            return request
        }
    }
}

/// Prompts of ids that spread over the vocabulary: the same in every run of the program, and no two alike.
///
/// A prompt that came before would be found in the worker's prefix cache.
private struct BenchPrompts {
    let tokens: Int
    let vocabularySize: UInt32
    private var position: UInt64 = 0

    init(tokens: Int, vocabularySize: UInt32) {
        self.tokens = tokens
        self.vocabularySize = vocabularySize
    }

    mutating func next(_ count: Int) -> [[Int32]] {
        (0..<count).map { _ in (0..<tokens).map { _ in nextID() } }
    }

    /// SplitMix64 of a counter.
    private mutating func nextID() -> Int32 {
        position &+= 0x9E37_79B9_7F4A_7C15
        var bits = position
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int32((bits ^ (bits >> 31)) % UInt64(max(vocabularySize, 1)))
    }
}

/// What was measured, as a line for people or for programs.
private struct BenchReport {
    let model: String
    let description: ModelDescription
    let promptTokens: Int
    let generatedTokens: Int
    let repeats: Int

    private static let columns = [
        ("prompt", 6), ("generate", 8), ("batch", 5), ("prefill tok/s", 15), ("decode tok/s", 14),
        ("% of peak", 9), ("% of read", 9),
    ]

    var heading: String {
        let compute = description.compute
        let threads = "\(description.threads) thread\(description.threads == 1 ? "" : "s")"
        let peak = String(rounded: compute.byteOperationsPerSecond / 1e9, places: 0)
        let bandwidth = String(rounded: compute.readBytesPerSecond / 1e9, places: 1)
        return "\(compute.instructionSet), \(threads), KV cache \(compute.cacheType.name); "
            + "the machine: \(peak) GOP/s of bytes, \(bandwidth) GB/s read\n" + Self.line(Self.columns.map(\.0))
    }

    func text(batch: Int, _ speed: BenchSpeed) -> String {
        Self.line([
            String(promptTokens), String(generatedTokens), String(batch), String(rounded: speed.prefill, places: 1),
            String(rounded: speed.decode, places: 1), String(rounded: 100 * shareOfPeak(speed), places: 0),
            String(rounded: 100 * shareOfBandwidth(speed, batch: batch), places: 0),
        ])
    }

    /// Prefill's products of weights against what the processor can do with bytes; without attention.
    private func shareOfPeak(_ speed: BenchSpeed) -> Double {
        let peak = description.compute.byteOperationsPerSecond
        return peak > 0 ? speed.prefill * Double(description.compute.operationsPerToken) / peak : 0
    }

    /// The weights that decoding reads against what the memory can deliver; without the cache.
    private func shareOfBandwidth(_ speed: BenchSpeed, batch: Int) -> Double {
        let bandwidth = description.compute.readBytesPerSecond
        let steps = speed.decode / Double(max(batch, 1))
        return bandwidth > 0 ? steps * Double(description.compute.bytesPerStep) / bandwidth : 0
    }

    private static func line(_ values: [String]) -> String {
        zip(values, columns).map { value, column in
            String(repeating: " ", count: max(0, column.1 - value.count)) + value
        }.joined(separator: " ")
    }

    func json(batch: Int, _ speed: BenchSpeed) -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("model")
        writer.string(model)
        writer.key("architecture")
        writer.string(description.architecture)
        writer.key("threads")
        writer.integer(description.threads)
        writer.key("instruction_set")
        writer.string(description.compute.instructionSet)
        writer.key("kv_cache")
        writer.string(description.compute.cacheType.name)
        writer.key("load_seconds")
        writer.double(Double(description.loadNanoseconds) / 1e9)
        writer.key("prompt")
        writer.integer(promptTokens)
        writer.key("generate")
        writer.integer(generatedTokens)
        writer.key("batch")
        writer.integer(batch)
        writer.key("repeat")
        writer.integer(repeats)
        writer.key("prefill_tokens_per_second")
        writer.double(speed.prefill)
        writer.key("decode_tokens_per_second")
        writer.double(speed.decode)
        writer.key("byte_operations_per_second_peak")
        writer.double(description.compute.byteOperationsPerSecond)
        writer.key("read_bytes_per_second_peak")
        writer.double(description.compute.readBytesPerSecond)
        writer.key("prefill_share_of_peak")
        writer.double(shareOfPeak(speed))
        writer.key("decode_share_of_read")
        writer.double(shareOfBandwidth(speed, batch: batch))
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}
