/// A Llama model with random weights and a SentencePiece vocabulary of bytes and letters, as GGUF bytes.
///
/// It talks nonsense, but the same nonsense every time; a logit bias makes it say what a test wants.
public struct TinyModel: Sendable {
    public var layers = 2
    public var width = 32
    public var feedForward = 64
    public var heads = 4
    public var keyValueHeads = 2
    public var contextLength = 256
    public var seed: UInt64 = 1
    public var chatTemplate: String? = TinyModel.template
    public var addsBOS = true
    /// For vocabularies that are not quite the same.
    public var lastPiece = "an"
    public var endToken = TinyModel.eos

    public init() {}

    public static let unknown: Int32 = 0
    public static let bos: Int32 = 1
    public static let eos: Int32 = 2
    /// The token of a byte that no other token covers.
    public static func token(byte: UInt8) -> Int32 { 3 + Int32(byte) }
    /// The token of a letter from a to z.
    public static func token(letter: Character) -> Int32? { letters.firstIndex(of: letter).map { 260 + Int32($0) } }

    public static let letters = Array("abcdefghijklmnopqrstuvwxyz")
    public static let template =
        "{% for message in messages %}[{{ message['role'] }}]{{ message['content'] }}\n{% endfor %}"
        + "{% if add_generation_prompt %}[assistant]{% endif %}"

    /// `▁` stands for a space.
    private static let pieces: [String] =
        ["<unk>", "<s>", "</s>"]
        + (0..<256).map { "<0x" + (($0 < 16 ? "0" : "") + String($0, radix: 16)).uppercased() + ">" }
        + ["▁"] + letters.map(String.init) + ["▁a", "th", "the", "▁the", "an"]

    public static var vocabularySize: Int { pieces.count }

    /// The whole file.
    public func bytes() -> [UInt8] { writer().bytes() }

    /// The file before it is written, for tests that change it.
    public func writer() -> GGUFWriter {
        var writer = GGUFWriter()
        writeConfiguration(to: &writer)
        writeVocabulary(to: &writer)
        writeWeights(to: &writer)
        return writer
    }

    private func writeConfiguration(to writer: inout GGUFWriter) {
        writer.set("general.architecture", .string("llama"))
        writer.set("general.name", .string("tiny"))
        writer.set("llama.context_length", .uint32(UInt32(contextLength)))
        writer.set("llama.embedding_length", .uint32(UInt32(width)))
        writer.set("llama.block_count", .uint32(UInt32(layers)))
        writer.set("llama.feed_forward_length", .uint32(UInt32(feedForward)))
        writer.set("llama.attention.head_count", .uint32(UInt32(heads)))
        writer.set("llama.attention.head_count_kv", .uint32(UInt32(keyValueHeads)))
        writer.set("llama.attention.layer_norm_rms_epsilon", .float32(1e-5))
        writer.set("llama.rope.dimension_count", .uint32(UInt32(width / heads)))
        writer.set("llama.vocab_size", .uint32(UInt32(Self.vocabularySize)))
    }

    private func writeVocabulary(to writer: inout GGUFWriter) {
        let types: [Int32] = [2, 3, 3] + Array(repeating: 6, count: 256)
        writer.set("tokenizer.ggml.model", .string("llama"))
        writer.set("tokenizer.ggml.tokens", .strings(Self.pieces.dropLast() + [lastPiece]))
        writer.set("tokenizer.ggml.scores", .floats(Self.pieces.indices.map { Float($0 < 259 ? 0 : $0 - 400) }))
        writer.set(
            "tokenizer.ggml.token_type",
            .integers(types + Array(repeating: 1, count: Self.pieces.count - types.count)))
        writer.set("tokenizer.ggml.bos_token_id", .uint32(UInt32(Self.bos)))
        writer.set("tokenizer.ggml.eos_token_id", .uint32(UInt32(endToken)))
        writer.set("tokenizer.ggml.unknown_token_id", .uint32(UInt32(Self.unknown)))
        writer.set("tokenizer.ggml.add_bos_token", .bool(addsBOS))
        if let chatTemplate { writer.set("tokenizer.chat_template", .string(chatTemplate)) }
    }

    private func writeWeights(to writer: inout GGUFWriter) {
        var random = SeededRandom(seed: seed)
        let keyValueWidth = width / heads * keyValueHeads
        func add(_ name: String, _ columns: Int, _ rows: Int) {
            writer.add(
                name, type: 0, dimensions: [columns, rows], data: Self.uniform(columns * rows, columns, &random))
        }
        func addNorm(_ name: String) {
            writer.add(name, dimensions: [width], floats: Array(repeating: 1, count: width))
        }
        add("token_embd.weight", width, Self.vocabularySize)
        for layer in 0..<layers {
            let prefix = "blk.\(layer)."
            addNorm(prefix + "attn_norm.weight")
            add(prefix + "attn_q.weight", width, width)
            add(prefix + "attn_k.weight", width, keyValueWidth)
            add(prefix + "attn_v.weight", width, keyValueWidth)
            add(prefix + "attn_output.weight", width, width)
            addNorm(prefix + "ffn_norm.weight")
            add(prefix + "ffn_gate.weight", width, feedForward)
            add(prefix + "ffn_up.weight", width, feedForward)
            add(prefix + "ffn_down.weight", feedForward, width)
        }
        addNorm("output_norm.weight")
        add("output.weight", width, Self.vocabularySize)
    }

    /// F32 values around zero whose products with a row of ones have a spread of about one.
    private static func uniform(_ count: Int, _ columns: Int, _ random: inout SeededRandom) -> [UInt8] {
        let scale = 3.5 / Float(columns).squareRoot()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 4)
        for _ in 0..<count {
            let unit = Float(random.next() >> 40) / Float(1 << 24) - 0.5
            let bits = (unit * scale).bitPattern
            bytes.append(UInt8(truncatingIfNeeded: bits))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 8))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 16))
            bytes.append(UInt8(truncatingIfNeeded: bits >> 24))
        }
        return bytes
    }
}
