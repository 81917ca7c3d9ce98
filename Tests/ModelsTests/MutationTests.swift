import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// Damaged headers: each one loads or is an error, within bounded memory, and what loads can be computed.
@Suite struct MutationTests {
    private static let seed: UInt64 = 0xA9_05_2024

    private func original(_ name: String) throws -> GGUFWriter {
        var writer = try TinyDecoder.named(name).gguf()
        writer.set("tokenizer.ggml.tokens", .strings((0..<23).map { "token \($0)" }))
        writer.set("tokenizer.ggml.scores", .floats((0..<23).map { Float($0) }))
        writer.set("nested", .array([.strings(["a", "b"]), .strings([])]))
        return writer
    }

    @Test(arguments: ["qwen2", "qwen3moe"]) func `Ten thousand mutated headers load or fail, and never trap`(
        name: String
    ) throws {
        print("mutation seed \(Self.seed)")
        var random = SeededRandom(seed: Self.seed)
        let bytes = try original(name).bytes()
        let headerSize = try original(name).header().count
        var (parsed, loaded) = (0, 0)
        for _ in 0..<10_000 {
            let mutated = mutate(bytes, headerSize: headerSize, &random)
            guard let file = try? GGUFFile(parts: [GGUFBytes(copying: mutated)]) else { continue }
            parsed += 1
            visit(file)
            guard let model = try? ModelRegistry.load(file) else { continue }
            loaded += 1
            if loaded % 20 == 0 { try compute(model) }
        }
        #expect(parsed > 500 && parsed < 9_500, "\(parsed) parsed")
        #expect(loaded > 100, "\(loaded) loaded")
    }

    private func mutate(_ bytes: [UInt8], headerSize: Int, _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
            let place = Int.random(in: 0..<headerSize, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = UInt8.random(in: 0...255, using: &random)
            case 2: overwrite(&bytes, place, littleEndian(random.next()))
            case 3:
                let extremes: [UInt64] = [0, .max, 1 << 63, 1 << 62, 1 << 32, 0xFFFF_FFFF, 1 << 31]
                overwrite(&bytes, place, littleEndian(extremes.randomElement(using: &random) ?? 0))
            case 4: bytes.remove(at: place)
            case 5: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
            default:
                let end = min(place + Int.random(in: 1...64, using: &random), headerSize)
                let source = Int.random(in: 0..<headerSize - (end - place), using: &random)
                overwrite(&bytes, place, Array(bytes[source..<source + end - place]))
            }
        }
        if Int.random(in: 0..<20, using: &random) == 0 {
            bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random))
        }
        return bytes
    }

    private func overwrite(_ bytes: inout [UInt8], _ place: Int, _ new: [UInt8]) {
        let end = min(place + new.count, bytes.count)
        if place < end { bytes.replaceSubrange(place..<end, with: new[..<(end - place)]) }
    }

    /// Touches everything that the reader promises to be usable.
    private func visit(_ file: GGUFFile) {
        for entry in file.metadata.entries {
            switch entry.value {
            case .string(let text): _ = text.string
            case .array(let array): visit(array)
            default: break
            }
        }
        for tensor in file.tensors { _ = file.bytes(of: tensor).last }
    }

    private func visit(_ array: GGUFArray) {
        guard array.count > 0 else { return }
        switch array.elementType {
        case .string:
            array.forEachString { _, bytes in _ = bytes.last }
            _ = array.string(array.count - 1)
        case .array: for index in 0..<array.count { array.array(index).map(visit) }
        default: _ = array.double(array.count - 1)
        }
    }

    private func compute(_ model: any DecoderModel) throws {
        let configuration = model.configuration
        let pool = ComputePool(threads: 1)
        do {
            try model.pack(pool: pool)
        } catch ModelLoadError.invalidTensor {
            return
        }
        let cache = try KeyValueCache(configuration: configuration, blocks: 1)
        let workspace = try ForwardWorkspace(configuration: configuration, maximumRows: 2, maximumLogitRows: 1)
        let rows = [
            ForwardRow(token: 0, position: 0, sequence: 0, wantsLogits: false),
            ForwardRow(token: 1, position: 1, sequence: 0, wantsLogits: true),
        ]
        let step = ForwardStep(rows: rows, blockTables: [[0]])
        try model.forward(step, cache: cache, workspace: workspace, pool: pool)
        #expect(workspace.logits(row: 1)?.count == configuration.vocabularySize)
    }
}
