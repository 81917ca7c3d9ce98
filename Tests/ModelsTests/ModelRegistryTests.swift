import ModelFiles
import Models
import TestSupport
import Testing

@Suite struct ModelRegistryTests {
    struct Refusal: Sendable, CustomTestStringConvertible {
        let says: String
        let change: @Sendable (inout GGUFWriter) -> Void
        var testDescription: String { says }
    }

    static let refusals: [Refusal] = [
        Refusal(says: "mamba is not supported; supported are llama, qwen2, qwen3") {
            $0.set("general.architecture", .string("mamba"))
        },
        Refusal(says: "general.architecture: a string is needed") { $0.set("general.architecture", .uint32(1)) },
        Refusal(says: "lacks general.architecture") { $0.metadata.removeFirst() },
        Refusal(says: "lacks llama.context_length") { remove("llama.context_length", &$0) },
        Refusal(says: "lacks llama.embedding_length") { remove("llama.embedding_length", &$0) },
        Refusal(says: "lacks llama.attention.layer_norm_rms_epsilon") {
            remove("llama.attention.layer_norm_rms_epsilon", &$0)
        },
        Refusal(says: "llama.block_count: 4000000000 is not in 1…1024") {
            $0.set("llama.block_count", .uint32(4_000_000_000))
        },
        Refusal(says: "llama.block_count: an integer is needed") { $0.set("llama.block_count", .string("2")) },
        Refusal(says: "lacks the tensor blk.2.attn_norm.weight") { $0.set("llama.block_count", .uint32(3)) },
        Refusal(says: "2 tensor(s)") {
            for name in ["ffn_gate_inp", "attn_sinks"] { $0.add("blk.0.\(name).weight", dimensions: [1], floats: [1]) }
        },
        Refusal(says: "head_count_kv: 3 does not divide 4") { $0.set("llama.attention.head_count_kv", .uint32(3)) },
        Refusal(says: "head_count_kv: 0 is not in") { $0.set("llama.attention.head_count_kv", .uint32(0)) },
        Refusal(says: "head_count: an integer is needed") {
            $0.set("llama.attention.head_count", .integers([4, 4]))
        },
        Refusal(says: "its shape is [20, 24], expected is [20, 32]") {
            $0.set("llama.attention.key_length", .uint32(8))
            $0.set("llama.attention.value_length", .uint32(8))
        },
        Refusal(says: "value heads of 8 beside key heads of 6") { $0.set("llama.attention.value_length", .uint32(8)) },
        Refusal(says: "rope.dimension_count: 8 is not in 2…6") { $0.set("llama.rope.dimension_count", .uint32(8)) },
        Refusal(says: "rope.dimension_count: 3 is odd") { $0.set("llama.rope.dimension_count", .uint32(3)) },
        Refusal(says: "rope.freq_base: a finite positive number") { $0.set("llama.rope.freq_base", .float32(.nan)) },
        Refusal(says: "rms_epsilon: a finite positive number") {
            $0.set("llama.attention.layer_norm_rms_epsilon", .float32(-1))
        },
        Refusal(says: "YaRN with an extrapolation factor of 0.5") {
            $0.set("llama.rope.scaling.type", .string("yarn"))
            $0.set("llama.rope.scaling.yarn_ext_factor", .float32(0.5))
        },
        Refusal(says: "RoPE scaling of type longrope") { $0.set("llama.rope.scaling.type", .string("longrope")) },
        Refusal(says: "rope_freqs.weight: its shape is [2], expected is [3]") {
            $0.add("rope_freqs.weight", dimensions: [2], floats: [1, 1])
        },
        Refusal(says: "rope_freqs.weight: a divisor") {
            $0.add("rope_freqs.weight", dimensions: [3], floats: [1, 0, 1])
        },
        Refusal(says: "8 experts") { $0.set("llama.expert_count", .uint32(8)) },
        Refusal(says: "vocab_size: 24, but the embedding has 23 rows") { $0.set("llama.vocab_size", .uint32(24)) },
        Refusal(says: "30 tokens, but the embedding has 23") {
            $0.set("tokenizer.ggml.tokens", .strings((0..<30).map(String.init)))
        },
        Refusal(says: "lacks the tensor token_embd.weight") { $0.tensors.removeFirst() },
        Refusal(says: "token_embd.weight: its shape is [20, 23], expected is [40, 23]") {
            $0.set("llama.embedding_length", .uint32(40))
        },
        Refusal(says: "has the type I32; supported are F32") { writer in
            for place in writer.tensors.indices where writer.tensors[place].name == "blk.1.ffn_up.weight" {
                writer.tensors[place].type = 26
            }
        },
    ]

    private static func remove(_ key: String, _ writer: inout GGUFWriter) {
        writer.metadata.removeAll { $0.key == key }
    }

    @Test(arguments: refusals) func `What cannot be computed is refused by name`(refusal: Refusal) throws {
        var writer = try TinyDecoder.named("llama").gguf()
        refusal.change(&writer)
        let file = try read(writer)
        let error = #expect(throws: ModelLoadError.self) { try ModelRegistry.load(file) }
        #expect(error?.description.contains(refusal.says) == true, "\(String(describing: error))")
    }

    @Test func `Qwen3 needs its norms and its head dimension`() throws {
        var writer = try TinyDecoder.named("qwen3").gguf()
        Self.remove("qwen3.attention.key_length", &writer)
        #expect(throws: ModelLoadError.missingParameter(key: "qwen3.attention.key_length")) {
            try ModelRegistry.load(try read(writer))
        }
        writer = try TinyDecoder.named("qwen3").gguf()
        writer.tensors.removeAll { $0.name.contains("attn_k_norm") }
        #expect(throws: ModelLoadError.missingTensor(name: "blk.0.attn_k_norm.weight")) {
            try ModelRegistry.load(try read(writer))
        }
    }
}
