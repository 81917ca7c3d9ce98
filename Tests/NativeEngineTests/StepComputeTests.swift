import EngineProtocol
import Scheduling
import Synchronization
import TestSupport
import Testing

@testable import NativeEngine

/// One step of rows, and how a cancellation reaches it.
@Suite struct StepComputeTests {
    static func compute(layers: Int, isCancelled: @escaping @Sendable (Int32) -> Bool) throws -> StepCompute {
        var tiny = TinyModel()
        tiny.layers = layers
        let model = try EngineHarness.load(tiny.bytes(), context: 64, parallel: 2)
        let compute = try StepCompute(
            decoder: model.requireDecoder(), model: model, limits: SchedulerLimits(slots: 2, blocks: 4),
            isCancelled: isCancelled)
        compute.setBlocks([0, 1], slot: 0)
        compute.setBlocks([2, 3], slot: 1)
        return compute
    }

    @Test func `before each layer every sequence is asked whether it is still wanted`() throws {
        let asked = Mutex<[Int32: Int]>([:])
        let compute = try Self.compute(layers: 5) { slot in
            asked.withLock { $0[slot, default: 0] += 1 }
            return false
        }
        compute.begin()
        compute.append(token: 1, position: 0, slot: 0, wantsLogits: true)
        compute.append(token: 1, position: 0, slot: 1, wantsLogits: true)
        try compute.forward()
        #expect(asked.withLock { $0 } == [0: 5, 1: 5])
    }

    @Test func `a sequence that is cancelled between layers leaves no logits and the other is not changed`() throws {
        let asked = Mutex(0)
        let interrupted = try Self.compute(layers: 5) { slot in
            guard slot == 1 else { return false }
            return asked.withLock { count in
                count += 1
                return count == 3
            }
        }
        let alone = try Self.compute(layers: 5) { _ in false }
        for compute in [interrupted, alone] {
            compute.begin()
            compute.append(token: 9, position: 0, slot: 0, wantsLogits: true)
        }
        interrupted.append(token: 7, position: 0, slot: 1, wantsLogits: true)
        try interrupted.forward()
        try alone.forward()
        #expect(interrupted.logits(row: 1) == nil)
        #expect(asked.withLock { $0 } == 3)
        let logits = try #require(interrupted.logits(row: 0))
        #expect(Array(logits) == Array(try #require(alone.logits(row: 0))))
    }

    @Test func `a copied block continues with the same bits`() throws {
        let compute = try Self.compute(layers: 2) { _ in false }
        let tokens: [Int32] = [1, 30, 40, 50, 60]
        compute.begin()
        for (position, token) in tokens.enumerated() {
            compute.append(token: token, position: position, slot: 0, wantsLogits: position == 4)
        }
        try compute.forward()
        let expected = Array(try #require(compute.logits(row: 4)))
        compute.begin()
        compute.copyBlock(from: 0, to: 2)
        compute.append(token: 60, position: 4, slot: 1, wantsLogits: true)
        try compute.forward()
        #expect(Array(try #require(compute.logits(row: 0))) == expected)
    }
}
