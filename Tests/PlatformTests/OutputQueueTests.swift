import Platform
import TestSupport
import Testing

@Suite struct OutputQueueTests {
    @Test func bytesLeaveInTheirOrderWhateverTheSocketTakes() {
        let seed: UInt64 = 0x5EED_0003
        var random = SeededRandom(seed: seed)
        var queue = OutputQueue()
        var expected: [UInt8] = []
        var written: [UInt8] = []
        for step in 0..<2000 {
            if Bool.random(using: &random) {
                let size = [0, 1, 100, 20_000].randomElement(using: &random) ?? 0
                let bytes = (0..<size).map { UInt8(truncatingIfNeeded: step &+ $0) }
                let skipping = Int.random(in: 0...size, using: &random)
                expected += bytes[skipping...]
                queue.append(bytes, skipping: skipping)
            } else {
                let most = Int.random(in: 0...30_000, using: &random)
                let count = queue.write { first, second in
                    let taken = Array((Array(first) + Array(second)).prefix(most))
                    written += taken
                    return taken.count
                }
                #expect(count <= most)
            }
            #expect(queue.count == expected.count - written.count, "seed \(seed), step \(step)")
        }
        while !queue.isEmpty {
            _ = queue.write { first, second in
                written += Array(first) + Array(second)
                return first.count + second.count
            }
        }
        #expect(written == expected, "seed \(seed)")
    }

    @Test func aWriteThatFailsTakesNothingOff() {
        struct Failure: Error {}
        var queue = OutputQueue()
        queue.append([1, 2, 3])
        #expect(throws: Failure.self) { try queue.write { _, _ throws(Failure) in throw Failure() } }
        #expect(queue.count == 3)
    }
}
