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
        #expect(queue.append(call: Self.id(1), bytes: 1, job: "a"))
        #expect(queue.append(call: Self.id(2), bytes: 1, job: "b"))
        #expect(queue.next()?.job == "a")
        #expect(queue.finish() == false)
        #expect(queue.next()?.job == "b")
        #expect(queue.next() == nil)
    }

    @Test func `a full queue refuses by count and by bytes`() {
        var byCount = Self.queue(requests: 1)
        #expect(byCount.append(call: Self.id(1), bytes: 1, job: "a"))
        #expect(!byCount.append(call: Self.id(2), bytes: 1, job: "b"))
        var byBytes = Self.queue(bytes: 10)
        #expect(byBytes.append(call: Self.id(1), bytes: 6, job: "a"))
        #expect(!byBytes.append(call: Self.id(2), bytes: 5, job: "b"))
        #expect(byBytes.append(call: Self.id(2), bytes: 4, job: "b"))
        _ = byBytes.next()
        #expect(byBytes.append(call: Self.id(3), bytes: 6, job: "c"))
    }

    @Test func `a request that is larger than the queue enters an empty one`() {
        var queue = Self.queue(bytes: 10)
        #expect(queue.append(call: Self.id(1), bytes: 1000, job: "a"))
        #expect(!queue.append(call: Self.id(2), bytes: 1, job: "b"))
    }

    @Test func `cancelling a waiting request removes it and its bytes`() {
        var queue = Self.queue(bytes: 10)
        #expect(queue.append(call: Self.id(1), bytes: 10, job: "a"))
        #expect(queue.cancel(Self.id(1)) == .removed)
        #expect(queue.cancel(Self.id(1)) == .unknown)
        #expect(queue.append(call: Self.id(2), bytes: 10, job: "b"))
        #expect(queue.next()?.call == Self.id(2))
    }

    @Test func `cancelling the active request is noted and told at its end`() {
        var queue = Self.queue()
        #expect(queue.append(call: Self.id(1), bytes: 1, job: "a"))
        #expect(queue.append(call: Self.id(2), bytes: 1, job: "b"))
        _ = queue.next()
        #expect(queue.cancel(Self.id(1)) == .noted)
        #expect(queue.finish())
        #expect(queue.cancel(Self.id(1)) == .unknown)
        _ = queue.next()
        #expect(!queue.finish())
    }
}
