import Testing

@testable import Serving

@Suite("Replay queue") struct ReplayQueueTests {
    private static let patience: UInt64 = 100

    /// The states of a queue: nothing, others, suspects 1 and 2 with other 3, trial of 1, and 1 cleared.
    ///
    /// Suspects had 5 tokens and came at 10; the trial began at 20.
    private static func queue(_ state: String) -> ReplayQueue {
        var queue = ReplayQueue(patience: patience)
        guard state != "empty" else { return queue }
        queue.hold(3)
        guard state != "others" else { return queue }
        queue.hold(suspect: 1, tokens: 5, now: 10)
        queue.hold(suspect: 2, tokens: 5, now: 10)
        guard state != "suspects" else { return queue }
        _ = queue.next(callsAtWorker: 0, now: 20)
        if state == "cleared" { _ = queue.note(tokens: 6, of: 1) }
        return queue
    }

    /// What is sent to an idle worker and to a busy one, at 50 and when patience is over.
    private static let steps: [(state: String, callsAtWorker: Int, now: UInt64, step: ReplayQueue.Step)] = [
        ("empty", 0, 50, .wait(until: nil)),
        ("empty", 7, 50, .wait(until: nil)),
        ("others", 0, 50, .send([3])),
        ("others", 7, 50, .send([3])),
        ("suspects", 0, 50, .send([1])),
        ("suspects", 7, 50, .wait(until: 110)),
        ("suspects", 7, 110, .send([1])),
        ("trial", 1, 50, .wait(until: nil)),
        ("trial", 1, 1_000, .wait(until: nil)),
        ("cleared", 1, 50, .wait(until: 120)),
        ("cleared", 1, 120, .send([2])),
    ]

    @Test("each state lets go what the rules say", arguments: steps.indices)
    func next(index: Int) {
        let row = Self.steps[index]
        var queue = Self.queue(row.state)
        let step = queue.next(callsAtWorker: row.callsAtWorker, now: row.now)
        #expect(step == row.step, "\(row)")
    }

    /// Who is named when the worker dies with these calls.
    private static let deaths: [(state: String, callsAtWorker: [UInt64], mayBeTheirFault: Bool, named: UInt64?)] = [
        ("empty", [1], true, nil),
        ("others", [3], true, nil),
        ("suspects", [1], true, nil),
        ("trial", [1], true, 1),
        ("trial", [1], false, nil),
        ("trial", [1, 9], true, nil),
        ("trial", [], true, nil),
        ("cleared", [1], true, 1),
        ("cleared", [1, 2], true, nil),
    ]

    @Test("only the call on trial is named, and only if it was alone", arguments: deaths.indices)
    func death(index: Int) {
        let row = Self.deaths[index]
        var queue = Self.queue(row.state)
        let named = queue.workerDied(callsAtWorker: row.callsAtWorker, mayBeTheirFault: row.mayBeTheirFault)
        #expect(named == row.named, "\(row)")
        let again = queue.workerDied(callsAtWorker: row.callsAtWorker, mayBeTheirFault: true)
        #expect(again == nil, "the trial is over")
    }

    @Test("a suspect is cleared once, by more tokens than it had, and only while it is on trial")
    func clearing() {
        var queue = Self.queue("trial")
        let notes: [(tokens: Int, call: UInt64)] = [(5, 1), (6, 2), (6, 1), (7, 1)]
        let cleared = notes.map { queue.note(tokens: $0.tokens, of: $0.call) }
        #expect(cleared == [false, false, true, false])
        var waiting = Self.queue("suspects")
        let early = waiting.note(tokens: 6, of: 1)
        #expect(!early)
    }

    @Test("suspects go one after the other, then all others, the oldest first")
    func order() {
        var queue = Self.queue("suspects")
        queue.hold(0)
        var sent: [[UInt64]] = []
        while case .send(let calls) = queue.next(callsAtWorker: 0, now: 50) {
            sent.append(calls)
            if queue.isBusy { calls.forEach { queue.remove($0) } }
        }
        #expect(sent == [[1], [2], [0, 3]] && !queue.isBusy)
    }

    @Test("a call that leaves makes room, wherever it was")
    func removal() {
        func next(after removed: [UInt64], in state: String) -> ReplayQueue.Step {
            var queue = Self.queue(state)
            for call in removed { queue.remove(call) }
            return queue.next(callsAtWorker: 0, now: 50)
        }
        #expect(next(after: [1], in: "trial") == .send([2]))
        #expect(next(after: [1, 2], in: "suspects") == .send([3]))
        #expect(next(after: [3], in: "others") == .wait(until: nil))
    }
}
