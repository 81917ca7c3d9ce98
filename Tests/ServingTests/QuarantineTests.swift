import EngineProtocol
import Testing

@testable import Serving

@Suite("Quarantine") struct QuarantineTests {
    typealias Verdict = Quarantine<String>.Verdict

    private static let table: [(what: String, events: [String], after: Verdict)] = [
        ("nothing", [], .unknown),
        ("was at a death", ["suspect"], .suspect(tokens: 3)),
        ("came past its place", ["suspect", "clear"], .unknown),
        ("was alone at a second death", ["suspect", "quarantine"], .quarantined),
        ("quarantined stays quarantined", ["quarantine", "suspect"], .quarantined),
        ("quarantined is not cleared", ["quarantine", "clear"], .quarantined),
    ]

    @Test("what is known of a request follows from what happened to it", arguments: table.indices)
    func verdicts(index: Int) {
        let row = Self.table[index]
        var quarantine = Quarantine<String>(capacity: 4, nanoseconds: 100)
        for event in row.events {
            switch event {
            case "suspect": quarantine.suspect("a", tokens: 3, now: 0)
            case "quarantine": quarantine.quarantine("a", now: 0)
            default: quarantine.clear("a")
            }
        }
        #expect(quarantine.verdict(of: "a", now: 99) == row.after, "\(row.what)")
        #expect(quarantine.verdict(of: "b", now: 0) == .unknown)
        #expect(quarantine.verdict(of: "a", now: 100) == .unknown, "the time is over")
        #expect(quarantine.quarantinedCount(now: 99) == (row.after == .quarantined ? 1 : 0))
    }

    @Test("a full table forgets the oldest suspect first, and what is quarantined last")
    func capacity() {
        var quarantine = Quarantine<Int>(capacity: 3, nanoseconds: 1_000)
        quarantine.quarantine(1, now: 0)
        quarantine.suspect(2, tokens: 0, now: 1)
        quarantine.suspect(3, tokens: 0, now: 2)
        quarantine.quarantine(4, now: 3)
        #expect(quarantine.verdict(of: 2, now: 4) == .unknown && quarantine.verdict(of: 3, now: 4) != .unknown)
        quarantine.quarantine(5, now: 4)
        quarantine.quarantine(6, now: 5)
        #expect((1...6).filter { quarantine.verdict(of: $0, now: 6) == .quarantined } == [4, 5, 6])
        for key in 0..<100 { quarantine.quarantine(key, now: 7) }
        #expect(quarantine.quarantinedCount(now: 8) == 3)
        quarantine.suspect(1_000, tokens: 0, now: 2_000)
        #expect(quarantine.quarantinedCount(now: 2_000) == 0 && !quarantine.isEmpty)
    }

    @Test("a request is known by its content, not by who asks, when, or with which seed")
    func keys() {
        func key(_ change: (inout GenerateRequest) -> Void) -> ContentKey {
            var request = GenerateRequest(inputs: [.text("x")])
            change(&request)
            return ContentKey(.generate(request))
        }
        let plain = key { _ in }
        #expect(
            plain
                == key {
                    $0.tenant = "t"
                    $0.deadline = 7
                    $0.priority = 3
                    $0.sampling.seed = 9
                })
        #expect(plain != key { $0.inputs = [.text("y")] })
        #expect(plain != key { $0.maximumTokens = 1 })
        #expect(plain != key { $0.sampling.temperature = 0.5 })
        #expect(plain != ContentKey(.inspect))
    }
}
