import EngineProtocol
import ModelFiles
import Models
import Synchronization
import Tensors

/// What tells one model from another.
extension LoadedModel {
    /// Bytes that are read at three places of each tensor.
    private static let sampleBytes = 256

    /// Of everything in the file but the weights, and of a sample of each tensor's.
    ///
    /// It tells models apart that are not made to look alike; who makes such a pair confuses only answers of his own.
    func fingerprint() -> UInt64 {
        knownFingerprint.withLock { known in
            let fingerprint = known ?? computeFingerprint()
            known = fingerprint
            return fingerprint
        }
    }

    private func computeFingerprint() -> UInt64 {
        var hash = Fingerprint()
        for (number, part) in file.parts.enumerated() {
            let tensors = file.tensors.lazy.filter { $0.part == number }
            let end = tensors.map(\.offset).min() ?? part.bytes.count
            hash.update(UnsafeRawBufferPointer(rebasing: part.bytes[..<end]))
        }
        for tensor in file.tensors {
            let bytes = file.bytes(of: tensor)
            let count = min(Self.sampleBytes, bytes.count)
            for start in [0, (bytes.count - count) / 2, bytes.count - count] {
                hash.update(UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
            }
        }
        return hash.value
    }

    /// What a prompt cache of this model belongs to.
    func promptCacheIdentity() throws(EngineError) -> PromptCacheIdentity {
        let configuration = try requireDecoder().configuration
        return PromptCacheIdentity(
            model: fingerprint(), cacheType: cacheType, instructionSet: pool.instructionSet.name,
            blockPositions: KeyValueCache.blockPositions, blockBytes: configuration.cacheBytesPerBlock(cacheType),
            vocabularySize: configuration.vocabularySize)
    }
}

/// FNV-1a over words of eight bytes, with the length of each piece.
private struct Fingerprint {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var index = 0
        while index + 8 <= bytes.count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            index += 8
        }
        for byte in bytes[index...] { add(UInt64(byte)) }
    }

    private mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x0000_0100_0000_01B3
        // FNV takes bytes; of words the upper bits have to come down.
        value ^= value >> 29
    }
}
