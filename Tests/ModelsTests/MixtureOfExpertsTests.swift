import ModelFiles
import Tensors
import TestSupport
import Testing

@testable import Models

@Suite struct MixtureOfExpertsTests {
    private func workspace(experts: Int, used: Int, rows: [[Float]]) throws -> ExpertWorkspace {
        let workspace = try ExpertWorkspace(
            ExpertConfiguration(count: experts, used: used), width: 2, feedForwardWidth: 3, maximumRows: rows.count)
        for (row, scores) in rows.enumerated() { _ = workspace.scores[row].update(fromContentsOf: scores) }
        workspace.route(rows: rows.count)
        return workspace
    }

    @Test func `The highest scores win, and among equal ones the lowest numbers`() throws {
        let workspace = try workspace(
            experts: 4, used: 2,
            rows: [[1, 2, 3, 4], [4, 3, 2, 1], [0, 0, 0, 0], [1, 5, 1, 5], [-1, -2, -1, -3], [7, 1, 9, 9]])
        let chosen = (0..<6).map { Array(workspace.experts(row: $0)) }
        #expect(chosen == [[3, 2], [0, 1], [0, 1], [1, 3], [0, 2], [2, 3]])
    }

    @Test func `Scores that are no numbers still choose different experts`() throws {
        let workspace = try workspace(
            experts: 4, used: 3,
            rows: [
                [.nan, .nan, .nan, .nan], [.nan, 1, 2, 3], [1, .nan, 3, 2], [.infinity, .nan, -.infinity, .infinity],
            ])
        for row in 0..<4 {
            #expect(Set(workspace.experts(row: row)).isSubset(of: [0, 1, 2, 3]))
            #expect(Set(workspace.experts(row: row)).count == 3)
        }
    }

