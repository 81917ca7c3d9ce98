import Foundation
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// Checkpoints with logits that the Hugging Face library computed.
@Suite struct HuggingFaceLogitsTests {
    struct Reference: Decodable {
        let sequences: [[Int]]
        let logits: [[[Double]]]
    }

    private static let folder = "models/neural-api"

    private func file(_ name: String, architecture: String) throws -> GGUFFile {
        let model = try HuggingFaceModel(
            configuration: try Fixtures.bytes("\(Self.folder)/tiny_\(name)_config.json"),
            safetensors: try Fixtures.bytes("\(Self.folder)/tiny_\(name).safetensors"))
        return try read(model.gguf(architecture: architecture))
    }

    private func reference(_ name: String) throws -> Reference {
        let bytes = try Fixtures.bytes("\(Self.folder)/tiny_\(name)_logits.json")
        return try JSONDecoder().decode(Reference.self, from: Data(bytes))
    }

    @Test(
        .enabled(if: Fixtures.has(folder), "fixtures folder is absent"),
        arguments: [
            ("llama", "llama"), ("mistral", "llama"), ("smollm2", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3"),
        ])
    func `Logits agree with the library's`(name: String, architecture: String) throws {
        let (file, reference) = (try file(name, architecture: architecture), try reference(name))
        for chunk in [16, 1, 5] {
            let runner = try DecoderRunner(file, cacheType: .f32)
            for (tokens, expected) in zip(reference.sequences, reference.logits) {
                let logits = try runner.logits(tokens, chunk: chunk)
                for (row, expected) in expected.enumerated() {
                    let difference = largestDifference(logits[row], expected)
                    #expect(difference < 1e-4, "position \(row), chunks of \(chunk): \(difference)")
                }
            }
        }
    }

    @Test(
        .enabled(if: Fixtures.has(folder), "fixtures folder is absent"),
        arguments: [("tiny_llama_f32.gguf", 1e-4), ("tiny_llama_f16.gguf", 1e-2)])
    func `The GGUF of a checkpoint gives the checkpoint's logits`(name: String, tolerance: Double) throws {
        let runner = try DecoderRunner(try fixture("\(Self.folder)/\(name)"), cacheType: .f32)
        let reference = try reference("llama")
        for (tokens, expected) in zip(reference.sequences, reference.logits) {
            for (row, expected) in zip(try runner.logits(tokens, chunk: 16), expected) {
                #expect(largestDifference(row, expected) < tolerance)
            }
        }
    }

    @Test(.enabled(if: Fixtures.has(folder), "fixtures folder is absent"))
    func `A Q8_0 file holds its checkpoint within half a step and the rounding of the scale`() throws {
        let packed = try fixture("\(Self.folder)/tiny_llama_q8.gguf")
        let exact = try file("llama_q8", architecture: "llama")
        #expect(packed.tensors.count == exact.tensors.count)
        for tensor in packed.tensors {
            let original = try #require(exact.tensor(named: tensor.name))
            let (a, b) = (try unpack(tensor, of: packed), try unpack(original, of: exact))
            for block in stride(from: 0, to: a.count, by: 32) {
                let places = block..<min(block + 32, a.count)
                let step = (places.map { abs(b[$0]) }.max() ?? 0) / 127
                #expect(places.allSatisfy { abs(a[$0] - b[$0]) <= 0.6 * step }, "\(tensor.name)")
            }
        }
        let logits = try DecoderRunner(packed).logits([0, 3, 7, 1, 5, 2, 6, 4], chunk: 8)
        #expect(logits.allSatisfy { $0.allSatisfy { $0.isFinite } })
    }

    private func unpack(_ tensor: GGUFTensor, of file: GGUFFile) throws -> [Float] {
        let vector = FloatVector(type: tensor.type, count: tensor.elementCount, bytes: file.bytes(of: tensor))
        return Array(try #require(vector).values)
    }

    @Test(.enabled(if: Fixtures.has("models/paged-infer-fixture"), "fixtures folder is absent"))
    func `A checkpoint of 40 positions agrees with its golden`() throws {
        let folder = "models/paged-infer-fixture"
        let model = try HuggingFaceModel(
            configuration: try Fixtures.bytes("\(folder)/config.json"),
            safetensors: try Fixtures.bytes("\(folder)/tiny_llama.safetensors"))
        let meta = String(decoding: try Fixtures.bytes("\(folder)/tiny_llama_meta.txt"), as: UTF8.self)
        let line = try #require(meta.split(separator: "\n").first { $0.hasPrefix("tokens=") })
        let tokens = line.dropFirst(7).split(separator: ",").compactMap { Int($0) }
        let golden = try Fixtures.bytes("\(folder)/tiny_llama_golden.bin")
        let runner = try DecoderRunner(try read(model.gguf(architecture: "llama")), threads: 2, cacheType: .f32)
        for chunk in [40, 1] {
            for (row, logits) in try runner.logits(tokens, chunk: chunk).enumerated() {
                let expected = golden[row * 448..<(row + 1) * 448].withUnsafeBytes { bytes in
                    (0..<112).map { Double(bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self)) }
                }
                let difference = largestDifference(logits, expected)
                #expect(difference < 1e-4, "position \(row): \(difference)")
            }
        }
    }
}
