import EngineProtocol
import ModelFiles
import NativeEngine
import Platform
import TestSupport
import Testing

/// Broken model files: an error or a model that works, never a trap.
@Suite struct MutatedModelTests {
    static let original = TinyModel().bytes()
    /// Metadata and tensor table; behind them are only weights.
    static let headerBytes = original.count - 4 * 37_000

    @Test(arguments: 0..<8)
    func `a mutated header gives an error or a model that generates`(_ run: Int) throws {
        let seed = UInt64(run) << 32 | UInt64.random(in: 0...0xFFFF_FFFF)
        var random = SeededRandom(seed: seed)
        var loaded = 0
        for _ in 0..<60 {
            var bytes = Self.original
            for _ in 0..<Int.random(in: 1...3, using: &random) { Self.mutate(&bytes, &random) }
            guard let model = Self.load(bytes) else { continue }
            loaded += 1
            let harness = try EngineHarness(model: model)
            // The vocabulary may be broken too: then the request is refused with an error, which is as good.
            guard let call = try? harness.start(.text("the a", tokens: 2)) else { continue }
            #expect(try harness.log.finished(call).count(where: \.isEnd) == 1, "seed \(seed)")
        }
        #expect(loaded > 0, "seed \(seed): no mutation was harmless, so nothing was tried")
    }

    static func load(_ bytes: [UInt8]) -> LoadedModel? {
        try? EngineHarness.load(
            bytes, parallel: 2,
            memory: MemoryLimits(limitBytes: nil, availableBytes: 256 << 20, totalBytes: 256 << 20))
    }

    static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        let place = Int.random(in: 0..<headerBytes, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 2: bytes[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
        default:
            for offset in 0..<4 where place + offset < headerBytes { bytes[place + offset] = 0xFF }
        }
    }
}
