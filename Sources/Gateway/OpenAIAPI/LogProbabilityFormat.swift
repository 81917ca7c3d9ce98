import EngineProtocol
import JSON

/// Writes log-probabilities as the two routes have them.
extension JSONWriter {
    /// `{"content": […], "refusal": null}` of a chat.
    mutating func chatLogProbabilities(_ entries: [TokenLogProbabilities]) {
        beginObject()
        key("content")
        beginArray()
        for entry in entries {
            beginObject()
            members(of: entry.chosen)
            key("top_logprobs")
            beginArray()
            for rival in entry.top {
                beginObject()
                members(of: rival)
                endObject()
            }
            endArray()
            endObject()
        }
        endArray()
        key("refusal")
        null()
        endObject()
    }

    private mutating func members(of token: TokenLogProbability) {
        key("token")
        string(String(decoding: token.bytes, as: UTF8.self))
        key("logprob")
        float(token.logProbability)
        key("bytes")
        beginArray()
        for byte in token.bytes { integer(byte) }
        endArray()
    }

    /// The four lists of a completion, one element for each token.
    ///
    /// - Parameter offset: characters of the text before these tokens; it is moved behind them.
    mutating func completionLogProbabilities(_ entries: [TokenLogProbabilities], offset: inout Int) {
        beginObject()
        key("tokens")
        beginArray()
        for entry in entries { string(entry.chosen.name) }
        endArray()
        key("token_logprobs")
        beginArray()
        for entry in entries { float(entry.chosen.logProbability) }
        endArray()
        key("top_logprobs")
        beginArray()
        for entry in entries { rivals(of: entry) }
        endArray()
        key("text_offset")
        beginArray()
        for entry in entries {
            integer(offset)
            offset += entry.chosen.bytes.count { $0 & 0xC0 != 0x80 }
        }
        endArray()
        endObject()
    }

    /// The likeliest tokens by name, and the chosen one if it is not among them.
    ///
    /// Different tokens can have one name; it then stands for the likelier one.
    private mutating func rivals(of entry: TokenLogProbabilities) {
        var names: Set<String> = []
        beginObject()
        for token in entry.top where names.insert(token.name).inserted {
            key(token.name)
            float(token.logProbability)
        }
        if !entry.top.contains(where: { $0.id == entry.chosen.id }), names.insert(entry.chosen.name).inserted {
            key(entry.chosen.name)
            float(entry.chosen.logProbability)
        }
        endObject()
    }
}

extension TokenLogProbability {
    /// The text that a token writes; where it is no whole characters, its bytes as `bytes:\xe2\x82`.
    fileprivate var name: String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        return "bytes:"
            + bytes.map { byte in "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}
