import Foundation
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// Files that other programs wrote.
@Suite struct ForeignFileTests {
    struct BlockReference: Decodable {
        let dequant: [String: [Float]]
    }

    @Test(.enabled(if: Fixtures.has("models/neural-api"), "fixtures folder is absent"))
    func `Blocks of the K types unpack to the reference`() throws {
        let file = try fixture("models/neural-api/tiny_kquant.gguf")
        let json = Data(try Fixtures.bytes("models/neural-api/tiny_kquant_ref.json"))
        let reference = try JSONDecoder().decode(BlockReference.self, from: json)
        for (name, expected) in reference.dequant {
            let tensor = try #require(file.tensors.first { $0.name.contains(name) || $0.type.name == name })
            let vector = FloatVector(type: tensor.type, count: expected.count, bytes: file.bytes(of: tensor))
            for (value, expected) in zip(try #require(vector).values, expected) {
                #expect(abs(value - expected) <= abs(expected) * 1e-6)
            }
        }
        #expect(reference.dequant.count == 4)
    }

    @Test(
        .enabled(if: Fixtures.has("models"), "fixtures folder is absent"),
        arguments: [
            "campello-fixtures/tiny_gguf_model.gguf", "inferno-fixtures/fixtures/tiny.gguf",
            "inferno-fixtures/fixtures/tiny_bias.gguf", "ollama-llama2-tiny-random-gguf/llama-2-tiny-random.gguf",
        ])
    func `Foreign models load and their logits agree with their weights unpacked`(path: String) throws {
        let file = try fixture("models/\(path)")
        let tokens = [1, 3, 5, 2, 6, 4, 1]
        let packed = try DecoderRunner(file, threads: 2).logits(tokens, chunk: 3)
        let unpacked = try DecoderRunner(try allFloat(file)).logits(tokens, chunk: 7)
        #expect(packed.allSatisfy { $0.allSatisfy { $0.isFinite } })
        // Unpacking first changes no order, but activations meet quantised weights in eight bits.
        let isQuantised = file.tensors.contains { $0.type.blockSize > 1 }
        if !isQuantised { #expect(bits(packed) == bits(unpacked)) }
        for (row, other) in zip(packed, unpacked) {
            let size = other.map { Double(abs($0)) }.max() ?? 0
            #expect(largestDifference(row, other.map(Double.init)) < 0.02 * size)
        }
    }

    @Test(.enabled(if: Fixtures.has("models/campello-fixtures"), "fixtures folder is absent"))
    func `A file of an unknown architecture can be inspected and not computed`() throws {
        let file = try fixture("models/campello-fixtures/test_tensors.gguf")
        #expect(file.metadata.array("campello_llm_test.tokens")?.string(1) == "hello")
        #expect(file.tensor(named: "ids")?.type == .i32)
        #expect(throws: ModelLoadError.self) { try ModelRegistry.load(file) }
    }

    /// The same file with every tensor unpacked to F32.
    private func allFloat(_ file: GGUFFile) throws -> GGUFFile {
        var writer = GGUFWriter()
        for entry in file.metadata.entries where !entry.key.hasPrefix("tokenizer") {
            switch entry.value {
            case .unsigned(let value, _): writer.set(entry.key, .uint64(value))
            case .signed(let value, _): writer.set(entry.key, .int64(value))
            case .float(let value, _): writer.set(entry.key, .float64(value))
            case .bool(let value): writer.set(entry.key, .bool(value))
            case .string(let value): writer.set(entry.key, .string(value.string))
            case .array: break
            }
        }
        for tensor in file.tensors {
            let vector = FloatVector(type: tensor.type, count: tensor.elementCount, bytes: file.bytes(of: tensor))
            writer.add(tensor.name, dimensions: tensor.dimensions, floats: Array(try #require(vector).values))
        }
        return try read(writer)
    }
}
