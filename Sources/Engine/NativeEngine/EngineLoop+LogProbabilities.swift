import EngineProtocol
import Sampling
import Tokenizers

extension EngineLoop {
    /// Chooses a token as `choose` does, and keeps its log-probabilities for the text that shows it.
    func chooseScored(
        slot: Int, options: LogProbabilityOptions, from logits: UnsafeMutableBufferPointer<Float>, position: Int,
        choice: Int
    ) throws(SamplingError) -> Int32 {
        // The sampler is taken out and put back, because a copy would copy its counts at every token.
        guard var running = choices[slot] else { return 0 }
        choices[slot] = nil
        defer { choices[slot] = running }
        let scored = try logProbabilityReader.sample(
            with: &running.sampler, logits: logits, position: position, choice: choice, top: Int(options.top),
            stage: options.stage == .model ? .model : .sampling)
        // The chosen token's bytes are those of the answer's text; a rival may also be a special token, and has a name.
        running.trail?.latest = TokenLogProbabilities(
            chosen: TokenLogProbability(
                id: scored.chosen.id, logProbability: scored.chosen.logProbability,
                bytes: model.bytes(of: scored.chosen.id)),
            top: scored.top.map { rival in
                TokenLogProbability(
                    id: rival.id, logProbability: rival.logProbability, bytes: model.writtenBytes(of: rival.id))
            })
        return scored.chosen.id
    }
}

extension LoadedModel {
    /// The bytes of a token with special tokens written out.
    func writtenBytes(of token: Int32) -> [UInt8] { tokenizer?.bytes(of: token, renderSpecial: true) ?? [] }
}
