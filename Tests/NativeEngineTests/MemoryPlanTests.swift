import EngineProtocol
import Testing

@testable import NativeEngine

/// How context, sequences and blocks are chosen against the memory that is there.
@Suite struct MemoryPlanTests {
    static func decide(
        context: UInt32? = nil, parallel: UInt32 = 2, trained: Int = 4096, block: UInt64 = 32_000,
        weights: UInt64 = 1_000_000, memory: UInt64 = 100_000_000
    ) throws(EngineError) -> MemoryPlan {
        try MemoryPlan.decide(
            requestedContextLength: context, requestedParallel: parallel, trainedContextLength: trained,
            blockBytes: block, weightBytes: weights, memory: memory, limits: EngineLimits())
    }

    @Test func `the trained length is served when it fits`() throws {
        #expect(
            try Self.decide()
                == MemoryPlan(
                    contextLength: 4096, parallel: 2, blocks: 256, cacheBytes: 8_192_000, memoryBytes: 9_192_000))
    }

    @Test func `a long trained length is served up to the default`() throws {
        #expect(try Self.decide(trained: 131_072).contextLength == 8192)
        #expect(try Self.decide(context: 16384, trained: 131_072).contextLength == 16384)
    }

    @Test func `no more than the trained length is served`() throws {
        #expect(try Self.decide(context: 9999).contextLength == 4096)
    }

    @Test func `where nobody says how many run together, it follows from the blocks`() throws {
        let roomy = try Self.decide(parallel: 0)
        #expect((roomy.parallel, roomy.blocks) == (64, 8 * 128))
        let tight = try Self.decide(parallel: 0, memory: 1_000_000 + 300 * 32_000)
        #expect((tight.contextLength, tight.parallel, tight.blocks) == (4096, 18, 300))
        #expect(try Self.decide(parallel: 0, trained: 64).parallel == 8)
    }

    @Test func `more sequences than fit at full length share what there is`() throws {
        let plan = try Self.decide(context: 4096, parallel: 32, memory: 1_000_000 + 200 * 32_000)
        #expect(
            plan
                == MemoryPlan(
                    contextLength: 4096, parallel: 32, blocks: 200, cacheBytes: 200 * 32_000, memoryBytes: 7_400_000))
    }

    @Test func `a length that is no multiple of a block gets whole blocks`() throws {
        #expect(try Self.decide(context: 100, parallel: 3).blocks == 12)
    }

    @Test func `weights and cache never exceed the memory`() throws {
        for memory: UInt64 in stride(from: 5_000_000, to: 60_000_000, by: 77_777) {
            for parallel: UInt32 in [0, 1, 8, 64] {
                let plan = try Self.decide(parallel: parallel, memory: memory)
                #expect(plan.cacheBytes + 1_000_000 == plan.memoryBytes && plan.memoryBytes <= memory)
                #expect(plan.blocks * 32 >= plan.contextLength)
            }
        }
    }

    @Test func `a length that nobody asked for shrinks until two sequences fit`() throws {
        #expect(try Self.decide(memory: 3_500_000).contextLength == 1024)
    }

    @Test func `a length that was asked for is refused when it does not fit`() {
        #expect(throws: EngineError.self) { try Self.decide(context: 4096, memory: 3_500_000) }
    }

    @Test(arguments: [(nil, 1_500_000), (4096, 3_500_000), (nil, 0)] as [(UInt32?, UInt64)])
    func `what can never fit is exhausted for good`(context: UInt32?, memory: UInt64) {
        do {
            _ = try Self.decide(context: context, memory: memory)
            Issue.record("it was accepted")
        } catch {
            guard case .resourceExhausted(_, let permanent) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(permanent)
        }
    }

    @Test func `sizes that overflow are refused`() {
        #expect(throws: EngineError.self) { try Self.decide(block: .max / 2, memory: .max) }
        #expect(throws: EngineError.self) { try Self.decide(weights: .max, memory: .max) }
    }

    @Test func `nonsense is named`() {
        #expect(throws: EngineError.invalidRequest(parameter: "context", message: "context is 1, the least is 2")) {
            try Self.decide(context: 1)
        }
        #expect(throws: EngineError.invalidRequest(parameter: "parallel", message: "parallel is 257, the limit is 256"))
        {
            try Self.decide(parallel: 257)
        }
    }
}
