import Foundation
import TestSupport

/// The tiny decoders of `Goldens/make_goldens.py`: weights from a seed, logits from that script.
///
/// The logits of some were computed by the `transformers` library too.
struct TinyDecoder: Decodable, CustomStringConvertible {
    var name: String
    var architecture: String
    var seed: UInt64
    var width: Int
    var inner: Int
    var layers: Int
    var heads: Int
    var groups: Int
    var headDimension: Int
    var rotated: Int
    var vocabulary: Int
    var epsilon: Float
    var base: Float
    var tied: Bool
    var experts: Int?
    var used: Int?
    var window: Int?
    var divisors: [Float]?
    var scaling: String?
    var factor: Float?
    var trained: Int?
    var tokens: [Int]
    /// Logits by position.
    var logits: [String: [Double]]
    /// The same, of what the output matrix is multiplied with; nil where they were not computed.
    var hiddenStates: [String: [Double]]?

    var description: String { name }

    static func all() throws -> [TinyDecoder] { try goldens("decoders") }

    static func fromTransformers() throws -> [TinyDecoder] { try goldens("transformers") }

    private static func goldens(_ name: String) throws -> [TinyDecoder] {
        try JSONDecoder().decode([TinyDecoder].self, from: Goldens.bytes("ModelsTests/Goldens/\(name).json"))
    }

    static func named(_ name: String) throws -> TinyDecoder {
        guard let decoder = try all().first(where: { $0.name == name }) else { throw MissingFixture(path: name) }
        return decoder
    }

    func gguf() -> GGUFWriter {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string(architecture))
        let integers: [(String, Int?)] = [
            ("context_length", 64), ("embedding_length", width), ("block_count", layers),
            ("feed_forward_length", experts == nil ? inner : 4 * inner),
            ("expert_feed_forward_length", experts == nil ? nil : inner),
            ("expert_count", experts), ("expert_used_count", used), ("attention.head_count", heads),
            ("attention.head_count_kv", groups),
            ("attention.key_length", headDimension), ("attention.value_length", headDimension),
            ("rope.dimension_count", rotated), ("attention.sliding_window", window),
            ("rope.scaling.original_context_length", trained),
        ]
        for case (let key, let value?) in integers { writer.set("\(architecture).\(key)", .uint32(UInt32(value))) }
        writer.set("\(architecture).attention.layer_norm_rms_epsilon", .float32(epsilon))
        writer.set("\(architecture).rope.freq_base", .float32(base))
        if let scaling { writer.set("\(architecture).rope.scaling.type", .string(scaling)) }
        if let factor { writer.set("\(architecture).rope.scaling.factor", .float32(factor)) }
        addTensors(to: &writer)
        return writer
    }

    private func addTensors(to writer: inout GGUFWriter) {
        var random = SeededRandom(seed: seed)
        func add(_ name: String, _ dimensions: [Int], center: Float = 0) {
            let values = (0..<dimensions.reduce(1, *)).map { _ in center + Float(random.next() >> 52) / 4096 - 0.5 }
            writer.add(name, dimensions: dimensions, floats: values)
        }
        let (query, key) = (heads * headDimension, groups * headDimension)
        add("token_embd.weight", [width, vocabulary])
        for layer in 0..<layers {
            let block = "blk.\(layer)."
            add(block + "attn_norm.weight", [width], center: 1)
            for (name, rows) in [("attn_q", query), ("attn_k", key), ("attn_v", key)] {
                add(block + name + ".weight", [width, rows])
                if architecture == "qwen2" { add(block + name + ".bias", [rows]) }
            }
            if architecture.hasPrefix("qwen3") {
                for name in ["attn_q_norm", "attn_k_norm"] { add(block + name + ".weight", [headDimension], center: 1) }
            }
            add(block + "attn_output.weight", [query, width])
            add(block + "ffn_norm.weight", [width], center: 1)
            if let experts {
                add(block + "ffn_gate_inp.weight", [width, experts])
                add(block + "ffn_gate_exps.weight", [width, inner, experts])
                add(block + "ffn_up_exps.weight", [width, inner, experts])
                add(block + "ffn_down_exps.weight", [inner, width, experts])
            } else {
                add(block + "ffn_gate.weight", [width, inner])
                add(block + "ffn_up.weight", [width, inner])
                add(block + "ffn_down.weight", [inner, width])
            }
        }
        add("output_norm.weight", [width], center: 1)
        if !tied { add("output.weight", [width, vocabulary]) }
        if let divisors { writer.add("rope_freqs.weight", dimensions: [divisors.count], floats: divisors) }
    }
}
