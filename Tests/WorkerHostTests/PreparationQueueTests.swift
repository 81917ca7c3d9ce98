import EngineProtocol
import Testing

@testable import WorkerHost

/// Every request leaves the queue once, whenever its cancellation comes.
@Suite struct PreparationQueueTests {
    static func queue(requests: Int = 3, bytes: Int = 100) -> PreparationQueue<String> {
        var limits = WorkerLimits()
        limits.waitingRequests = requests
        limits.waitingBytes = bytes
        return PreparationQueue(limits: limits)
    }

    static func id(_ number: UInt64) -> CallID { CallID(rawValue: number) }

    @Test func `requests are prepared in the order in which they came`() {
        var queue = Self.queue()
        let answer1 = queue.append(call: Self.id(1), bytes: 1, job: "a")
        #expect(answer1)
        let answer2 = queue.append(call: Self.id(2), bytes: 1, job: "b")
        #expect(answer2)
        let answer3 = queue.next()?.job
        #expect(answer3 == "a")
        let answer4 = queue.finish()
        #expect(answer4 == false)
        let answer5 = queue.next()?.job
        #expect(answer5 == "b")
        let answer6 = queue.next()
        #expect(answer6 == nil)
    }

    @Test func `a full queue refuses by count and by bytes`() {
        var byCount = Self.queue(requests: 1)
        let answer1 = byCount.append(call: Self.id(1), bytes: 1, job: "a")
        #expect(answer1)
        let answer2 = byCount.append(call: Self.id(2), bytes: 1, job: "b")
        #expect(!answer2)
        var byBytes = Self.queue(bytes: 10)
        let answer3 = byBytes.append(call: Self.id(1), bytes: 6, job: "a")
        #expect(answer3)
        let answer4 = byBytes.append(call: Self.id(2), bytes: 5, job: "b")
        #expect(!answer4)
        let answer5 = byBytes.append(call: Self.id(2), bytes: 4, job: "b")
        #expect(answer5)
        _ = byBytes.next()
        let answer6 = byBytes.append(call: Self.id(3), bytes: 6, job: "c")
        #expect(answer6)
    }

    @Test func `a request that is larger than the queue enters an empty one`() {
        var queue = Self.queue(bytes: 10)
        let answer1 = queue.append(call: Self.id(1), bytes: 1000, job: "a")
        #expect(answer1)
        let answer2 = queue.append(call: Self.id(2), bytes: 1, job: "b")
        #expect(!answer2)
    }

    @Test func `cancelling a waiting request removes it and its bytes`() {
        var queue = Self.queue(bytes: 10)
        let answer1 = queue.append(call: Self.id(1), bytes: 10, job: "a")
        #expect(answer1)
        let answer2 = queue.cancel(Self.id(1))
        #expect(answer2 == .removed)
        let answer3 = queue.cancel(Self.id(1))
        #expect(answer3 == .unknown)
        let answer4 = queue.append(call: Self.id(2), bytes: 10, job: "b")
        #expect(answer4)
        let answer5 = queue.next()?.call
        #expect(answer5 == Self.id(2))
    }

    @Test func `cancelling the active request is noted and told at its end`() {
        var queue = Self.queue()
        let answer1 = queue.append(call: Self.id(1), bytes: 1, job: "a")
        #expect(answer1)
        let answer2 = queue.append(call: Self.id(2), bytes: 1, job: "b")
        #expect(answer2)
        _ = queue.next()
        let answer3 = queue.cancel(Self.id(1))
        #expect(answer3 == .noted)
        let answer4 = queue.finish()
        #expect(answer4)
        let answer5 = queue.cancel(Self.id(1))
        #expect(answer5 == .unknown)
        _ = queue.next()
        let answer6 = queue.finish()
        #expect(!answer6)
    }
}
