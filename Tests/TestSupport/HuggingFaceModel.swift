import Foundation

/// A checkpoint in the layout of the Hugging Face libraries: `config.json` and safetensors.
///
/// Turns it into a GGUF file in memory, so that references made by those libraries can be compared without a converter.
public struct HuggingFaceModel {
    public struct Tensor {
        public var dataType: String
        /// Slowest-running dimension first.
        public var shape: [Int]
        public var data: [UInt8]
    }

    public var configuration: [String: Any]
    public var tensors: [String: Tensor]

    public init(configuration: [UInt8], safetensors: [UInt8]) throws {
        let parsed = try JSONSerialization.jsonObject(with: Data(configuration))
        self.configuration = parsed as? [String: Any] ?? [:]
        tensors = try Self.parse(safetensors)
    }

    private static func parse(_ file: [UInt8]) throws -> [String: Tensor] {
        let length = Int(file[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        let header = try JSONSerialization.jsonObject(with: Data(file[8..<8 + length])) as? [String: Any] ?? [:]
        var tensors: [String: Tensor] = [:]
        for case let (name, line as [String: Any]) in header where name != "__metadata__" {
            guard let type = line["dtype"] as? String, let shape = line["shape"] as? [Int],
                let range = line["data_offsets"] as? [Int]
            else { continue }
            let start = 8 + length
            tensors[name] = Tensor(
                dataType: type, shape: shape, data: Array(file[start + range[0]..<start + range[1]]))
        }
        return tensors
    }

    private func integer(_ key: String) -> Int? { (configuration[key] as? NSNumber)?.intValue }

    /// The same model as GGUF; `architecture` is `llama`, `qwen2` or `qwen3`.
    public func gguf(architecture: String) -> GGUFWriter {
        var writer = GGUFWriter()
        writer.set("general.architecture", .string(architecture))
        func set(_ key: String, _ value: Int?) {
            if let value { writer.set("\(architecture).\(key)", .uint32(UInt32(value))) }
        }
        set("context_length", integer("max_position_embeddings") ?? 2048)
        set("embedding_length", integer("hidden_size"))
        set("block_count", integer("num_hidden_layers"))
        set("feed_forward_length", integer("intermediate_size"))
        set("attention.head_count", integer("num_attention_heads"))
        set("attention.head_count_kv", integer("num_key_value_heads"))
        set("attention.key_length", integer("head_dim"))
        set("attention.sliding_window", architecture == "llama" ? integer("sliding_window") : nil)
        set("vocab_size", integer("vocab_size"))
        for (key, name) in [("rope_theta", "rope.freq_base"), ("rms_norm_eps", "attention.layer_norm_rms_epsilon")] {
            if let value = configuration[key] as? NSNumber {
                writer.set("\(architecture).\(name)", .float32(value.floatValue))
            }
        }
        for name in tensors.keys.sorted() { add(name, to: &writer, architecture: architecture) }
        return writer
    }

    private func add(_ name: String, to writer: inout GGUFWriter, architecture: String) {
        guard let target = Self.ggufName(name), var tensor = tensors[name] else { return }
        if target == "output.weight", configuration["tie_word_embeddings"] as? Bool == true { return }
        let heads = target.hasSuffix("attn_q.weight") ? "num_attention_heads" : "num_key_value_heads"
        if architecture == "llama", target.hasSuffix("attn_q.weight") || target.hasSuffix("attn_k.weight") {
            tensor.data = interleaved(tensor, heads: integer(heads) ?? 1)
        }
        let types: [String: UInt32] = ["F32": 0, "F16": 1, "BF16": 30]
        writer.add(
            target, type: types[tensor.dataType] ?? 0, dimensions: Array(tensor.shape.reversed()), data: tensor.data)
    }

    /// Rows i and i + half of each head become neighbours.
    private func interleaved(_ tensor: Tensor, heads: Int) -> [UInt8] {
        let rows = tensor.shape[0]
        let rowBytes = tensor.data.count / rows
        let half = rows / heads / 2
        return (0..<rows).flatMap { row -> ArraySlice<UInt8> in
            let (head, place) = (row / (2 * half), row % (2 * half))
            let source = head * 2 * half + place / 2 + (place % 2) * half
            return tensor.data[source * rowBytes..<(source + 1) * rowBytes]
        }
    }

    private static func ggufName(_ name: String) -> String? {
        let fixed = [
            "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight",
        ]
        if let target = fixed[name] { return target }
        let parts = name.split(separator: ".").map(String.init)
        guard parts.count >= 5, parts[1] == "layers" else { return nil }
        let modules = [
            "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "q_proj": "attn_q",
            "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output", "q_norm": "attn_q_norm",
            "k_norm": "attn_k_norm", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down",
        ]
        return modules[parts[parts.count - 2]].map { "blk.\(parts[2]).\($0).\(parts[parts.count - 1])" }
    }
}