    @Test func `Every expert gets its rows side by side`() throws {
        let workspace = try workspace(
            experts: 5, used: 2, rows: [[9, 0, 8, 0, 0], [0, 0, 0, 1, 2], [0, 0, 9, 0, 8]])
        #expect(
            workspace.groups == [
                .init(expert: 0, rows: 0..<1), .init(expert: 2, rows: 1..<3), .init(expert: 3, rows: 3..<4),
                .init(expert: 4, rows: 4..<6),
            ])
    }

    /// Replaces the elements of all tensors whose names end in `suffix`.
    private func fill(_ suffix: String, _ writer: inout GGUFWriter, _ value: (Int) -> Float) {
        for place in writer.tensors.indices where writer.tensors[place].name.hasSuffix(suffix) {
            let count = writer.tensors[place].data.count / 4
            writer.tensors[place].data = (0..<count).flatMap { littleEndian(value($0).bitPattern) }
        }
    }

    /// The dense model that has the weights of one expert.
    private func dense(_ mixture: GGUFWriter, expert: Int, experts: Int) -> GGUFWriter {
        var writer = mixture
        writer.metadata = writer.metadata.map { entry in
            let key = entry.key.replacing("qwen3moe.", with: "qwen3.")
                .replacing("qwen3.feed_forward_length", with: "qwen3.ignored")
            return (key.replacing("expert_feed_forward_length", with: "feed_forward_length"), entry.value)
        }
        writer.set("general.architecture", .string("qwen3"))
        writer.tensors = writer.tensors.compactMap { tensor in
            var tensor = tensor
            if tensor.name.hasSuffix("ffn_gate_inp.weight") { return nil }
            guard tensor.name.contains("_exps") else { return tensor }
            tensor.name = tensor.name.replacing("_exps", with: "")
            tensor.dimensions.removeLast()
            let size = tensor.data.count / experts
            tensor.data = Array(tensor.data[expert * size..<(expert + 1) * size])
            return tensor
        }
        return writer
    }

    @Test func `When one expert gets every row the model is the dense model of that expert`() throws {
        let decoder = try TinyDecoder.named("qwen3moe")
        let experts = try #require(decoder.experts)
        var writer = decoder.gguf()
        writer.set("qwen3moe.expert_used_count", .uint32(1))
        // Equal scores leave the choice to the lowest number.
        fill("ffn_gate_inp.weight", &writer) { _ in 0 }
        let dense = try read(dense(writer, expert: 0, experts: experts))
        let expected = bits(try DecoderRunner(dense).logits(decoder.tokens, chunk: 20))
        for (chunk, threads) in [(20, 1), (20, 3), (1, 2), (7, 4)] {
            let runner = try DecoderRunner(try read(writer), threads: threads)
            #expect(bits(try runner.logits(decoder.tokens, chunk: chunk)) == expected)
        }
    }

    @Test func `Several experts that are all equal weigh as one`() throws {
        let decoder = try TinyDecoder.named("qwen3moe")
        let experts = try #require(decoder.experts)
        var writer = decoder.gguf()
        fill("ffn_gate_inp.weight", &writer) { _ in 0 }
        for place in writer.tensors.indices where writer.tensors[place].name.contains("_exps") {
            let one = writer.tensors[place].data.prefix(writer.tensors[place].data.count / experts)
            writer.tensors[place].data = (0..<experts).flatMap { _ in one }
        }
        // Two halves of the same number make that number again.
        #expect(decoder.used == 2)
        let dense = try read(dense(writer, expert: 3, experts: experts))
        let expected = try DecoderRunner(dense).logits(decoder.tokens, chunk: 20)
        let logits = try DecoderRunner(try read(writer), threads: 2).logits(decoder.tokens, chunk: 9)
        for (row, other) in zip(logits, expected) { #expect(largestDifference(row, other.map(Double.init)) < 1e-3) }
    }

    @Test func `Packed experts compute what their unpacked weights do`() throws {
        let file = try read(packed(try quantisable()))
        let unpacked = try read(unpacked(packed(try quantisable())))
        #expect(file.tensor(named: "blk.1.ffn_down_exps.weight")?.type == .iq4_nl)
        let tokens = [3, 1, 4, 1, 5, 9, 2, 6]
        let logits = try DecoderRunner(file, threads: 2).logits(tokens, chunk: 3)
        // The difference is that of activations in eight bits.
        for (row, other) in zip(logits, try DecoderRunner(unpacked).logits(tokens, chunk: 8)) {
            #expect(largestDifference(row, other.map(Double.init)) < 0.1)
        }
    }

    /// A mixture whose rows are whole blocks of 32.
    private func quantisable() throws -> GGUFWriter {
        var decoder = try TinyDecoder.named("qwen3moe")
        (decoder.width, decoder.inner) = (32, 64)
        return decoder.gguf()
    }

    /// The experts as random blocks of IQ4_NL with a scale of 2^-9.
    private func packed(_ writer: GGUFWriter) -> GGUFWriter {
        var (writer, random) = (writer, SeededRandom(seed: 5))
        for place in writer.tensors.indices where writer.tensors[place].name.contains("_exps") {
            let blocks = writer.tensors[place].data.count / 4 / 32
            writer.tensors[place].type = TensorType.iq4_nl.rawValue
            writer.tensors[place].data = (0..<blocks).flatMap { _ in
                [0x00, 0x18] + (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
            }
        }
        return writer
    }

    private func unpacked(_ writer: GGUFWriter) throws -> GGUFWriter {
        var writer = writer
        for place in writer.tensors.indices {
            let tensor = writer.tensors[place]
            guard tensor.type == TensorType.iq4_nl.rawValue else { continue }
            let count = Int(tensor.dimensions.reduce(1, *))
            let vector = tensor.data.withUnsafeBytes { FloatVector(type: .iq4_nl, count: count, bytes: $0) }
            writer.tensors[place].type = TensorType.f32.rawValue
            writer.tensors[place].data = try #require(vector).values.flatMap { littleEndian($0.bitPattern) }
        }
        return writer
    }

    struct Refusal: CustomStringConvertible, Sendable {
        let description: String
        let says: String
        let change: @Sendable (inout GGUFWriter) -> Void

        init(_ description: String, says: String, _ change: @escaping @Sendable (inout GGUFWriter) -> Void) {
            (self.description, self.says, self.change) = (description, says, change)
        }
    }

    private static func set(_ key: String, _ value: GGUFWriter.Value, says: String) -> Refusal {
        Refusal("\(key) \(value)", says: says) { $0.set("qwen3moe.\(key)", value) }
    }

    static let refusals: [Refusal] = [
        set("expert_count", .uint32(0), says: "qwen3moe.expert_count: 0 is not in 1…1024"),
        set("expert_count", .uint32(1_025), says: "qwen3moe.expert_count: 1025 is not in 1…1024"),
        set("expert_count", .uint32(6), says: "blk.0.ffn_gate_inp.weight: its shape is [20, 5], expected is [20, 6]"),
        set("expert_count", .int64(-5), says: "qwen3moe.expert_count"),
        set("expert_used_count", .uint32(0), says: "qwen3moe.expert_used_count: 0 is not in 1…5"),
        set("expert_used_count", .uint32(6), says: "qwen3moe.expert_used_count: 6 is not in 1…5"),
        set("expert_used_count", .string("2"), says: "qwen3moe.expert_used_count: an integer is needed"),
        set("expert_feed_forward_length", .uint64(1 << 40), says: "qwen3moe.expert_feed_forward_length"),
        set("expert_feed_forward_length", .uint32(11), says: "blk.0.ffn_gate_exps.weight: its shape is [20, 12, 5]"),
        set("expert_shared_count", .uint32(1), says: "1 shared expert"),
        set("expert_group_count", .uint32(4), says: "experts in 4 groups"),
        set("expert_gating_func", .uint32(2), says: "gating function 2"),
        set("expert_weights_scale", .float32(2.5), says: "scaled by 2.5"),
        set("expert_weights_norm", .bool(false), says: "do not add up to one"),
        set("expert_weights_norm", .uint32(1), says: "qwen3moe.expert_weights_norm: true or false is needed"),
        Refusal("no expert count", says: "lacks qwen3moe.expert_count") { writer in
            writer.metadata.removeAll { $0.key == "qwen3moe.expert_count" }
        },
        Refusal("no width of an expert", says: "lacks qwen3moe.expert_feed_forward_length") { writer in
            writer.metadata.removeAll { $0.key == "qwen3moe.expert_feed_forward_length" }
        },
        Refusal("no router", says: "lacks the tensor blk.1.ffn_gate_inp.weight") { writer in
            writer.tensors.removeAll { $0.name == "blk.1.ffn_gate_inp.weight" }
        },
        Refusal("a shared expert", says: "blk.0.ffn_up_shexp.weight") { writer in
            writer.add("blk.0.ffn_up_shexp.weight", dimensions: [2], floats: [0, 0])
        },
        Refusal("experts of a type without kernels", says: "blk.0.ffn_up_exps.weight has the type I32") { writer in
            for place in writer.tensors.indices where writer.tensors[place].name == "blk.0.ffn_up_exps.weight" {
                writer.tensors[place].type = TensorType.i32.rawValue
            }
        },
    ]

    @Test(arguments: refusals) func `A mixture that cannot be computed is refused by name`(refusal: Refusal) throws {
        var writer = try TinyDecoder.named("qwen3moe").gguf()
        refusal.change(&writer)
        let file = try read(writer)
        let error = #expect(throws: ModelLoadError.self) { try ModelRegistry.load(file) }
        #expect(error?.description.contains(refusal.says) == true, "\(String(describing: error))")
    }

    @Test func `What says the usual is not refused`() throws {
        var writer = try TinyDecoder.named("qwen3moe").gguf()
        writer.set("qwen3moe.expert_shared_count", .uint32(0))
        writer.set("qwen3moe.expert_gating_func", .uint32(1))
        writer.set("qwen3moe.expert_weights_scale", .float32(1))
        writer.set("qwen3moe.expert_weights_norm", .bool(true))
        let experts = try ModelRegistry.load(try read(writer)).configuration.experts
        #expect(experts?.count == 5 && experts?.used == 2)
    }

    @Test func `The workspace of another mixture is refused`() throws {
        let decoder = try TinyDecoder.named("qwen3moe")
        var other = decoder.gguf()
        other.set("qwen3moe.expert_used_count", .uint32(3))
        let (runner, foreign) = (try DecoderRunner(try read(decoder.gguf())), try DecoderRunner(try read(other)))
        let step = ForwardStep(rows: DecoderRunner.rows([1], 0..<1), blockTables: runner.tables)
        #expect(throws: ForwardError.mismatch(what: "the workspace")) {
            try runner.model.forward(step, cache: runner.cache, workspace: foreign.workspace, pool: runner.pool)
        }
    }
}
