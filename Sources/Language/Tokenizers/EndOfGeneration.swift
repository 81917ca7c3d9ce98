/// The tokens that end an answer.
enum EndOfGeneration {
    /// Texts that end an answer in every vocabulary that has them as a token of their own.
    static let knownTexts: Set<String> = [
        "</s>", "<eos>", "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<|eot_id|>", "<|eom_id|>",
        "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<end_of_utterance>", "<EOT>", "_<EOT>",
        "<|EOT|>",
    ]

    /// The ids that end an answer, out of special tokens by text and the declared ids.
    static func ids(declared: [Int], specialTexts: [String: Int32]) -> Set<Int32> {
        var ids = Set(declared.map(Int32.init))
        for (text, id) in specialTexts where knownTexts.contains(text) { ids.insert(id) }
        // Where messages end with <|return|> or <|call|> (gpt-oss), <|end|> only ends a part of the answer.
        if let end = specialTexts["<|end|>"], specialTexts["<|return|>"] != nil, specialTexts["<|call|>"] != nil {
            ids.remove(end)
        }
        return ids
    }
}
